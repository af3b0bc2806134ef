"""Runs that one filter separates from all others, so that lists can be judged while other clients create runs too."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from contracts.engine import CallResult, CaseContext, CheckContext, WriteResult, assume
from contracts.oracle.run_list import DELETED, ListCandidate, Query
from contracts.rules.writes import create_runs


@dataclass
class IsolatedRuns:
    """The runs of one case, each as the last answer showed it, and a filter that only they match."""

    filter: tuple[str, str]
    fields: Mapping[str, Any] = field(default_factory=dict)
    """The fields of a create that make the filter match."""
    runs: list[dict[str, Any]] = field(default_factory=list)
    deleted: list[dict[str, Any]] = field(default_factory=list)
    creates: list[WriteResult] = field(default_factory=list)
    _create_of: dict[str, WriteResult] = field(default_factory=dict)

    def add(self, written: WriteResult) -> None:
        self.creates.append(written)
        self.runs.extend(written.runs)
        self._create_of.update(dict.fromkeys(written.ids, written))

    def change(self, result: CallResult) -> None:
        """Replace a run by the run in the answer to a change, if the answer has one."""
        view = result.resource or {}
        assume("id" in view or not result.accepted, "the answer to a change has no id")
        self.runs = [view if run["id"] == view.get("id") else run for run in self.runs]

    def delete(self, run: dict[str, Any]) -> None:
        self.runs.remove(run)
        self.deleted.append(run)

    def create_of(self, run: Mapping[str, Any]) -> WriteResult:
        """Return the create that made the run."""
        return self._create_of[run["id"]]

    @property
    def candidates(self) -> list[ListCandidate]:
        alive = [ListCandidate.of(run, self.create_of(run).parsed) for run in self.runs]
        return alive + [ListCandidate.of(run, self.create_of(run).parsed, DELETED) for run in self.deleted]

    def evidence_of(self, run_id: str | None) -> list[CallResult]:
        """Return the create of a run; for None, the last two creates."""
        shown = self.creates[-2:] if run_id is None else [self._create_of[run_id]]
        return [written.result for written in shown]

    def filtered(self, query: Query) -> Query:
        """Add the isolating filter to a query, unless the query has a filter of that name already."""
        return query if self.filter[0] in dict(query) else [self.filter, *query]


SESSION_FIELDS: Final = frozenset({"session_id", "start_session", "reuse_session"})
"""Fields of a request that may change the session of a run."""
_DEPEND_ON_SESSION: Final = SESSION_FIELDS | {"machine_id", "pool_ids"}


def isolating_filter(check: CheckContext, varied: Collection[str] = ()) -> str:
    """Return the name of the isolating filter. It is not `session_id` if a varied field depends on the session."""
    if check.workflows.accepts_any_id:
        return "workflow_id"
    is_free = check.sessions.accepts_any_id and _DEPEND_ON_SESSION.isdisjoint(varied)
    return "session_id" if is_free else "search"


def isolating_fields(context: CaseContext, varied: Collection[str] = ()) -> tuple[tuple[str, str], dict[str, Any]]:
    """Return a filter that only the case's runs match, and the fields of a create that make them match."""
    fields = {"workflow_id": context.placeholder("workflow")}
    match isolating_filter(context.check, varied):
        case "workflow_id":
            return ("workflow_id", fields["workflow_id"]), fields
        case "session_id":
            session = context.placeholder("session")
            return ("session_id", session), fields | {"session_id": session}
        case _:
            marker = context.placeholder("marker")
            return ("search", marker), fields | {"input_values": {"marker": marker}}


def create_isolated_runs(
    context: CaseContext, bodies: Sequence[Mapping[str, Any]], varied: Collection[str] = ()
) -> IsolatedRuns:
    if context.check.is_live:
        return _create_live_isolated_runs(context, bodies)
    isolated = IsolatedRuns(*isolating_fields(context, varied))
    for body in bodies:
        create_more_runs(context, isolated, body)
    return isolated


def create_more_runs(context: CaseContext, isolated: IsolatedRuns, body: Mapping[str, Any]) -> None:
    """Create more runs that the filter matches. A body with steps creates a chain."""
    fields, own = dict(isolated.fields), dict(context.fill(dict(body)))
    if "session_id" in fields:
        own.pop("start_session", None)  # with both, a server may use another session
    inputs = fields.pop("input_values", {})
    if "steps" in own:
        workflow = {"workflow_id": fields.pop("workflow_id")}
        own["steps"] = [workflow | _with_inputs(step, "inputs", inputs) for step in own["steps"]]
    else:
        own = _with_inputs(own, "input_values", inputs)
    _add_to(context, isolated, fields | own)


def _with_inputs(fields: dict[str, Any], name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return fields | {name: {**(fields.get(name) or {}), **inputs}} if inputs else fields


def _create_live_isolated_runs(context: CaseContext, bodies: Sequence[Mapping[str, Any]]) -> IsolatedRuns:
    """Create runs by the base request, with the fields of a body, in the session that the first create starts."""
    isolated = IsolatedRuns(("session_id", ""))
    for body in bodies:
        joins = {"session_id": isolated.filter[1]} if isolated.runs else {"start_session": True}
        base = {"workflow_id": context.placeholder("workflow"), "count": 1} | context.check.base_request
        _add_to(context, isolated, base | context.fill(dict(body)) | joins)
        isolated.filter = ("session_id", str(isolated.runs[0].get("session_id")))
    return isolated


def _add_to(context: CaseContext, isolated: IsolatedRuns, body: Mapping[str, Any]) -> None:
    operation = "create_run_chain" if "steps" in body else "bulk_create_runs" if "count" in body else "create_run"
    isolated.add(create_runs(context, operation, body))
