"""Filters of the list of runs: each alone, several together, over few and many runs, and values that match nothing."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, timedelta, timezone
from typing import Any, Final

from contracts.data import boundary_values
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.results import Inconclusive
from contracts.engine.runner import Scenario
from contracts.engine.shrink import Case
from contracts.openapi.schemas import moment_of
from contracts.rules.combined_filters import combined_filter_cases, run_combined_filters
from contracts.rules.isolated_runs import (
    IsolatedRuns,
    Query,
    create_isolated_runs,
    isolating_fields,
    isolating_filter,
    within,
)
from contracts.rules.large_filters import (
    large_filter_cases,
    nonsense_cases,
    require_only_matches,
    run_large_filters,
    run_nonsense,
)
from contracts.rules.lists import GROUP, LISTS
from contracts.rules.paging import check_pages, no_strangers
from contracts.rules.rule import Rule

RULES = (
    Rule(
        "LIST-FILTER",
        "api",
        "Filters give exactly the matching runs",
        "workflow_id, machine_id, session_id, status, created_at_from and created_at_to (inclusive), search and "
        "deep_search, each and together. search finds a part of a value in id, input_values, output_data, error and "
        "session_alias, in any case; deep_search also in run_message_history.",
        GROUP,
        needs=LISTS,
    ),
)


# Filters


_WORDS: Final = ("contracts", "Kilo", "MIXEDcase")


def run_filters(context: CaseContext, case: Case) -> None:
    """Create runs (a dozen by default) that differ in everything a filter looks at, and judge queries over them."""
    isolated, facts = _filter_runs(context, case)
    for spec in case["queries"]:
        query, predicate = _filters(context, isolated, facts, spec)
        if query is None:
            continue
        full = within(isolated, query)
        expected = [run for run in isolated.runs if predicate(run) is True]
        allowed = {run["id"] for run in isolated.runs if predicate(run) is not False}
        items = check_pages(context, isolated, expected, full, limit=case.get("limit", 1000))
        if items is None:
            continue
        require_only_matches(context, isolated, items, allowed, query)
        strangers = [item for identity, item in items.items() if not isolated.has(identity)]
        no_strangers(context, isolated, strangers, full)


def _filter_runs(context: CaseContext, case: Case) -> tuple[IsolatedRuns, dict[str, Any]]:
    check = context.check
    bodies: list[dict[str, Any]] = []
    for index in range(case.get("groups", 6)):
        body: dict[str, Any] = {
            "count": 1 + index % 3,
            "input_values": {
                "who": f"«marker:{index}»",
                "deep": {"list": [1, {"at": f"Deep«marker:{index + 20}»End"}]},
            },
        }
        if index == 1:
            body["input_values"] |= _inputs_hard_to_search(context)
            body["sensitive_input_values"] = {"k«marker:63»": "«secret»"}
            body["file_inputs"] = [boundary_values.file("f«marker:62».txt")]
        if index % 2 and check.machines.available and (check.machines.invented or index == 1):
            body["machine_id"] = f"«machine:{index % 4}»" if check.machines.invented else "«machine»"
        if index % 3 == 2 and check.sessions.invented and isolating_filter(check) != "session_id":
            body["session_id"] = f"«session:{index % 2}»"
        bodies.append(body)
    isolated = create_isolated_runs(context, bodies)
    facts: dict[str, Any] = {"cancelled": set(), "texts": {}}
    if check.offers("update_run"):
        for index, run in enumerate(isolated.runs):
            if index % 3 == 0:
                result = context.call("update_run", run["id"], body={"status": "cancelled"})
                if result.accepted and isinstance(result.body, dict) and result.body.get("status") == "cancelled":
                    facts["cancelled"].add(run["id"])
    if check.offers("update_run") and isolated.runs:
        patched = isolated.runs[0]
        texts = {
            "output_data": {
                "result": {"list": ["x", f"Out{context.named('marker:40')}put"]},
                "n": context.named("number:1"),
            },
            "error": ["plain", f"Err{context.named('marker:41')}or"],
            "run_message_history": [
                {"role": "user", "content": "hello"},
                {"role": "tool", "content": [{"text": f"Msg{context.named('marker:42')}Body"}]},
                {"role": "assistant", "content": "done"},
            ],
            "usage_metadata": {"u": context.named("marker:64")},
        }
        for name, value in texts.items():
            result = context.call("update_run", patched["id"], body={name: value})
            if result.accepted and isinstance(result.body, dict) and result.body.get(name) == value:
                facts["texts"][name] = patched["id"]
    if check.offers("create_run") and case.get("alias"):
        _, fields = isolating_fields(context)
        alias = {"session_alias": f"Ali{context.named('marker:43').upper()}as"}
        written = context.create(
            "create_run", fields | alias | ({} if "session_id" in fields else {"start_session": True})
        )
        if written.clean:
            isolated.add(written)
            facts["texts"]["session_alias"] = written.runs[0]["id"]
    return isolated, facts


def _inputs_hard_to_search(context: CaseContext) -> dict[str, Any]:
    """Return inputs with markers where a search may overlook them, and one in a name, where it must not look."""
    return {
        f"k{context.named('marker:60')}": 1,
        "number": context.named("number:0"),
        "long": "x " * 2000 + context.named("marker:65"),
        "levels": [[{"a": {"b": [{"c": {"d": [1, None, {"e": context.named("marker:61")}]}}]}}]],
        "second": ["x", context.named("marker:66"), "y"],
        "joined": f"{context.named('marker:67')} {context.named('marker:68')}",
    }


Predicate = Callable[[Mapping[str, Any]], bool | None]


def _filters(
    context: CaseContext, isolated: IsolatedRuns, facts: Mapping[str, Any], spec: Sequence[Any]
) -> tuple[Query | None, Predicate]:
    """Return the query of a case's filters, and a predicate that tells whether they match a run.

    The predicate returns None where either is right. The query is None where a filter cannot be used with these runs.
    """
    query: Query = []
    predicates: list[Predicate] = []
    for name, *parts in spec:
        made = _filter(context, isolated, facts, name, parts)
        if made is None:
            return None, lambda run: None
        pairs, predicate = made
        query += pairs
        predicates.append(predicate)

    def together(run: Mapping[str, Any]) -> bool | None:
        answers = [predicate(run) for predicate in predicates]
        if False in answers:
            return False
        return None if None in answers else True

    return query, together


def _filter(
    context: CaseContext, isolated: IsolatedRuns, facts: Mapping[str, Any], name: str, parts: Sequence[Any]
) -> tuple[Query, Predicate] | None:
    if not isolated.runs:
        raise Inconclusive("no runs to filter")
    run = isolated.runs[parts[0] % len(isolated.runs)] if parts and isinstance(parts[0], int) else isolated.runs[0]
    match name:
        case "workflow_id":
            return [("workflow_id", run["workflow_id"])], lambda r: r["workflow_id"] == run["workflow_id"]
        case "machine_id":
            asked = [
                r
                for w in isolated.made
                for r in w.runs
                if w.parsed.given("machine_id") and not w.parsed.given("session_id")
            ]
            if not asked:
                return None
            chosen = asked[parts[0] % len(asked)]["machine_id"]
            determined = {r["id"] for r in asked}
            return [("machine_id", chosen)], lambda r: r["machine_id"] == chosen if r["id"] in determined else None
        case "session_id":
            with_session = [r for r in isolated.runs if r.get("session_id")]
            if not with_session:
                return None
            session = with_session[parts[0] % len(with_session)]["session_id"]
            return [("session_id", session)], lambda r: r.get("session_id") == session
        case "unknown":
            return [
                (parts[0], context.named("uuid:77"))
            ], lambda r: False if parts[0] != "machine_id" else (False if r.get("machine_id") else None)
        case "status":
            status = parts[0]
            cancelled = facts["cancelled"]
            return [
                ("status", status)
            ], lambda r: (status == "cancelled") if r["id"] in cancelled else (None if status != "cancelled" else False)
        case "from" | "to":
            return _time_filter(run, name, parts)
        case "search":
            return _search_filter(context, isolated, facts, parts)
    raise ValueError(name)


def _time_filter(run: Mapping[str, Any], name: str, parts: Sequence[Any]) -> tuple[Query, Predicate] | None:
    """Return a filter by the created_at of a run, shifted by microseconds and written in one of several ways.

    The way "second" takes created_at without its fraction of a second, and shifts it by seconds.
    """
    moment = moment_of(run["created_at"])
    if moment is None:
        return None
    shift, way = parts[1], parts[2]
    at = moment + timedelta(microseconds=shift)
    match way:
        case "as given":
            text = run["created_at"] if not shift else at.isoformat()
        case "utc":
            text = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        case "second":
            at = moment.replace(microsecond=0) + timedelta(seconds=shift)
            text = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        case "east":
            text = at.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat()
        case _:
            text = at.astimezone(timezone(timedelta(hours=-11))).isoformat()

    def at_or_after(r: Mapping[str, Any]) -> bool | None:
        own = moment_of(r["created_at"])
        return None if own is None else own >= at

    def at_or_before(r: Mapping[str, Any]) -> bool | None:
        own = moment_of(r["created_at"])
        return None if own is None else own <= at

    return [(f"created_at_{name}", text)], at_or_after if name == "from" else at_or_before


def _search_filter(
    context: CaseContext, isolated: IsolatedRuns, facts: Mapping[str, Any], parts: Sequence[Any]
) -> tuple[Query, Predicate] | None:
    where, how = parts[0], parts[1]
    deep = len(parts) > 2 and parts[2]
    ids: set[str]
    if where == "id":
        run = isolated.runs[len(isolated.runs) // 2]
        text, ids = run["id"], {run["id"]}
    elif where == "part of id":
        run = isolated.runs[-1]
        text, ids = run["id"][9:30], {run["id"]}
    elif where in {"input_values", "nested"}:
        index = 1 if where == "input_values" else 21
        text = context.named(f"marker:{index}")
        ids = {r["id"] for r in isolated.runs if text in json.dumps(r.get("input_values"))}
    elif where == "nothing":
        text, ids = context.named("marker:99"), set()
    elif where in _HARD_TO_SEARCH:
        text = str(context.named(_HARD_TO_SEARCH[where]))
        ids = {r["id"] for r in isolated.runs if text in json.dumps(r.get("input_values"))}
    elif where in _UNSEARCHED:
        text, ids = str(context.named(_UNSEARCHED[where])), set()
    elif where == "output number":
        if "output_data" not in facts["texts"]:
            return None
        text, ids = str(context.named("number:1")), {facts["texts"]["output_data"]}
    elif where == "everything":
        if isolated.filter[0] == "search":
            return None  # the runs of all cases have that word
        text = context.check.run_mark
        ids = {
            r["id"]
            for r in isolated.runs
            if text in json.dumps(r.get("input_values")) or r["id"] in facts["texts"].values()
        }
    else:
        if where not in facts["texts"]:
            return None
        number = {"output_data": 40, "error": 41, "run_message_history": 42, "session_alias": 43}[where]
        text, ids = context.named(f"marker:{number}"), {facts["texts"][where]}
        if where == "run_message_history" and not deep:
            ids = set()
    match how:
        case "upper":
            text = text.upper()
        case "mixed":
            text = "".join(c.upper() if i % 2 else c for i, c in enumerate(text))
        case "middle":
            text = text[3:-1]  # keeps the whole number, which the markers of other runs do not have
    query = [("search", text)] + ([("deep_search", "true")] if deep else [])
    return query, lambda r: r["id"] in ids


_HARD_TO_SEARCH: Final = {
    "number": "number:0",
    "a long text": "marker:65",
    "many levels down": "marker:61",
    "second of a list": "marker:66",
    "second word": "marker:68",
}
_UNSEARCHED: Final = {
    "name of an input": "marker:60",
    "name of a file": "marker:62",
    "name of a secret": "marker:63",
    "usage_metadata": "marker:64",
}
"""Places where a search must find nothing: it is documented to look only at the values of certain fields."""
_SINGLE_FILTERS: Final[tuple[Any, ...]] = (
    ["workflow_id", 0],
    ["machine_id", 0],
    ["machine_id", 2],
    ["session_id", 0],
    ["session_id", 1],
    ["unknown", "workflow_id"],
    ["unknown", "session_id"],
    ["unknown", "machine_id"],
    ["status", "cancelled"],
    ["status", "scheduling"],
    ["status", "running"],
    ["status", "success"],
    ["status", "task_failed"],
    ["status", "error"],
    *(["from", index, shift, way] for index in (0, 5, -1) for shift in (0, 1, -1) for way in ("as given", "utc")),
    *(["to", index, shift, way] for index in (0, 5, -1) for shift in (0, 1, -1) for way in ("as given", "utc")),
    *(
        [name, index, shift, way]
        for name in ("from", "to")
        for index in (0, 5)
        for shift in (0, 1, -1)
        for way in ("east", "west", "second")
    ),
)
_SEARCHES: Final[tuple[Any, ...]] = (
    *(
        ["search", where, how]
        for where in (
            "id",
            "part of id",
            "input_values",
            "nested",
            "output_data",
            "error",
            "session_alias",
            "nothing",
            "everything",
        )
        for how in ("plain", "upper", "mixed", "middle")
    ),
    *(
        ["search", where, how, True]
        for where in (
            "id",
            "input_values",
            "nested",
            "output_data",
            "error",
            "session_alias",
            "run_message_history",
            "nothing",
            "everything",
        )
        for how in ("plain", "upper")
    ),
    ["search", "run_message_history", "plain"],
    *(["search", where, "plain"] for where in (*_HARD_TO_SEARCH, *_UNSEARCHED, "output number")),
    *(["search", where, "plain", True] for where in (*_HARD_TO_SEARCH, *_UNSEARCHED, "output number")),
)
_FILTER_KINDS: Final[dict[str, list[Any]]] = {
    "workflow_id": ["workflow_id", 0],
    "machine_id": ["machine_id", 0],
    "session_id": ["session_id", 0],
    "status": ["status", "cancelled"],
    "from": ["from", 4, 0, "as given"],
    "to": ["to", 6, 0, "utc"],
    "search": ["search", "input_values", "plain"],
    "search everything": ["search", "everything", "plain"],
    "deep": ["search", "everything", "upper", True],
}


_NEUTRAL_PARAMETERS: Final[tuple[Query, ...]] = (
    [("fields", "input_values")],
    [("fields", "session_id"), ("fields", "error")],
    [("include", "workflow")],
    [("deep_search", "true")],
    [("deep_search", "false")],
    [("search", "«marker:1»"), ("fields", "session_id")],
    [("search", "«marker:1»"), ("fields", "input_values"), ("deep_search", "true")],
    [("search", "«marker:1»"), ("include", "workflow")],
)
"""Parameters that do not change which runs are found: marker 1 is in the inputs of all of them."""


def run_neutral_parameters(context: CaseContext, case: Case) -> None:
    """Read pages of queries that also have parameters which do not change what is found."""
    isolated = create_isolated_runs(
        context, [{"count": count, "input_values": {"who": "«marker:1»"}} for count in case["counts"]]
    )
    for pairs in case["beside"]:
        query = within(isolated, [(name, context.fill(value)) for name, value in pairs])
        for limit in case["limits"]:
            check_pages(context, isolated, isolated.runs, query, limit=limit)


def neutral_parameter_cases(check: CheckContext) -> Iterator[Case]:
    yield {
        "counts": [3, 2],
        "beside": [[list(p) for p in pairs] for pairs in _NEUTRAL_PARAMETERS],
        "limits": [1, 2, 100],
    }
    yield {
        "counts": [104],
        "beside": [[list(p) for p in pairs] for pairs in (*_NEUTRAL_PARAMETERS[:3], *_NEUTRAL_PARAMETERS[5:])],
        "limits": [50, 1000],
    }


def filter_cases(check: CheckContext) -> Iterator[Case]:
    alone = [[spec] for spec in _SINGLE_FILTERS]
    searches = [[spec] for spec in _SEARCHES]
    for queries in (
        alone[:14],
        alone[14:32],
        alone[32:],
        searches[:18],
        searches[18:36],
        searches[36:54],
        searches[54:],
    ):
        yield {"groups": 6, "queries": queries, "alias": True}
    pairs = [list(pair) for pair in itertools.combinations(_FILTER_KINDS.values(), 2) if pair[0][0] != pair[1][0]]
    yield {"groups": 6, "queries": pairs[: len(pairs) // 2]}
    yield {"groups": 6, "queries": pairs[len(pairs) // 2 :]}
    triples = [list(t) for t in itertools.combinations(_FILTER_KINDS.values(), 3) if len({p[0] for p in t}) == 3]
    for start in range(0, len(triples), 25):
        yield {"groups": 6, "queries": triples[start : start + 25]}
    yield {"groups": 12, "queries": [[w] for w in _FILTER_KINDS.values()] + pairs[::3], "limit": 2}
    pick = random.Random(check.target.seed)
    yield {
        "groups": 8,
        "queries": [pick.sample(list(_SINGLE_FILTERS), 1) + pick.sample(list(_SEARCHES), 1) for _ in range(20)],
        "alias": True,
    }


SCENARIOS = (
    Scenario(
        "lists with filters",
        ("LIST-FILTER", "LIST-PAGE", "LIST-COMPLETE"),
        run_filters,
        filter_cases,
        needs=LISTS,
        priority=1,
    ),
    Scenario(
        "pages with filters",
        ("LIST-PAGE", "LIST-FILTER", "LIST-COMPLETE"),
        run_neutral_parameters,
        neutral_parameter_cases,
        needs=LISTS,
        priority=1,
    ),
    Scenario(
        "lists with filters combined",
        ("LIST-FILTER", "LIST-COMPLETE"),
        run_combined_filters,
        combined_filter_cases,
        needs=LISTS,
        priority=1,
    ),
    Scenario(
        "large lists with filters",
        ("LIST-FILTER", "LIST-PAGE"),
        run_large_filters,
        large_filter_cases,
        needs=LISTS,
        priority=1,
    ),
    Scenario("filters with invalid values", ("LIST-FILTER",), run_nonsense, nonsense_cases, needs=LISTS, priority=1),
)
