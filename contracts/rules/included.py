"""Resources in `included`, which reads and lists of runs show if `include` asks for them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from contracts.core.findings import Rule
from contracts.data.limits import DEFAULT_LIMIT, MAX_LIMIT
from contracts.engine import CallResult, Case, CaseContext, CheckContext, Scenario, WriteResult, assume
from contracts.oracle.included import INCLUDE_RULE, included_violations, pool_ids_of, pools_of
from contracts.rules.list_checks import judge_list
from contracts.rules.list_reads import NEWEST_FIRST, WHOLE_PAGE, items_of, page_of, paging_query, read_page
from contracts.rules.reads_by_id import READING_AND_CHANGING
from contracts.rules.tracked_run import TrackedRun
from contracts.rules.writes import add_machines, create_resource

RULES = (
    Rule(
        INCLUDE_RULE,
        "api",
        "major",
        "Included resources are those that were asked for",
        "If a request asks with `include` for resources of its runs, the answer shows each of them once in `included`, "
        "with its type and the values that a read of it shows, and no other resource.",
        READING_AND_CHANGING,
        needs=("get_run",),
        needs_one_of=("get_workflow", "get_machine"),
        value_fields=("included",),
    ),
)

INCLUDES: Final = ("workflow", "machine", "machine.pools", "workflow,machine", "workflow,machine,machine.pools")


@dataclass(frozen=True)
class IncludeCase(Case):
    """Runs of existing workflows, on the machines in turn: two runs of the first workflow, `count` of each other."""

    workflows: tuple[str, ...]
    machines: tuple[str, ...] = ()
    count: int = 1
    includes: tuple[str, ...] = INCLUDES
    pages: int = 0
    """How many pages with a single run are read too."""
    is_cancelled: bool = False
    """Whether all runs are cancelled before anything is read, if the target offers updates."""
    is_retried: bool = False
    """Whether the first run is retried on the second machine, before anything is read."""
    equal_names: int = 0
    """How many more workflows are created, all with the same name. Runs are created for each of them too."""
    in_one_pool: bool = False
    """Whether the machines are added to a new pool."""

    @property
    def expected_runs(self) -> int:
        return 2 + self.count * max(0, len(self.workflows) + self.equal_names - 1)


def run_included(context: CaseContext, case: IncludeCase) -> None:
    """Read one run and list all runs, with each `include`. Only values that do not change meanwhile are compared."""
    workflows = [str(context.fill(workflow)) for workflow in case.workflows]
    for _ in range(case.equal_names):
        workflows.append(create_resource(context, "create_workflow", name="contracts").body["id"])
    if case.in_one_pool:
        add_machines(context, create_resource(context, "create_pool").body["id"], case.machines)
    ids = {"get_workflow": workflows, "get_machine": case.machines}
    before = read_resources(context, ids)
    creates = _create_runs(context, case, workflows)
    created = [each.result for each in creates]
    found = [(include, view) for include in case.includes for view in _views(context, case, creates, include)]
    after = read_resources(context, ids)
    if context.check.offers("list_runs"):
        _search_by_names(context, created, after)
    known = stable_resources(before, after)
    for include, result in found:
        if isinstance(result.body, dict):
            runs = items_of(result) or [result.body]
            evidence = [read for resource, read in after.items() if any(resource in run.values() for run in runs)]
            violations = included_violations(result.body, include.split(","), known)
            context.judge(INCLUDE_RULE, violations, *created, *evidence, result)


def _create_runs(context: CaseContext, case: IncludeCase, workflows: Sequence[str]) -> list[WriteResult]:
    creates: list[WriteResult] = []
    inputs = {"marker": context.placeholder("marker")}
    for number, workflow in enumerate((workflows[0], *workflows)):
        machine = {"machine_id": case.machines[number % len(case.machines)]} if case.machines else {}
        count = 1 if number < 2 else case.count
        creates.append(context.some_runs(count, workflow_id=workflow, input_values=inputs, **machine))
    if case.is_cancelled and context.check.offers("update_run"):
        for run_id in (run_id for each in creates for run_id in each.ids):
            context.cancel(run_id)
    if case.is_retried:
        run = TrackedRun.of(context, creates[0])
        run.cancel()
        run.retry({"machine_id": case.machines[1]})
    return creates


def _views(
    context: CaseContext, case: IncludeCase, creates: Sequence[WriteResult], include: str
) -> Iterator[CallResult]:
    """Yield answers with included resources: a read of the first run, and lists of all runs, whole and in pages."""
    yield context.call_valid("get_run", creates[0].ids[0], query=[("include", include)])
    if context.check.offers("list_runs"):
        query = [("search", context.placeholder("marker")), ("include", include), NEWEST_FIRST]
        every = context.call_valid("list_runs", query=[*query, WHOLE_PAGE])
        whole = page_of(every, query, limit=MAX_LIMIT)
        judge_list(context, whole, (), lambda run_id: [each.result for each in creates])
        yield every
        pages = [paging_query(skip, 1) for skip in range(case.pages)]
        for page in ([WHOLE_PAGE, ("fields", "session_id")], *pages):
            yield context.call_valid("list_runs", query=[*query, *page])


def _search_by_names(context: CaseContext, created: Sequence[CallResult], reads: Mapping[str, CallResult]) -> None:
    """Search for the names of workflows and machines. Only runs with such a text in their own values may be found."""
    evidence = [*created, *reads.values()]
    names = (read.body.get(field) for read in reads.values() for field in ("name", "hostname"))
    for name in sorted({name for name in names if isinstance(name, str) and name}):
        found = read_page(context, [("search", name), NEWEST_FIRST], limit=MAX_LIMIT)
        judge_list(context, found, (), lambda run_id: evidence)


def read_resources(context: CaseContext, ids: Mapping[str, Sequence[str]]) -> dict[str, CallResult]:
    """Return the reads that succeeded, by id."""
    reads = {
        resource_id: context.call(operation, resource_id)
        for operation, resource_ids in ids.items()
        if context.check.offers(operation)
        for resource_id in resource_ids
    }
    return {resource_id: read for resource_id, read in reads.items() if read.resource is not None}


def _resources(reads: Mapping[str, CallResult]) -> dict[str, dict[str, Any]]:
    """Return the resources that were read, and the pools that a machine shows, by id."""
    resources = {resource_id: read.body for resource_id, read in reads.items()}
    pools = [pool for machine in resources.values() for pool in pools_of(machine) or ()]
    return {str(pool.get("id")): pool for pool in pools} | resources


_CHANGE_BY_THEMSELVES: Final = frozenset({"status", "is_available", "last_seen", "reserved_session_id"})
"""Fields of a machine: they may change and change back between two reads."""


def stable_resources(before: Mapping[str, CallResult], after: Mapping[str, CallResult]) -> dict[str, dict[str, Any]]:
    """Return, by id, the plain values, and the pools of a machine, that two reads show alike."""
    known: dict[str, dict[str, Any]] = {}
    old, new = _resources(before), _resources(after)
    for resource_id in old.keys() & new.keys():
        same = {name: value for name, value in new[resource_id].items() if old[resource_id].get(name) == value}
        plain = {name: value for name, value in same.items() if isinstance(value, str | int | float)}
        known[resource_id] = {name: value for name, value in plain.items() if name not in _CHANGE_BY_THEMSELVES}
        pools = [pool_ids_of(each[resource_id]) for each in (old, new)]
        if pools[0] is not None and pools[0] == pools[1]:
            known[resource_id]["pools"] = new[resource_id]["pools"]
    return known


def include_cases(check: CheckContext) -> Iterator[IncludeCase]:
    workflows = check.workflows.known[:2]
    if not workflows and check.workflows.accepts_any_id:
        workflows = ("«workflow»",)
    if workflows:
        yield IncludeCase(workflows)
        yield IncludeCase(workflows, includes=("workflow",), pages=3)
        yield IncludeCase(workflows, includes=("workflow",), count=DEFAULT_LIMIT + 1)
        if check.offers("create_workflow"):
            yield IncludeCase(workflows[:1], includes=("workflow",), equal_names=2)
        if check.machines.known:
            yield IncludeCase(workflows, check.machines.known[:1], is_cancelled=True)
            yield IncludeCase(workflows, check.machines.known[:2])
        if check.machines.known[1:] and check.offers("create_pool", "add_machine_to_pool"):
            includes = ("machine.pools", "machine.pools,machine,workflow")
            yield IncludeCase(workflows[:1], check.machines.known[:2], includes=includes, in_one_pool=True)
        if check.machines.known[1:] and check.offers("update_run", "retry_run"):
            yield IncludeCase(workflows[:1], check.machines.known[:2], includes=("machine",), is_retried=True)


@dataclass(frozen=True)
class ManyWorkflowsCase(Case):
    """A chain with a run of each workflow that the check has created, but of at most one more than a default page."""

    expected_runs: ClassVar[int] = DEFAULT_LIMIT + 1


def run_with_many_workflows(context: CaseContext, case: ManyWorkflowsCase) -> None:
    """List the runs of many workflows, and include the workflows. Those that need inputs are left out."""
    known = context.check.workflows.known
    listed = items_of(context.call_valid("list_workflows", query=[WHOLE_PAGE]))
    made = [each["id"] for each in listed if each["id"] not in known and not each.get("input_schema")]
    workflows = made[: DEFAULT_LIMIT + 1]
    assume(len(workflows) >= 2, "no workflows have been created that need no inputs")
    created = context.call("create_run_chain", body={"steps": [{"workflow_id": each} for each in workflows]})
    runs = created.shown("run_ids") or ()
    session = str(context.call_valid("get_run", runs[0]).body.get("session_id") or "") if runs else ""
    assume(session, "a chain cannot be created, or has no session")
    query = [("session_id", session), ("include", "workflow"), WHOLE_PAGE, NEWEST_FIRST]
    result = context.call_valid("list_runs", query=query, after=[created])
    violations = included_violations(result.body, ["workflow"], {each: {} for each in workflows})
    context.judge(INCLUDE_RULE, violations, created, result)


SCENARIOS = (
    Scenario(
        "runs of many workflows",
        (INCLUDE_RULE,),
        run_with_many_workflows,
        lambda check: [ManyWorkflowsCase()] if check.offers("create_workflow") else [],
        needs=("get_run", "list_runs", "list_workflows", "create_run_chain"),
        order=8,
    ),
    Scenario(
        "runs with their resources",
        (INCLUDE_RULE, "READ-BACK", "LIST-COMPLETE", "LIST-FILTER"),
        run_included,
        include_cases,
        needs=("get_run",),
        order=2,
    ),
)
