"""Judges the answer of a create: the count, and each run. `answer_schema` judges the types of all fields."""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from contracts.core.counting import counted
from contracts.core.exchange import Answer, date_of
from contracts.core.json_tree import Path
from contracts.openapi.schemas import UNREAD, is_uuid, moment_of
from contracts.oracle.answer_schema import has_documented_form, wrong_parts
from contracts.oracle.request import KEY_OF_INPUT_AND_SECRET, ParsedRequest
from contracts.oracle.run import input_difference
from contracts.oracle.violation import Violation
from contracts.oracle.wording import keys_difference, keys_in_words, place_in_words, value_in_words

_TOLERANCE_TO_OUR_CLOCK: Final = timedelta(minutes=5)
"""The largest difference between `created_at` and the clock of this machine, or the Date header of the answer."""
_TOLERANCE_BETWEEN_CREATES: Final = timedelta(minutes=1)
"""The largest change of the difference between the target's clock and ours, from the first create to a later one. It
allows for an answer that arrives 30 s after its create.
"""

_DIFFERENCE_OF_CLOCKS: Final = timedelta(seconds=10)
"""The most by which the clocks of the machines of one target may differ."""


@dataclass(slots=True, repr=False)
class Seen:
    """Run, session and attachment ids of earlier answers, each with the `source` of its answer.

    `first_clock_offset` is how far the target's clock was ahead of ours at the first create, with the source of its
    answer.
    """

    runs: dict[str, Any] = field(default_factory=dict)
    sessions: dict[str, Any] = field(default_factory=dict)
    attachments: dict[str, Any] = field(default_factory=dict)
    first_clock_offset: tuple[timedelta, Any] | None = None

    def earliest_clock_at(self, moment: datetime) -> datetime:
        """Return the earliest that the target's clock can have shown at a moment of ours, by the first create."""
        offset = -_TOLERANCE_TO_OUR_CLOCK if self.first_clock_offset is None else self.first_clock_offset[0]
        return moment + offset - _DIFFERENCE_OF_CLOCKS

    def latest_clock_at(self, moment: datetime) -> datetime:
        """Return the latest that the target's clock can have shown at a moment of ours, by the first create."""
        if self.first_clock_offset is None:
            return moment + _TOLERANCE_TO_OUR_CLOCK
        return moment + self.first_clock_offset[0] + _TOLERANCE_BETWEEN_CREATES


@dataclass(frozen=True, slots=True)
class CreateJudgement:
    """`earlier` maps the cause of a violation to the source of the earlier answer that it conflicts with."""

    violations: tuple[Violation, ...]
    runs: tuple[dict[str, Any], ...] = ()
    earlier: Mapping[str, Any] = field(default_factory=dict)


def judge_create(
    parsed: ParsedRequest, answer: Answer, *, now: datetime, seen: Seen, source: object = None
) -> CreateJudgement:
    """Judge an accepted create or bulk create by all its rules, and add the ids of the answer to `seen`.

    `now` is when the answer was received. `source` is what `seen` keeps of the answer, to show it in later violations.
    """
    if not has_documented_form(parsed.operation, answer):
        return CreateJudgement(())
    body = answer.json()
    wrong = wrong_parts(parsed.operation, answer)
    if parsed.operation == "create_run":
        created = _CreatedRuns(parsed, answer, [body], [{path[0] for path in wrong}], now, seen, source)
        found = [dataclasses.replace(violation, rule="CREATE-ANSWER") for violation in created.violations()]
    elif ("created_runs",) in wrong:
        return CreateJudgement(())
    else:
        runs = body["created_runs"]
        created = _CreatedRuns(parsed, answer, runs, _wrong_fields(wrong, len(runs)), now, seen, source)
        found = [*_count_violations(parsed, body, {path[0] for path in wrong}), *created.violations()]
    return CreateJudgement(tuple(found), tuple(run for run in created.runs if isinstance(run, dict)), created.earlier)


