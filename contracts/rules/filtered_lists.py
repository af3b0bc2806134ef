"""Filters of the list of runs: each alone, several together, over few and many runs, and values that match nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta, timezone
from typing import Any, Final

from contracts.data.limits import MAX_LIMIT
from contracts.engine import Case, CaseContext, assume
from contracts.openapi.schemas import moment_of
from contracts.oracle.answer_schema import has_documented_form
from contracts.rules.isolated_runs import IsolatedRuns, create_isolated_runs
from contracts.rules.list_checks import check_activity, check_list, judge_list
from contracts.rules.list_reads import DEEP_SEARCH, listed_item, page_of


@dataclass(frozen=True)
class Filter:
    """A parameter of a list. Its value is a text, or else that of a run."""

    name: str
    text: str = ""
    """The value with placeholders. If it is empty, the value is that of a run."""
    create: int = 0
    """The number of a create. The value is that of its first run that was not deleted."""
    way: str = "plain"
    """How the value is written; `other` for the value of a run that has another one."""
    shift: int = 0
    """By how much a time is shifted, in units of the last digit that is written: microseconds, unless `way` is a
    shorter fraction.
    """
    of: str = "id"
    """For a search without `text`: the field of the run whose value is searched for."""

    def value(self, context: CaseContext, isolated: IsolatedRuns) -> str | None:
        """Return the value of the parameter; None if the run has none."""
        runs = isolated.creates[self.create % len(isolated.creates)].runs
        gone = {run["id"] for run in isolated.deleted}
        run = next((run for run in runs if run["id"] not in gone), runs[0])
        if self.name == "search":
            word = context.fill(self.text) if self.text else run.get(self.of)
            if isinstance(word, list | dict):
                word = next(iter(word.values() if isinstance(word, dict) else word), None)
            return None if word is None else _written_word(str(word), self.way)
        if self.text:
            return str(context.fill(self.text))
        if self.way == "other":
            values = [each.get(self.name) for each in isolated.runs]
            return next((str(value) for value in values if value not in (None, run.get(self.name))), None)
        if self.name in {"created_at_from", "created_at_to"}:
            return _written_time(run["created_at"], self.way, self.shift)
        value = run.get(self.name)
        return None if value is None else str(value)


def _written_word(word: str, way: str) -> str:
    match way:
        case "upper":
            return word.upper()
        case "mixed":
            return "".join(letter.upper() if index % 2 else letter for index, letter in enumerate(word))
        case "middle":
            return word[3:-1]  # keeps the whole number, which the markers of other runs do not have
    return word


def _written_time(text: str, way: str, shift: int) -> str | None:
    """Return a time in another time zone, or with a shorter fraction of a second; None if the text is not a time."""
    moment = moment_of(text)
    if moment is None:
        return None
    at = moment + timedelta(microseconds=shift)
    match way:
        case "utc":
            return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        case "second":
            at = moment.replace(microsecond=0) + timedelta(seconds=shift)
            return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        case "tenth" | "hundredth":
            digits = 1 if way == "tenth" else 2
            unit = 10 ** (6 - digits)
            at = moment.replace(microsecond=moment.microsecond // unit * unit) + timedelta(microseconds=unit * shift)
            return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[: digits - 6] + "Z"
        case "east":
            return at.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat()
        case "west":
            return at.astimezone(timezone(timedelta(hours=-11))).isoformat()
    return at.isoformat() if shift else text


@dataclass(frozen=True)
class FilterCase(Case):
    """Runs that differ in the fields that filters use, and lists of them by several queries.

    `changes` are applied to some of the runs (see CHANGE_KINDS). Every query also gets the filter that isolates the
    runs of the case, unless the case is `without_isolating_filter`.
    """

    creates: Sequence[Mapping[str, Any]]
    queries: Sequence[Sequence[Filter]]
    limits: Sequence[int] = (MAX_LIMIT,)
    changes: tuple[str, ...] = ()
    without_isolating_filter: bool = False
    may_be_refused: bool = False
    """Whether the target may refuse the values of the filters."""

    @property
    def expected_runs(self) -> int:
        return sum(body.get("count", 1) for body in self.creates)


def run_filters(context: CaseContext, case: FilterCase) -> None:
    isolated = create_isolated_runs(context, case.creates)
    if case.changes:
        _change_runs(context, isolated, case.changes)
    for filters in case.queries:
        values = [(one.name, one.value(context, isolated)) for one in filters]
        query = [(name, value) for name, value in values if value is not None]
        lacks = {name for name, value in values if value is None}
        # A run has no machine if its session decides, and the other filters can still be combined. Combinations of few
        # filters occur without the machine anyway.
        if lacks and (lacks != {"machine_id"} or len(filters) < 4):
            continue
        if not case.without_isolating_filter:
            query = list(isolated.filtered(query))
        if case.may_be_refused:
            result = context.call("list_runs", query=query)
            if result.accepted:
                judge_list(context, page_of(result, query), isolated.candidates, isolated.evidence_of)
            continue
        for limit in case.limits:
            check_list(context, isolated, query, limit=limit)
    if case.changes:
        check_list(context, isolated, [isolated.filter], sort="activity")
        for limit in set(case.limits) - {MAX_LIMIT}:
            check_activity(context, isolated, limit=limit)
            if CANCEL_ALL in case.changes:  # runs that have ended do not move between pages
                check_list(context, isolated, [isolated.filter, ("status", "cancelled")], limit=limit, sort="activity")


UPDATED_TEXTS: Final[Mapping[str, Any]] = {
    "output_data": {"result": {"list": ["x", "Out«marker:40»put"]}, "n": "«number:1»"},
    "error": ["plain", "Err«marker:41»or", "again Err«marker:41»or", "end"],
    "run_message_history": [
        {"role": "user", "content": "hello"},
        {"role": "tool", "content": [{"text": "Msg«marker:42»Body"}]},
        {"role": "assistant", "content": "done Msg«marker:42»Body"},
        {"role": "user", "content": "thanks"},
    ],
    "usage_metadata": {"u": "«marker:64»"},
}


CANCEL_ALL: Final = "cancel all"
CHANGE_KINDS: Final = ("cancel", *UPDATED_TEXTS, "retry", "delete")
"""Every third run is cancelled. Of these, the first gets a text in each of the fields, and the second is retried.
Another run, of the second create, is cancelled and deleted. With CANCEL_ALL, every run is cancelled and gets the texts.
"""


def _change_runs(context: CaseContext, isolated: IsolatedRuns, changes: Sequence[str]) -> None:
    if not context.check.offers("update_run"):
        return
    cancelled = isolated.runs if CANCEL_ALL in changes else isolated.runs[::3]
    cancels = not {"cancel", CANCEL_ALL}.isdisjoint(changes)
    updates = [(run["id"], {"status": "cancelled"}) for run in cancelled if cancels]
    texts = [{name: context.fill(value)} for name, value in UPDATED_TEXTS.items() if name in changes]
    with_texts = cancelled if CANCEL_ALL in changes else cancelled[:1]
    updates += [(run["id"], text) for run in with_texts for text in texts]
    for run_id, body in updates:
        isolated.change(context.call("update_run", run_id, body=body))
    if "retry" in changes and len(cancelled) > 1 and context.check.offers("retry_run"):
        isolated.change(context.call("retry_run", cancelled[1]["id"], body={}))
    if "delete" in changes and context.check.offers("delete_run"):
        changed = [run["id"] for run in cancelled[:2]]
        of_second = {run["id"] for run in isolated.creates[1 % len(isolated.creates)].runs}.difference(changed)
        gone = next((run for run in isolated.runs if run["id"] in of_second), None)
        if gone is not None:
            context.cancel(gone["id"])
            if context.call("delete_run", gone["id"]).status == 204:
                isolated.delete(gone)


_BOOLEANS: Final = {**dict.fromkeys(("True", "TRUE", "1"), True), **dict.fromkeys(("False", "FALSE", "0"), False)}


def run_notations(context: CaseContext, case: Case) -> None:
    """Send ids in capitals and other texts for a boolean: the target refuses each, or reads it as the same value."""
    isolated = create_isolated_runs(context, [{"count": 1, "start_session": True}])
    run, evidence = isolated.runs[0], isolated.evidence_of(None)
    for name in ("workflow_id", "session_id", "machine_id"):
        if run.get(name):
            result = context.call("list_runs", query=isolated.filtered([(name, run[name].upper())]))
            cause, expected = f"{name} in capitals finds nothing", "the run, or a 4xx, since both forms are one id"
            right = not has_documented_form("list_runs", result.answer) or listed_item(result, run["id"]) is not None
            context.require(right, "LIST-FILTER", cause, expected, *evidence, result, got="a list without the run")
    if not context.check.offers("update_run"):
        return
    word = context.placeholder("marker:1")
    history = {"run_message_history": [{"content": word}]}
    updated = context.call_valid("update_run", run["id"], body=history, after=evidence)
    usual = context.call("list_runs", query=isolated.filtered([("search", word), DEEP_SEARCH]))
    assume(listed_item(usual, run["id"]) is not None, "deep_search=true does not find the run")  # judged elsewhere
    for text, is_deep in _BOOLEANS.items():
        result = context.call("list_runs", query=isolated.filtered([("search", word), ("deep_search", text)]))
        cause, listed = "deep_search is read as another value", ("a list without the run", "a list with the run")
        right = not result.accepted or (listed_item(result, run["id"]) is not None) == is_deep
        expected, got = f"{listed[is_deep]}, or a 4xx, since it means {str(is_deep).lower()}", listed[not is_deep]
        context.require(right, "LIST-FILTER", cause, expected, *evidence, updated, result, got=got)
