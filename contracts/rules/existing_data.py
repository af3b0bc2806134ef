"""Scenarios for checks that may create nothing. They read what the target has already, whoever created it.

A check that may create runs judges the same rules by runs of its own, so it has no cases of these scenarios. Only the
last one has a case in every live check, since no other case of a live check reads included resources.
"""

import itertools
from collections.abc import Iterator
from typing import Any, Final

from contracts.core.exchange import SECOND_TOKEN
from contracts.engine import Case, CaseContext, CheckContext, Scenario, assume
from contracts.openapi.router import path_parameter
from contracts.openapi.schemas import operations
from contracts.oracle.included import INCLUDE_RULE, included_violations
from contracts.rules.authorization import CredentialsCase, invalid_headers, run_unauthorized
from contracts.rules.included import read_resources, stable_resources
from contracts.rules.list_reads import NEWEST_FIRST, items_of, listed_item

_NEWEST: Final = 20
"""How many runs of each organisation are compared: few, since a target may hold many large ones."""
_WRONG_TOKENS: Final = 6
"""How many wrong tokens one operation gets: a deployment may block clients that send many."""
_READS: Final = tuple(name for name, (method, _) in operations().items() if method == "GET" and name != "health_check")


def _read_cases(check: CheckContext) -> Iterator[CredentialsCase]:
    """Yield, for each read of something that is known to exist, one Authorization header of each kind. The list of runs
    gets some more wrong tokens.
    """
    if check.may_create:
        return
    *others, wrong_tokens = invalid_headers(check)
    known = check.known_ids | {"run_id": () if check.foreign_run is None else (check.foreign_run,)}
    for operation in _READS:
        parameter = path_parameter(operations()[operation][1])
        if check.offers(operation) and (not parameter or known.get(parameter)):
            headers = wrong_tokens[:_WRONG_TOKENS] if operation == "list_runs" else wrong_tokens[:1]
            yield CredentialsCase(operation, tuple(itertools.chain(*(group[:1] for group in others), headers)))


def run_two_organisations(context: CaseContext, case: Case) -> None:
    """Require that the second organisation lists no new run of the first one, and cannot read the newest."""
    query = [NEWEST_FIRST, ("limit", str(_NEWEST))]
    mine = context.call_valid("list_runs", query=query)
    ids = [str(item.get("id")) for item in items_of(mine)]
    assume(ids, "there is no run")
    theirs = context.call_valid("list_runs", query=query, token=SECOND_TOKEN)
    common = next((run_id for run_id in ids if listed_item(theirs, run_id)), None)
    cause, expected = "both tokens list the same run", "runs of its own for each organisation"
    got = f"run {common} in both lists: another organisation sees it, or both tokens are of one organisation"
    context.require(common is None, "AUTH-TENANT", cause, expected, mine, theirs, got=got)
    if context.check.offers("get_run"):
        read = context.call("get_run", ids[0], token=SECOND_TOKEN)
        cause = "another organisation may use get_run"
        expected = "404, since for another organisation the run does not exist"
        context.require(not read.accepted, "AUTH-TENANT", cause, expected, mine, read)


def run_existing_included(context: CaseContext, case: Case) -> None:
    """Read the newest run with its workflow and its machine. Each must be as it is when it is read by its id."""
    listed = context.call_valid("list_runs", query=[NEWEST_FIRST, ("limit", "1")])
    assume(items_of(listed), "there is no run")
    run = items_of(listed)[0]
    named = {"get_workflow": run.get("workflow_id"), "get_machine": run.get("machine_id")}
    ids = {operation: [resource_id] for operation, resource_id in named.items() if isinstance(resource_id, str)}
    before = read_resources(context, ids)
    result = context.call_valid("get_run", str(run.get("id")), query=[("include", "workflow,machine")])
    after = read_resources(context, ids)
    known = stable_resources(before, after)
    violations = included_violations(result.body, ["workflow", "machine"], known)
    context.judge(INCLUDE_RULE, violations, *after.values(), result)


def _one_case_without_creates(check: CheckContext) -> list[Case]:
    return [] if check.may_create else [Case()]


SCENARIOS: Final[tuple[Scenario[Any], ...]] = (
    Scenario(
        "reads with missing and invalid credentials",
        ("AUTH-REQUIRED", "AUTH-SCHEME", "AUTH-TOKEN"),
        run_unauthorized,
        _read_cases,
        creates_runs=False,
    ),
    Scenario(
        "existing runs and another organisation",
        ("AUTH-TENANT",),
        run_two_organisations,
        lambda check: _one_case_without_creates(check) if check.has_second else [],
        needs=("list_runs",),
        creates_runs=False,
    ),
    Scenario(
        "existing runs with their resources",
        (INCLUDE_RULE,),
        run_existing_included,
        lambda check: [Case()] if check.is_live else _one_case_without_creates(check),
        needs=("list_runs", "get_run"),
        creates_runs=False,
    ),
)