def _wrong_fields(wrong: Sequence[Path], runs: int) -> list[set[Any]]:
    found: list[set[Any]] = [set() for _ in range(runs)]
    for path in wrong:
        if path[0] == "created_runs":
            found[int(path[1])].update(path[2:3])
    return found


def _count_violations(parsed: ParsedRequest, body: Mapping[str, Any], wrong: set[Any]) -> Iterator[Violation]:
    runs, failed, errors = len(body["created_runs"]), body.get("failed_count", 0), body.get("errors", [])
    count = parsed.given("count")
    if "failed_count" in wrong:
        return
    if not isinstance(failed, int) or failed < 0:
        expected, got = "a failed_count of 0 or more", f"failed_count {value_in_words(failed)}"
        yield Violation("BULK-STATUS", "failed_count is not a count", expected, got)
    elif isinstance(count, int) and runs + failed != count:
        got = f"{counted(runs, 'created run')} and failed_count {failed}"
        expected = f"created runs and failed_count to add up to {count:,}"
        yield Violation("BULK-COUNT", "runs and failures do not add up to count", expected, got)
    elif "errors" in wrong:
        return
    elif failed and parsed.is_valid and not errors:
        expected, got = "errors that say why", f"failed_count {failed} and no errors"
        yield Violation("BULK-COUNT", "failures without errors", expected, got)
    elif not failed and errors:
        got = f"failed_count 0 and errors {value_in_words(errors)}"
        yield Violation("BULK-COUNT", "errors although nothing failed", "no errors when nothing failed", got)


