"""The consistency of reads: a run must look the same in get_run and in every list, whatever was done to it before.

Other scenarios test one operation in detail. These combine every way to create a run, every change to it and every
way to read it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

from contracts.data.limits import MAX_LIMIT
from contracts.engine.context import CaseContext
from contracts.engine.results import CallResult, Inconclusive, WriteResult
from contracts.engine.runner import Scenario
from contracts.engine.shrink import Case
from contracts.openapi.schemas import moment_of
from contracts.oracle import (
    DELETED,
    TERMINAL,
    Candidate,
    Query,
    Violation,
    changed_field,
    filter_names,
    gains_inputs,
    gives_others_too,
    stable_fields,
    step_violation,
)
from contracts.rules.isolated_runs import IsolatedRuns, isolating_fields, within
from contracts.rules.list_check import judge_list, why_missing
from contracts.rules.listing import NEWEST_FIRST, RunList, items_of, read_page
from contracts.rules.read_consistency_cases import consistency_cases
from contracts.rules.reading import judge_read

_CHANGES_WITH_STATUS: Final = (
    "error",
    "output_data",
    "run_message_history",
    "output_attachment_ids",
    "usage_metadata",
    "started_at",
    "ended_at",
)
"""Fields that change only together with the status of a run."""
_FIELDS: Final = (
    "input_values",
    "pool_ids",
    "sensitive_input_aliases",
    "session_id",
    "session_alias",
    "release_session_after",
    "input_attachment_ids",
    "organization_id",
    "error",
    "output_data",
    "run_message_history",
    "output_attachment_ids",
)


@dataclass
class RunViews:
    """The runs of one case with the last known state of each, and the search words that should find them."""

    isolated: IsolatedRuns
    views: dict[str, dict[str, Any]]
    shown: list[CallResult]
    gone: list[dict[str, Any]] = field(default_factory=list)
    rule: str = "READ-BACK"
    """The rule that is broken if a read differs from the last known state."""
    named: frozenset[str] = frozenset()
    """The fields that the last event changed."""
    before: Mapping[str, Any] = field(default_factory=dict)
    """The run that the last event changed, in its state before that event."""
    finds: Sequence[str] = ()
    loses: Sequence[str] = ()
    """Words by which a search must find the run now (`finds`), and by which it must no longer find it (`loses`)."""


def run_read_consistency(context: CaseContext, case: Case) -> None:
    isolated = _create_runs(context, case)
    run_id = isolated.runs[case.get("index", 0) % len(isolated.runs)]["id"]
    run_views = RunViews(isolated, {run["id"]: dict(run) for run in isolated.runs}, [isolated.made[-1].result])
    events = case.get("events", [])
    if not events or case.get("first"):
        _check_views(context, run_views, run_id, widely=True)
    for number, event in enumerate(events):
        if not _apply_event(context, run_views, run_id, event):
            return
        told = json.dumps(run_views.views.get(run_id))
        # Shrinking may have removed a word that the search should find.
        run_views.finds = [word for word in context.fill(event.get("finds", [])) if word in told]
        run_views.loses = context.fill(event.get("loses", []))
        if number == len(events) - 1 or case.get("each"):
            _check_views(context, run_views, run_id, widely=bool(case.get("widely")))


def _create_runs(context: CaseContext, case: Case) -> IsolatedRuns:
    chosen, fields = isolating_fields(context)
    isolated = IsolatedRuns(chosen)
    operation, body = case["make"], context.fill(case.get("body", {}))
    if "session_id" in fields:
        body = {name: value for name, value in body.items() if name not in _SESSIONS}
    if operation == "create_run_chain":
        isolated.add(_create_chain(context, fields, body))
        return isolated
    if "input_values" in fields:
        body["input_values"] = (body.get("input_values") or {}) | fields["input_values"]
    count = {"count": case.get("count", 1)} if operation == "bulk_create_runs" else {}
    written = context.create(operation, fields | body | count)
    if not written.clean or len(written.runs) != count.get("count", 1):
        raise Inconclusive("a create gives runs that break a rule already")
    isolated.add(written)
    return isolated


def _create_chain(context: CaseContext, fields: Mapping[str, Any], body: Mapping[str, Any]) -> WriteResult:
    """Creates a chain and returns its runs, as first read, like the runs of any other create."""
    steps = [{"workflow_id": fields["workflow_id"]} | step for step in body["steps"]]
    if "input_values" in fields:
        steps = [step | {"inputs": step.get("inputs", {}) | fields["input_values"]} for step in steps]
    more = {"session_id": fields["session_id"]} if "session_id" in fields else {}
    written = context.write("create_run_chain", body=dict(body) | {"steps": steps} | more)
    if not written.result.accepted or not written.clean:
        raise Inconclusive("a chain cannot be made")
    runs = tuple(context.ask("get_run", one, after=[written.result]).body for one in written.result.body["run_ids"])
    if len(runs) != len(steps):
        raise Inconclusive("a chain gives other runs than steps")
    return WriteResult(written.parsed, written.result, runs, True)


# Events


def _apply_event(context: CaseContext, run_views: RunViews, run_id: str, event: Mapping[str, Any]) -> bool:
    """Applies an event to the run and returns whether the target did it, so that there is something to check."""
    if "delete" in event:
        return _delete(context, run_views, run_id, event["delete"])
    if "retry" in event:
        operation, body, rule = "retry_run", event["retry"], "RETRY-RULES"
    else:
        operation, body, rule = "update_run", event["update"], "UPDATE-PARTIAL"
    if not context.check.offers(operation):
        return False
    body = context.fill(body)
    if _may_leave_filter(run_views.isolated, body):
        return False
    result = context.call(operation, run_id, body=body)
    if not result.accepted or not isinstance(result.body, dict) or result.body.get("id") != run_id:
        return False  # the scenarios of `updates` and `retries` judge this
    shown = [run_views.shown[0], *run_views.shown[1:][-2:], result]
    if operation == "update_run":
        names = [name for name in stable_fields(run_views.isolated.maker_of(result.body).parsed) if name not in body]
    else:
        names = [name for name, given in _KEPT_BY_RETRY.items() if not given & body.keys()]
    if names:
        changed = changed_field(run_views.views[run_id], result.body, names, may_gain=True)
        if changed is not None:
            name, problem = changed
            context.fail(Violation(rule, f"{name} changes too", f"{name} as before", problem), *shown)
            return False
    run_views.before = run_views.views[run_id]
    run_views.views[run_id] = result.body
    run_views.rule, run_views.named = rule, frozenset(body) | ({"status"} if operation == "retry_run" else frozenset())
    run_views.shown = shown
    return True


_SESSIONS: Final = frozenset({"session_id", "start_session", "reuse_session"})
_KEPT_BY_RETRY: Final[dict[str, frozenset[str]]] = {
    "workflow_id": frozenset(),
    "user_id": frozenset(),
    "organization_id": frozenset(),
    "created_at": frozenset(),
    "input_values": frozenset({"input_values"}),
    "input_attachment_ids": frozenset({"file_inputs"}),
    "session_id": _SESSIONS,
}
"""Fields that a retry keeps, each with the fields of the request body that may change it after all."""


def _may_leave_filter(isolated: IsolatedRuns, body: Mapping[str, Any]) -> bool:
    """Whether a change may remove the run from the isolated runs, so that their filter no longer matches it."""
    filtered_fields = {"search": {"input_values"}, "session_id": _SESSIONS}.get(isolated.filter[0], frozenset())
    return bool(filtered_fields & body.keys())


def _delete(context: CaseContext, run_views: RunViews, run_id: str, shift: int) -> bool:
    """Deletes the run `shift` positions after this one among the isolated runs; with 0, this run."""
    if not context.check.offers("delete_run"):
        return False
    runs = run_views.isolated.runs
    at = (next(index for index, run in enumerate(runs) if run["id"] == run_id) + shift) % len(runs)
    gone = runs[at]["id"]
    result = context.call("delete_run", gone)
    if result.status != 204:
        return False
    run_views.isolated.runs = [run for run in runs if run["id"] != gone]
    run_views.gone.append(run_views.views.pop(gone))
    run_views.rule, run_views.named = "DELETE-GONE", frozenset()
    run_views.shown = [run_views.shown[0], *run_views.shown[1:][-2:], result]
    return bool(run_views.views)


# Checks after an event


def _check_views(context: CaseContext, run_views: RunViews, focus: str, *, widely: bool) -> None:
    check = context.check
    if focus not in run_views.views:
        focus = next(iter(run_views.views))
    query: Query
    readings: list[Query] = [[]] if not widely else [[], [("include", "workflow,machine,machine.pools")]]
    for query in readings if check.offers("get_run") else ():
        result = context.call("get_run", focus, query=query)
        deleted = run_views.rule == "DELETE-GONE"
        if not context.require(
            result.status == 200 and isinstance(result.body, dict),
            "DELETE-GONE" if deleted else "READ-BACK",
            "another run is gone too" if deleted else "a run cannot be read",
            "the run",
            result.words,
            *run_views.shown,
            result,
        ):
            return
        _judge_item(context, run_views, result.body, result)
    if not check.offers("list_runs"):
        return
    order: list[str] = []
    base = run_views.isolated.filter
    for query, expected in _list_queries(run_views, focus, widely=widely):
        limit = None if base in query else MAX_LIMIT
        found = read_page(context, query, limit=limit, after=run_views.shown)
        if not _judge_presence(context, run_views, found, expected):
            continue
        known = [item for item in found.items if item.get("id") in run_views.views]
        for item in known:
            _judge_item(context, run_views, item, found.results[0])
        if query == [base, NEWEST_FIRST]:
            order = [item["id"] for item in known]
    for query in _outdated_queries(run_views, focus):
        listed = read_page(context, query, after=run_views.shown)
        found_again = any(item.get("id") == focus for item in listed.items)
        others, right = gives_others_too(filter_names(query)), "no run by what it had before"
        context.require(not found_again, "LIST-FILTER", others, right, "it", *run_views.shown, *listed.results)
    attachments = run_views.views[focus].get("input_attachment_ids") or []
    for attachment in dict.fromkeys(attachments[:1] + attachments[-1:]) if run_views.before else ():
        if check.offers("get_run_attachment"):
            result = context.call("get_run_attachment", attachment)
            cause, expected_text = "attachments are gone too", "the run's attachment"
            context.require(
                result.status == 200, run_views.rule, cause, expected_text, result.words, *run_views.shown, result
            )
    if widely and focus in order:
        _judge_single_page(context, run_views, order, focus)


def _list_queries(run_views: RunViews, focus: str, *, widely: bool) -> Iterator[tuple[Query, set[str]]]:
    """Yields queries, and the runs that each must return."""
    isolated, views = run_views.isolated, run_views.views
    base: Query = [isolated.filter]
    run, every = views[focus], set(views)
    yield base, every
    yield [*base, NEWEST_FIRST], every
    yield within(isolated, [("search", focus)]), {focus}
    session = run.get("session_id")
    if session:
        yield [("session_id", session)], {i for i, view in views.items() if view.get("session_id") == session}
    if run["status"] in TERMINAL:
        yield [*base, ("status", run["status"])], {focus}
    if "machine_id" in run_views.named and run.get("machine_id"):
        yield [*base, ("machine_id", run["machine_id"])], {focus}
    for word in run_views.finds:
        yield within(isolated, [("search", word), ("deep_search", "true")]), {focus}
    if not widely:
        return
    at = moment_of(run["created_at"])
    same = {i for i, view in views.items() if moment_of(view["created_at"]) == at}
    moment: Query = [("created_at_from", run["created_at"]), ("created_at_to", run["created_at"])]
    yield [*moment], same
    yield [*base, *moment], same
    yield within(isolated, [("search", focus[4:30].upper()), ("deep_search", "true")]), {focus}
    if "machine_id" in stable_fields(isolated.maker_of(run).parsed):
        yield [*base, ("machine_id", run["machine_id"])], {focus}
    yield [*base, ("include", "workflow,machine")], every
    yield [*base, *(("fields", name) for name in _FIELDS)], every
    if session and isolated.filter[0] != "session_id":
        yield [*base, ("session_id", session)], {focus}
    if isolated.filter[0] != "workflow_id":
        yield [*base, ("workflow_id", run["workflow_id"])], {focus}


def _outdated_queries(run_views: RunViews, focus: str) -> Iterator[Query]:
    """Yields queries that matched the run before the last event and must no longer match it."""
    base, run, before = [run_views.isolated.filter], run_views.views[focus], run_views.before
    for word in run_views.loses:
        yield within(run_views.isolated, [("search", word), ("deep_search", "true")])
    if not before or before.get("id") != focus:
        return
    if before.get("session_id") and before["session_id"] != run.get("session_id"):
        yield [*base, ("session_id", before["session_id"])]
    if before.get("machine_id") and before["machine_id"] != run.get("machine_id") and "machine_id" in run_views.named:
        yield [*base, ("machine_id", before["machine_id"])]
    if before["status"] in TERMINAL and run["status"] not in TERMINAL:
        yield [*base, ("status", "cancelled")]


def _judge_presence(context: CaseContext, run_views: RunViews, found: RunList, expected: set[str]) -> bool:
    """Judges a list of one page, and that it has the expected runs."""
    maker_of = run_views.isolated.maker_of
    runs = [Candidate.of(view, maker_of(view).parsed) for view in run_views.views.values()]
    runs += [Candidate.of(view, maker_of(view).parsed, DELETED) for view in run_views.gone]
    if not judge_list(context, found, runs, lambda run_id: run_views.shown):
        return False
    missing = sorted(expected - {item.get("id") for item in found.items})
    if not missing or found.pages[0].is_full:
        return True
    if run_views.rule == "DELETE-GONE":
        rule, cause = "DELETE-GONE", "another run is gone too"
    else:
        base = [run_views.isolated.filter]
        rule, cause = why_missing(context, run_views.views[missing[0]], found.query, base=base)
    got = f"{len(missing)} of {len(expected)} runs missing"
    context.fail(Violation(rule, cause, f"{len(expected)} runs", got), *run_views.shown, *found.results)
    return False


def _judge_item(context: CaseContext, run_views: RunViews, item: dict[str, Any], result: CallResult) -> None:
    """Compares a run, as an answer shows it, with its last known state."""
    view = run_views.views[item["id"]]
    written = run_views.isolated.maker_of(view)
    shown = (*run_views.shown, result)
    partly = any(name == "fields" for name, _ in _query_of(result))
    before = {name: value for name, value in view.items() if not partly or name in item}
    if run_views.rule == "READ-BACK" and not partly:
        if judge_read(context, before, item, written.parsed, shown):
            run_views.views[item["id"]] = item
        return
    names = [*stable_fields(written.parsed), *_CHANGES_WITH_STATUS]
    one, other = view["status"], item.get("status")
    at_rest = one == other and one in TERMINAL | {"scheduling"}
    names = [name for name in names if at_rest or name not in _CHANGES_WITH_STATUS]
    wrong = step_violation(one, str(other), run_views.rule if "status" in run_views.named else "LIFECYCLE")
    if wrong is not None:
        context.fail(wrong, *shown)
        return
    changed = changed_field(before, item, names, may_gain=gains_inputs(written.parsed))
    context.check.count(run_views.rule)
    if changed is not None:
        name, problem = changed
        told = name in run_views.named or item["id"] != _changed_run_id(run_views)
        rule = run_views.rule if told and run_views.rule != "DELETE-GONE" else "READ-BACK"
        context.fail(Violation(rule, f"{name} reads otherwise", f"{name} as told before", problem), *shown)
    elif not partly:
        run_views.views[item["id"]] = item


def _changed_run_id(run_views: RunViews) -> str | None:
    """The id of the run that the last event changed; None if the last answer has no run (a delete)."""
    body = run_views.shown[-1].body
    return body.get("id") if isinstance(body, dict) else None


def _query_of(result: CallResult) -> list[tuple[str, str]]:
    return parse_qsl(result.exchange.request.path.partition("?")[2])


def _judge_single_page(context: CaseContext, run_views: RunViews, order: Sequence[str], focus: str) -> None:
    """Judges that the page with limit 1 at the position of the run has exactly that run."""
    moments = [moment_of(run_views.views[one]["created_at"]) for one in order]
    if None in moments or len(set(moments)) != len(moments):
        return
    at = order.index(focus)
    query = [run_views.isolated.filter, ("sort_mode", "created_at_desc"), ("limit", "1"), ("skip", str(at))]
    result = context.ask("list_runs", query=query, after=run_views.shown)
    items = items_of(result)
    context.require(
        [item.get("id") for item in items] == [focus],
        "LIST-PAGE",
        "a page of one is not the run at its place",
        f"the run at {at}",
        lambda: f"{len(items)} items, {items[0].get('id') if items else 'none'}",
        *run_views.shown,
        result,
    )


RULES = ()
SCENARIOS = (
    Scenario(
        "runs seen through every list and read",
        (
            "READ-BACK",
            "LIST-COMPLETE",
            "LIST-FILTER",
            "LIST-PAGE",
            "UPDATE-PARTIAL",
            "RETRY-RULES",
            "DELETE-GONE",
        ),
        run_read_consistency,
        consistency_cases,
        needs=("get_run",),
        priority=1,
    ),
)
