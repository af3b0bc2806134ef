"""Runs that one filter separates from all others, so that lists can be judged while other clients create runs too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.results import Inconclusive, WriteResult
from contracts.oracle import misses_a_run
from contracts.rules.listing import items_of, whole

Query = list[tuple[str, str]]


@dataclass
class IsolatedRuns:
    """The runs of one case, and a filter that only they match."""

    filter: tuple[str, str]
    runs: list[dict[str, Any]] = field(default_factory=list)
    made: list[WriteResult] = field(default_factory=list)
    _maker: dict[str, WriteResult] = field(default_factory=dict)

    def add(self, written: WriteResult) -> None:
        self.made.append(written)
        self.runs.extend(written.runs)
        self._maker.update(dict.fromkeys(written.ids, written))

    def has(self, run_id: str) -> bool:
        return run_id in self._maker

    def maker_of(self, run: Mapping[str, Any]) -> WriteResult:
        """Return the create that made the run."""
        return self._maker[run["id"]]


def within(isolated: IsolatedRuns, query: Query) -> Query:
    """Add the isolating filter to a query, unless the query has a filter of that name already."""
    named = {name for name, _ in query}
    return query if isolated.filter[0] in named else [isolated.filter, *query]


def isolating_fields(context: CaseContext) -> tuple[tuple[str, str], dict[str, Any]]:
    """Return a filter that only the case's runs match, and the fields of a create that make them match."""
    check = context.check
    if check.workflows.invented:
        return ("workflow_id", context.named("workflow")), {"workflow_id": context.named("workflow")}
    fields = {"workflow_id": context.named("workflow")}
    if check.sessions.invented:
        return ("session_id", context.named("session")), fields | {"session_id": context.named("session")}
    return ("search", context.named("marker")), fields | {"input_values": {"marker": context.named("marker")}}


def create_isolated_runs(context: CaseContext, bodies: Sequence[Mapping[str, Any]]) -> IsolatedRuns:
    if context.check.is_live:
        return _create_live_isolated_runs(context, bodies)
    isolated = IsolatedRuns(isolating_fields(context)[0])
    for body in bodies:
        grow(context, isolated, body)
    return isolated


def grow(context: CaseContext, isolated: IsolatedRuns, body: Mapping[str, Any]) -> None:
    """Create more runs that the filter matches."""
    _, fields = isolating_fields(context)
    own = dict(context.fill(dict(body)))
    if "session_id" in fields:
        own.pop("start_session", None)  # with both, a server may use another session
    if "input_values" in fields and isinstance(own.get("input_values"), dict):
        own["input_values"] = own["input_values"] | fields["input_values"]
    _add_to(context, isolated, fields | own)


def _create_live_isolated_runs(context: CaseContext, bodies: Sequence[Mapping[str, Any]]) -> IsolatedRuns:
    """Create runs in the session that the first create starts.

    Apart from the session and the fields of the bodies, the base request, which is known to work, is not changed.
    """
    isolated = IsolatedRuns(("session_id", ""))
    for body in bodies:
        joins = {"session_id": isolated.filter[1]} if isolated.runs else {"start_session": True}
        base = {"workflow_id": context.named("workflow"), "count": 1} | context.check.base_request
        _add_to(context, isolated, base | context.fill(dict(body)) | joins)
        isolated.filter = ("session_id", str(isolated.runs[0].get("session_id")))
    return isolated


def _add_to(context: CaseContext, isolated: IsolatedRuns, body: Mapping[str, Any]) -> None:
    written = context.create("bulk_create_runs", body)
    if not written.clean or not written.runs:
        raise Inconclusive("a bulk create gives runs that break a rule already")
    isolated.add(written)


def locate(
    context: CaseContext, isolated: IsolatedRuns, run: Mapping[str, Any], query: Query, limit: int
) -> tuple[str, str]:
    """Return the rule and the cause for a run that is missing from a list: they depend on which other lists have it."""
    base = [isolated.filter]
    extra = [pair for pair in query if pair != isolated.filter]
    filter_misses = "LIST-FILTER", misses_a_run(name for name, _ in query)
    if extra and _is_in(context, run, base, 1000):
        return filter_misses
    for other in (1000, 100, 37):
        if other != limit and _is_in(context, run, query, other):
            return "LIST-PAGE", "a run is on no page"
    elsewhere: list[Query] = [
        [("search", str(run["id"]))],
        [("created_at_from", run["created_at"]), ("created_at_to", run["created_at"])],
    ]
    if run.get("session_id"):
        elsewhere.append([("session_id", run["session_id"])])
    elsewhere.append([("workflow_id", run["workflow_id"])])
    for other_query in elsewhere:
        if other_query != query and _is_in(context, run, other_query, 1000):
            return filter_misses
    if _is_among_newest(context, run):
        return filter_misses
    return "LIST-COMPLETE", "a created run is not listed"


def _is_in(context: CaseContext, run: Mapping[str, Any], query: Query, limit: int) -> bool:
    try:
        items, _ = whole(context, query, limit=limit)
    except Inconclusive:
        return False
    return any(item.get("id") == run["id"] for item in items)


def _is_among_newest(context: CaseContext, run: Mapping[str, Any]) -> bool:
    for page in range(6):
        result = context.call(
            "list_runs", query=[("limit", "1000"), ("skip", str(page * 1000)), ("sort_mode", "created_at_desc")]
        )
        items = items_of(result)
        if any(item.get("id") == run["id"] for item in items):
            return True
        if len(items) < 1000:
            return False
    return False


def isolating_filter(check: CheckContext) -> str:
    return "workflow_id" if check.workflows.invented else "session_id" if check.sessions.invented else "search"