@dataclass(slots=True)
class _CreatedRuns:
    """The runs of one answer. `wrong` has, for each run, the names of the fields that violate the schema."""

    parsed: ParsedRequest
    answer: Answer
    runs: Sequence[Any]
    wrong: Sequence[set[Any]]
    now: datetime
    seen: Seen
    source: object
    earlier: dict[str, Any] = field(default_factory=dict)

    def violations(self) -> Iterator[Violation]:
        yield from self._ids()
        yield from self._initial_values()
        if self.parsed.value is not UNREAD:
            # The contract does not determine what such a body asks for (one with duplicate keys, for example).
            yield from self._echoes()
            yield from self._sessions()
            yield from self._files()
            yield from self._aliases()
            if self.parsed.operation == "create_run":
                yield from self._options()

    def _each(self, *names: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Yield (index, run) for each run whose named fields match the schema."""
        for index, run in enumerate(self.runs):
            if isinstance(run, dict) and not self.wrong[index].intersection(names):
                yield index, run

    def _at(self, index: int) -> str:
        return f" in run {index + 1} of {len(self.runs)}" if len(self.runs) > 1 else ""

    def _require_value(self, rule: str, cause: str, name: str, wanted: Any) -> Iterator[Violation]:
        """Yield a violation if a field has another value in some runs. An empty or absent field counts as null."""
        values = ((index, run.get(name)) for index, run in self._each(name))
        others = ((index, got) for index, got in values if got != wanted and (got or wanted not in (None, [])))
        problems = ((index, f"{name} {value_in_words(got)}") for index, got in others)
        yield from self._require_no_problem(rule, cause, f"{name} {value_in_words(wanted)}", name, problems)

    def _ids(self) -> Iterator[Violation]:
        indexes: dict[str, int] = {}
        for index, run in self._each("id"):
            identity = run["id"]
            if identity in indexes:
                got = f"id {identity} for run {indexes[identity] + 1} and for run {index + 1} of {len(self.runs)}"
                yield Violation("BULK-IDS", "an answer has one id twice", "ids that are unique in the answer", got)
            elif identity in self.seen.runs:
                cause = "an id of an earlier answer"
                self.earlier[cause] = self.seen.runs[identity]
                got = f"id {identity} again{self._at(index)}"
                yield Violation("BULK-IDS", cause, "ids that are unique over all answers", got)
            indexes[identity] = index
        self.seen.runs.update(dict.fromkeys(indexes, self.source))

    def _echoes(self) -> Iterator[Violation]:
        given = self.parsed.given
        workflow, machine, pools, session = (given(n) for n in ("workflow_id", "machine_id", "pool_ids", "session_id"))
        if is_uuid(workflow):
            yield from self._require_value("BULK-ECHO", "another workflow_id", "workflow_id", workflow)
        if machine is not None and machine is not UNREAD and session is None:
            yield from self._require_value("BULK-ECHO", "another machine_id", "machine_id", machine)
        if machine is None and session is None and (pools is None or UNREAD not in pools):
            yield from self._require_value("BULK-ECHO", "other pool_ids", "pool_ids", pools)
        inputs = given("input_values")
        if KEY_OF_INPUT_AND_SECRET in self.parsed.ambiguities or self.parsed.is_ambiguous_as_a_whole:
            return  # the contract does not determine how a server reads such a body (one with NaN, for example)
        if inputs is UNREAD:
            return
        gains = machine is not None or bool(pools)
        runs = self._each("input_values")
        each = ((index, input_difference(inputs, run.get("input_values"), may_gain=gains)) for index, run in runs)
        cause, expected = "other input_values", "input_values as sent"
        yield from self._require_no_problem("BULK-ECHO", cause, expected, "input_values", each)

    def _initial_values(self) -> Iterator[Violation]:
        yield from self._require_value("BULK-INITIAL", "another status", "status", "scheduling")
        for name in ("error", "output_data"):
            yield from self._require_value("BULK-INITIAL", f"{name} is not empty", name, None)
        for index, run in self._each("created_at"):
            created = moment_of(run["created_at"])
            if created is not None and (wrong := self._wrong_clock(created)) is not None:
                cause, right = wrong
                expected = f"created_at about {right.isoformat(timespec='seconds')}"
                yield Violation("BULK-INITIAL", cause, expected, f"created_at {run['created_at']}{self._at(index)}")
                return

    def _wrong_clock(self, created: datetime) -> tuple[str, datetime] | None:
        """Return the cause of a violation and the right moment, if a run was not created about now."""
        moments = [self.now, *filter(None, [date_of(self.answer)])]
        if all(abs(created - moment) > _TOLERANCE_TO_OUR_CLOCK for moment in moments):
            return "created_at is not about now", self.now
        if self.seen.first_clock_offset is None:
            self.seen.first_clock_offset = (created - self.now, self.source)
        offset, source = self.seen.first_clock_offset
        if abs(created - self.now - offset) <= _TOLERANCE_BETWEEN_CREATES:
            return None
        cause = "created_at does not agree with the clock of the first create"
        self.earlier[cause] = source
        return cause, self.now + offset

    def _sessions(self) -> Iterator[Violation]:
        session, start_session = self.parsed.given("session_id"), self.parsed.given("start_session")
        if session is UNREAD or start_session is UNREAD:
            return
        if session is not None and not start_session:
            yield from self._require_value("BULK-SESSION", "not the session of the request", "session_id", session)
        elif not start_session:
            yield from self._require_value("BULK-SESSION", "a session nobody asked for", "session_id", None)
        elif session is None and self.parsed.operation == "create_run":
            for _, run in self._each("session_id", "id"):
                yield from self._require_value("BULK-SESSION", "no session of its own", "session_id", run["id"])
        else:
            yield from self._one_session(is_new=session is None)

    def _one_session(self, *, is_new: bool) -> Iterator[Violation]:
        found = [(index, run.get("session_id")) for index, run in self._each("session_id", "id")]
        first_index, first = found[0] if found else (0, None)
        other = next(((index, session) for index, session in found if session != first), None)
        if other is not None:
            got = (
                f"session_id {json.dumps(first)} in run {first_index + 1}, "
                f"{json.dumps(other[1])} in run {other[0] + 1} of {len(self.runs)}"
            )
            yield Violation("BULK-SESSION", "runs of one call in several sessions", "one session for all runs", got)
        elif not found or not is_new:
            return
        elif first is None:
            yield Violation("BULK-SESSION", "no session is started", "a new session_id", "session_id null")
        elif first in self.seen.sessions:
            cause = "a session of an earlier call"
            self.earlier[cause] = self.seen.sessions[first]
            got = f"session_id {first} of an earlier request again"
            yield Violation("BULK-SESSION", cause, "a new session_id", got)
        else:
            self.seen.sessions[first] = self.source

    def _files(self) -> Iterator[Violation]:
        files = self.parsed.given("file_inputs")
        if files is UNREAD:
            return
        expected = len(files or [])
        ids_so_far: set[str] = set()
        for index, run in self._each("input_attachment_ids"):
            ids = run.get("input_attachment_ids") or []
            cause, got = "", ""
            if len(ids) != expected:
                cause, got = "not one attachment for each file", counted(len(ids), "input attachment")
            elif shared := next((i for n, i in enumerate(ids) if i in ids_so_far or i in ids[:n]), None):
                cause, got = "attachments that are shared", f"input attachment {shared} again"
            elif old := next((i for i in ids if i in self.seen.attachments), None):
                cause, got = "attachments of an earlier answer", f"input attachment {old} of an earlier request again"
                self.earlier[cause] = self.seen.attachments[old]
            elif not all(ids):
                cause, got = "an empty attachment id", f"input_attachment_ids {value_in_words(ids)}"
            if cause:
                wanted = f"{counted(expected, 'input attachment')} of its own for each run"
                yield Violation("BULK-FILES", cause, wanted, f"{got}{self._at(index)}")
            ids_so_far.update(ids)
        self.seen.attachments.update(dict.fromkeys(ids_so_far, self.source))

    def _aliases(self) -> Iterator[Violation]:
        secrets = self.parsed.given("sensitive_input_values")
        if secrets is UNREAD:
            return
        runs = self._each("sensitive_input_aliases")
        each = ((index, alias_difference(secrets or {}, run.get("sensitive_input_aliases"))) for index, run in runs)
        expected = "an alias for each key of sensitive_input_values, and no others"
        yield from self._require_no_problem("BULK-ALIASES", "other keys", expected, "sensitive_input_aliases", each)

    def _require_no_problem(
        self, rule: str, cause: str, expected: str, name: str, each: Iterable[tuple[int, str | None]]
    ) -> Iterator[Violation]:
        """Yield a violation if some runs have a problem. `each` has the index of each run, and its problem in words."""
        problems = [(index, problem) for index, problem in each if problem is not None]
        if problems:
            got = problems[0][1] + place_in_words([index for index, _ in problems], len(self.runs))
            yield Violation(rule, cause, expected, got, field=name)

    def _options(self) -> Iterator[Violation]:
        """Yield violations of the options that only a single create has."""
        alias, release = self.parsed.given("session_alias"), self.parsed.given("release_session_after")
        if alias is not UNREAD:
            cause = "a session_alias that nobody gave" if alias is None else "another session_alias"
            yield from self._require_value("CREATE-ANSWER", cause, "session_alias", alias)
        if release is not UNREAD and release is not None:
            yield from self._require_value(
                "CREATE-ANSWER", "another release_session_after", "release_session_after", release
            )


def alias_difference(secrets: Mapping[str, Any], aliases: Any) -> str | None:
    """Describe which keys the aliases lack or have in excess, or which alias is empty; None if all are right."""
    aliases = aliases or {}
    if not isinstance(aliases, dict):
        return f"sensitive_input_aliases {value_in_words(aliases)}"
    if aliases.keys() != secrets.keys():
        return f"sensitive_input_aliases {keys_difference(secrets, aliases)}"
    empty = [key for key, value in secrets.items() if isinstance(value, str) and value and not aliases[key]]
    return f"an empty alias for {keys_in_words(empty)}" if empty else None
