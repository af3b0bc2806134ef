"""Filters combined: runs that differ in one attribute each, and lists by every subset of the filters."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.results import Inconclusive, WriteResult
from contracts.engine.shrink import Case
from contracts.openapi.schemas import moment_of
from contracts.oracle import Violation, gives_others_too
from contracts.rules.isolated_runs import IsolatedRuns, Query, locate
from contracts.rules.listing import items_of


@dataclass(frozen=True)
class FilterFixture:
    """A run and, per filter, the value that finds it; for a filter that is not in `has`, either result is right."""

    run: Mapping[str, Any]
    written: WriteResult
    has: Mapping[str, Any]

    def is_found(self, asked: Mapping[str, Any]) -> bool | None:
        """Return whether the filters find the run; None where either result is right."""
        answers = [self._answer(name, value) for name, value in asked.items()]
        if False in answers:
            return False
        return None if None in answers else True

    def _answer(self, name: str, value: Any) -> bool | None:
        if name in {"from", "to"}:
            own, at = moment_of(self.run["created_at"]), moment_of(value)
            if own is None or at is None:
                return None
            return own >= at if name == "from" else own <= at
        if name not in self.has:
            return None
        own = self.has[name]
        return bool(own == value)


_ATTRIBUTES: Final = ("workflow_id", "machine_id", "session_id", "status", "from", "to", "search", "deep")


def run_combined_filters(context: CaseContext, case: Case) -> None:
    """Create runs in several ways, and combine two or more filters: some match the same run, others different runs."""
    fixtures = _make_fixtures(context)
    for spec in case["queries"]:
        asked = {name: fixtures[at % len(fixtures)].has.get(name) for name, at in spec}
        if not all(asked.values()) or not {"workflow_id", "session_id", "search", "deep"} & asked.keys():
            continue
        query: Query = []
        for name, value in asked.items():
            query += {
                "from": [("created_at_from", value)],
                "to": [("created_at_to", value)],
                "deep": [("search", value), ("deep_search", "true")],
            }.get(name, [(name, value)])
        result = context.ask("list_runs", query=[*query, ("limit", "1000")])
        listed = {item.get("id") for item in items_of(result)}
        context.check.count("LIST-FILTER")
        for fixture in fixtures:
            wanted, found = fixture.is_found(asked), fixture.run["id"] in listed
            if wanted is None or wanted == found:
                continue
            rule: str = "LIST-FILTER"
            cause: str = gives_others_too(name for name, _ in query)
            if wanted:
                isolated = IsolatedRuns(("search", fixture.run["id"]))
                isolated.add(fixture.written)
                rule, cause = locate(context, isolated, fixture.run, query, 1000)
            context.fail(
                Violation(rule, cause, "exactly the runs that match", "a run missing" if wanted else "another run"),
                fixture.written.result,
                result,
            )


def _make_fixtures(context: CaseContext) -> list[FilterFixture]:
    check = context.check
    workflows = ["«workflow:0»", "«workflow:1»"] if check.workflows.invented else ["«workflow»", "«workflow»"]
    machines = ["«machine:10»", "«machine:11»"] if check.machines.invented else []
    sessions = ["«session:0»", "«session:1»"] if check.sessions.invented else []
    ways: list[tuple[str, int, dict[str, Any], str | None]] = [
        ("bulk_create_runs", 0, {"machine_id": machines[0]} if machines else {}, "cancelled"),
        ("bulk_create_runs", 1, {"machine_id": machines[1]} if machines else {}, None),
        ("bulk_create_runs", 0, {"session_id": sessions[0]} if sessions else {}, "cancelled"),
        ("create_run", 1, {"session_id": sessions[1], "session_alias": "x"} if sessions else {}, None),
        ("bulk_create_runs", 1, {"session_id": sessions[0]} if sessions else {}, "retried"),
        ("create_run", 0, {"machine_id": machines[1]} if machines else {}, "cancelled"),
    ]
    fixtures: list[FilterFixture] = []
    for index, (operation, workflow, fields, then) in enumerate(ways):
        if not check.offers(operation):
            continue
        count = {"count": 2} if operation == "bulk_create_runs" else {}
        marker = context.named(f"marker:{index}")
        body = {"workflow_id": workflows[workflow], "input_values": {"who": marker}} | fields | count
        written = context.create(operation, body)
        if not written.clean or not written.runs:
            raise Inconclusive("a create gives runs that break a rule already")
        has: dict[str, Any] = {
            "search": marker,
            "deep": marker.upper(),
            "session_id": written.runs[0]["session_id"] or "",
        }
        has |= {"workflow_id": written.runs[0]["workflow_id"]} if check.workflows.invented else {}
        has |= {"machine_id": written.runs[0]["machine_id"]} if "machine_id" in fields else {}
        for run in written.runs:
            at = {"from": run["created_at"], "to": run["created_at"]}
            fixtures.append(FilterFixture(run, written, has | at | _status_after(context, run, then)))
    return fixtures


def _status_after(context: CaseContext, run: Mapping[str, Any], then: str | None) -> dict[str, Any]:
    """Cancel a run, or cancel and retry it, as `then` says; return the `status` that finds it, {} if that is not known.

    A run that nobody cancels gets "": the filter status=cancelled must not find it.
    """
    if then is None:
        return {"status": ""}
    if not context.check.offers("update_run"):
        return {}
    result = context.call("update_run", run["id"], body={"status": "cancelled"})
    if not result.accepted or not isinstance(result.body, dict) or result.body.get("status") != "cancelled":
        return {}
    if then == "retried":
        context.call("retry_run", run["id"], body={})
        return {}
    return {"status": "cancelled"}


def combined_filter_cases(check: CheckContext) -> Iterator[Case]:
    queries = []
    for a, b in itertools.combinations(_ATTRIBUTES, 2):
        if {a, b} != {"search", "deep"}:
            for at in range(9):
                queries += [[[a, at], [b, at]], [[a, at], [b, (at * 3 + 2) % 9]], [[a, at], [b, (at * 5 + 4) % 9]]]
    for at in range(0, 9, 3):
        for size in (3, 4, 7):
            for names in itertools.combinations(_ATTRIBUTES[:-1], size):
                queries.append([[name, at] for name in names])
                odd = names[(at + size) % size]
                queries.append([[name, (at + 4) % 9 if name == odd else at] for name in names])
    queries = [query for query in queries if {"workflow_id", "session_id", "search", "deep"} & {n for n, _ in query}]
    check.random("meeting filters").shuffle(queries)
    for start in range(0, 320, 40):
        yield {"queries": queries[start : start + 40]}
