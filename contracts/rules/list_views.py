"""Lists seen as a whole: without filters, with selected fields, and of runs that exist already."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from contracts.data import boundary_values, write_bodies
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.results import CallResult, WriteResult
from contracts.engine.shrink import Case
from contracts.openapi.schemas import moment_of
from contracts.oracle import Violation, changed_field, gains_inputs, gives_others_too, misses_a_run, stable_fields
from contracts.rules.isolated_runs import create_isolated_runs
from contracts.rules.listing import items_of, whole
from contracts.rules.paging import check_frame, check_repeats
from contracts.rules.reading import judge_read


def run_unfiltered(context: CaseContext, case: Case) -> None:
    """Runs that were just created must be among the newest of an unfiltered list, once each."""
    written = context.some_runs(case["count"])
    created_ids = {run["id"] for run in written.runs}
    oldest = min(filter(None, (moment_of(run["created_at"]) for run in written.runs)), default=None)
    found: list[str] = []
    results: list[CallResult] = []
    for page in range(12):
        query = [("limit", str(case["limit"])), ("skip", str(page * case["limit"]))]
        result = context.ask(
            "list_runs", query=[*query, *([("sort_mode", "created_at_desc")] if case["sorted"] else [])]
        )
        results.append(result)
        items = items_of(result)
        found += [item["id"] for item in items if item.get("id") in created_ids]
        moments = [moment_of(item.get("created_at")) for item in items]
        past = oldest is not None and any(moment is not None and moment < oldest for moment in moments)
        if len(items) < case["limit"] or created_ids <= set(found) or (past and case["sorted"]):
            break
    else:
        return
    for result in results:
        check_repeats(context, [result], [written.result])
    missing = created_ids - set(found)
    if missing:
        lost = next(run for run in written.runs if run["id"] in missing)
        reads = context.check.offers("get_run") and context.call("get_run", lost["id"]).accepted
        again, _ = whole(context, [("search", lost["id"])])
        if not reads or context.check.is_live:
            return
        context.fail(
            Violation(
                "LIST-COMPLETE",
                "a created run is not listed",
                "every created run in the list",
                f"{len(missing)} of {len(created_ids)} runs missing{', though a search finds them' if again else ''}",
            ),
            written.result,
            *results[:2],
        )


def unfiltered_cases(check: CheckContext) -> Iterator[Case]:
    for count, limit in ((1, 100), (3, 2), (101, 100), (1000, 1000)):
        yield {"count": count, "limit": limit, "sorted": True}


def run_views(context: CaseContext, case: Case) -> None:
    """Lists the same runs with selected fields or included resources: the values must be the same."""
    fields = dict(case["fields"])
    isolated = create_isolated_runs(context, [{"count": case.get("count", 2)} | fields])
    written = isolated.made[0]
    always = ("id", "workflow_id", "machine_id", "status", "created_at")
    for query in case["queries"]:
        result = context.ask(
            "list_runs", query=[isolated.filter, ("limit", "1000"), *[(k, v) for k, v in query]], after=[written.result]
        )
        check_frame(context, result, skip=0, limit=1000, created=[written.result])
        by_id = {item.get("id"): item for item in items_of(result)}
        asked = [value for name, value in query if name == "fields"]
        for run in isolated.runs:
            item = by_id.get(run["id"])
            if item is None:
                if run["id"] in {
                    i.get("id") for i in items_of(context.ask("list_runs", query=[isolated.filter, ("limit", "1000")]))
                }:
                    cause = misses_a_run(name for name, _ in query)
                    context.fail(Violation("LIST-FILTER", cause, "all runs", "a run missing"), written.result, result)
                break
            lost = [name for name in always if name not in item]
            lost += [name for name in asked if name not in item and run.get(name)]
            ok = context.require(
                not lost,
                "READ-BACK",
                "a field that was asked for is missing",
                f"{', '.join(lost)} in the item",
                "not there",
                written.result,
                result,
            )
            if not ok:
                break
            view = {name: run[name] for name in run if name in item and (not asked or name in asked or name in always)}
            if not judge_view(context, view, item, written, result):
                break


def judge_view(
    context: CaseContext, view: dict[str, Any], item: dict[str, Any], written: WriteResult, result: CallResult
) -> bool:
    changed = changed_field(view, item, stable_fields(written.parsed), may_gain=gains_inputs(written.parsed))
    if changed is None:
        return context.require(True, "READ-BACK", "", "", "")
    name, problem = changed
    context.fail(
        Violation("READ-BACK", f"{name} reads otherwise", f"{name} as it was created", problem), written.result, result
    )
    return False


def view_cases(check: CheckContext) -> Iterator[Case]:
    fields: dict[str, Any] = {
        "input_values": write_bodies.INPUTS,
        "sensitive_input_values": write_bodies.SECRETS,
        "file_inputs": [boundary_values.file()],
        "start_session": True,
    }
    names = (
        "user_id",
        "organization_id",
        "error",
        "output_data",
        "input_attachment_ids",
        "output_attachment_ids",
        "run_message_history",
        "input_values",
        "pool_ids",
        "sensitive_input_aliases",
        "session_id",
        "session_alias",
        "release_session_after",
        "machine_id",
    )
    queries: list[Any] = [[["fields", name]] for name in names]
    queries += [[["fields", a], ["fields", b]] for a, b in itertools.pairwise(names)]
    queries += [[["fields", name] for name in names]]
    queries += [
        [["include", text]]
        for text in ("workflow", "machine", "machine.pools", "workflow,machine", "workflow,machine,machine.pools")
    ]
    queries += [
        [["include", "workflow"], ["fields", "input_values"]],
        [["sort_mode", "activity"]],
        [["deep_search", "true"]],
        [["deep_search", "false"]],
    ]
    yield {"fields": fields, "queries": queries}
    yield {
        "fields": fields,
        "queries": [[["fields", "input_values"]], [["fields", "session_id"]], [["include", "workflow"]]],
        "count": 120,
    }


def run_existing(context: CaseContext, case: Case) -> None:
    """Judges runs that already exist: a page of them, three filters, and two runs read one by one."""
    newest = [("limit", str(case["limit"])), ("sort_mode", "created_at_desc")]
    result = context.ask("list_runs", query=newest)
    check_frame(context, result, skip=0, limit=case["limit"], created=())
    check_repeats(context, [result], ())
    items = [item for item in items_of(result) if isinstance(item.get("id"), str)]
    for item in items[:2]:
        if context.check.offers("get_run"):
            read = context.call("get_run", item["id"])
            if read.accepted and isinstance(read.body, dict):
                judge_read(context, item, read.body, None, [result, read])
    for name in ("workflow_id", "status", "session_id"):
        value = next((item[name] for item in items if isinstance(item.get(name), str)), None)
        if value is None:
            continue
        listed = context.ask("list_runs", query=[(name, value), *newest])
        others = [item for item in items_of(listed) if item.get(name) != value]
        cause, expected = gives_others_too([name]), "only runs that match"
        context.require(not others, "LIST-FILTER", cause, expected, f"{len(others)} others", listed)
