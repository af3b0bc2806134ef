"""Idempotency keys: a write is carried out once per key, and each replay gets the same answer."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from typing import Any, Final

from contracts.core.exchange import SECOND_TOKEN, TOKEN, Request
from contracts.engine.check_context import Ids
from contracts.engine.context import CaseContext
from contracts.engine.request_building import request_for
from contracts.engine.results import CallResult, Inconclusive
from contracts.engine.runner import Scenario
from contracts.engine.shrink import Case
from contracts.oracle import CREATES, difference, excerpt, read_body
from contracts.rules.idempotency_cases import (
    conflict_cases,
    conflict_together_cases,
    keys_cases,
    replay_cases,
    scope_cases,
    together_cases,
)
from contracts.rules.listing import carries, items_of, their_workflow
from contracts.rules.request_bodies import changeable
from contracts.rules.rule import Rule

GROUP = "Idempotency"
RULES = (
    Rule(
        "IDEM-REPLAY",
        "api",
        "The same key and body give the same answer, once",
        "A write that is repeated under its Idempotency-Key gets the first one's answer and does nothing again: "
        "later, after other requests, and when both arrive at once (one may get 409 with Idempotency-Status: "
        "in_progress, and a repeat then gets the answer). Another key is another write.",
        GROUP,
    ),
    Rule(
        "IDEM-CONFLICT",
        "api",
        "The same key with another body is refused",
        "409 or 422, however small the difference, and nothing is created.",
        GROUP,
    ),
    Rule(
        "IDEM-SCOPE",
        "api",
        "Keys are an organisation's own",
        "Two organisations may use the same key; each gets its own runs. Needs a second token.",
        GROUP,
    ),
)

_IN_PROGRESS_WAIT_S: Final = 5.0


def _request(context: CaseContext, case: Case, key: str, *, body: Any = None, token: str = TOKEN) -> Request:
    """Return the write of a case. The run that it changes is made once per case and organisation."""
    operation = case["op"]
    ids: tuple[str, ...] = ()
    if operation in _ON_A_RUN:
        name = "run" if token == TOKEN else "their-run"
        if not context.has_named(name):
            made = (
                changeable(context, operation)["id"] if token == TOKEN else _second_organisation_run(context, operation)
            )
            context.remember(name, made)
        ids = (context.named(name),)
    if operation == "delete_run":
        return request_for(operation, *ids, key=key, token=token)
    filled = context.fill(case["body"] if body is None else body)
    if token == SECOND_TOKEN and operation in CREATES:
        filled = _with_workflow(filled, their_workflow(context))
    return request_for(operation, *ids, body=filled, key=key, token=token)


def _with_workflow(body: dict[str, Any], workflow: str) -> dict[str, Any]:
    if "steps" in body:
        return body | {"steps": [step | {"workflow_id": workflow} for step in body["steps"]]}
    return body | {"workflow_id": workflow}


_ON_A_RUN: Final = frozenset({"update_run", "retry_run", "delete_run"})


def _second_organisation_run(context: CaseContext, operation: str) -> str:
    body = {"workflow_id": their_workflow(context), "count": 1}
    made = _created_ids(context, context.call("bulk_create_runs", body=body, token=SECOND_TOKEN))
    if not made:
        raise Inconclusive("the second organisation cannot make a run")
    if operation == "retry_run":
        context.call("update_run", made[0], body={"status": "cancelled"}, token=SECOND_TOKEN)
    return made[0]


def _with_header_name(request: Request, name: str) -> Request:
    """Return the request with its Idempotency-Key header spelled as `name`; header names are case-insensitive."""
    headers = tuple((name if header == "Idempotency-Key" else header, value) for header, value in request.headers)
    return dataclasses.replace(request, headers=headers)


def _key(context: CaseContext, case: Case) -> str:
    form = case.get("key", "«key»")
    return str(context.fill(form))


def _send_first(context: CaseContext, request: Request, operation: str) -> CallResult:
    result = context.send(request)
    if operation in CREATES and request.body is not None:
        context.judge_write(read_body(operation, json.loads(request.body)), result)
    if not result.accepted:
        raise Inconclusive(f"{operation} under a key answers {result.status}")
    return result


def _require_same_answer(context: CaseContext, first: CallResult, again: CallResult, what: str) -> None:
    problem = None
    if again.status != first.status:
        problem = f"{again.words} after {first.status}"
    elif first.answer.body != again.answer.body:
        problem = difference(first.body, again.body)
    context.require(
        problem is None, "IDEM-REPLAY", what, "the answer of the first one", lambda: problem or "", first, again
    )


def _created_ids(context: CaseContext, result: CallResult) -> list[str]:
    body = result.body if isinstance(result.body, dict) else {}
    runs = body.get("created_runs")
    ids = [run.get("id") for run in runs if isinstance(run, dict)] if isinstance(runs, list) else [body.get("id")]
    return [one for one in [*ids, *(body.get("run_ids") or ())] if isinstance(one, str)]


def _require_no_duplicates(context: CaseContext, case: Case, first: CallResult, shown: Sequence[CallResult]) -> None:
    """Require that the case has no runs but those of the first answer."""
    listed = _runs_of_case(context)
    if case["op"] not in CREATES or listed is None:
        return
    result, items = listed
    mine = set(_created_ids(context, first))
    others = [item for item in items if item.get("id") not in mine]
    context.require(
        not others,
        "IDEM-REPLAY",
        "something is created twice",
        f"{len(mine)} runs in all",
        lambda: f"{len(others)} runs more",
        *shown,
        result,
    )


def _runs_of_case(context: CaseContext, only: str | None = None) -> tuple[CallResult, list[dict[str, Any]]] | None:
    """List the case's runs, by its workflow, session or marker; `only` names one placeholder to list by."""
    check = context.check
    if not check.offers("list_runs"):
        return None
    isolated_sets: tuple[tuple[str, Ids, str], ...] = (
        ("workflow", check.workflows, "workflow_id"),
        ("session", check.sessions, "session_id"),
    )
    if only is not None:
        kind = only.partition(":")[0]
        isolated_sets = tuple((only, ids, field) for name, ids, field in isolated_sets if name == kind)
    for name, ids, field in isolated_sets:
        if ids.invented and context.has_named(name):
            value = context.named(name)
            result = context.call("list_runs", query=[(field, value), ("limit", "1000")])
            if result.accepted:
                return result, [item for item in items_of(result) if carries(item, field, value)]
    if only in (None, "workflow") and context.has_named("marker"):
        value = context.named("marker")
        result = context.call("list_runs", query=[("search", value), ("limit", "1000")])
        if result.accepted:
            return result, [item for item in items_of(result) if carries(item, "search", value)]
    return None


def run_replay(context: CaseContext, case: Case) -> None:
    operation, key = case["op"], _key(context, case)
    request = _request(context, case, key)
    first = _send_first(context, request, operation)
    others: list[CallResult] = []
    elsewhere = context.named("workflow:9" if context.check.workflows.invented else "workflow")
    for index in range(case.get("between", 0)):
        other = request_for("bulk_create_runs", body={"workflow_id": elsewhere, "count": 1}, key=f"{key[:200]}-{index}")
        others.append(context.send(other))
    if case.get("changed"):
        _change_between(context, operation, first)
    if case.get("deleted"):
        for run_id in _created_ids(context, first)[:1]:
            context.call("delete_run", run_id)
    repeated = request if "spelled" not in case else _with_header_name(request, case["spelled"])
    for _ in range(case.get("times", 1)):
        again = context.send(repeated)
        _require_same_answer(context, first, again, "another answer for the same key and body")
    if not case.get("changed"):
        _require_no_duplicates(context, case, first, (first, again))
    elif operation == "update_run":
        after = context.call("get_run", context.named("run"))
        kept = isinstance(after.body, dict) and after.body.get("input_values") == {"between": True}
        expected = "what was changed in between to stay"
        context.require(
            kept, "IDEM-REPLAY", "an update is carried out twice", expected, after.words, first, again, after
        )
    elif operation == "retry_run":
        after = context.call("get_run", context.named("run"))
        kept = isinstance(after.body, dict) and after.body.get("status") == "cancelled"
        expected = "the run still cancelled"
        context.require(kept, "IDEM-REPLAY", "a retry is carried out twice", expected, after.words, first, again, after)


def _change_between(context: CaseContext, operation: str, first: CallResult) -> None:
    if operation == "update_run":
        context.ask("update_run", context.named("run"), body={"input_values": {"between": True}})
    elif operation in {"create_run", "bulk_create_runs"}:
        for run_id in _created_ids(context, first)[:1]:
            context.call("update_run", run_id, body={"status": "cancelled"})
    elif operation == "retry_run":
        result = context.call("update_run", context.named("run"), body={"status": "cancelled"})
        if not result.accepted:
            raise Inconclusive("the run had ended before it could be cancelled")


def run_together(context: CaseContext, case: Case) -> None:
    operation = case["op"]
    request = _request(context, case, _key(context, case))
    results = context.send_together([request] * case.get("times", 2))
    done = [result for result in results if result.accepted]
    if not done:
        settled = _send_until_settled(context, request) if all(result.status == 409 for result in results) else None
        if settled is not None and settled.accepted:
            done = [settled]
        else:
            raise Inconclusive(f"{operation} under a key answers {results[0].status} when sent together")
    for result in results:
        if result.accepted:
            problem = difference(done[0].body, result.body)
            same = problem is None and result.status == done[0].status
            cause, expected = "two answers for two at once", "the same answer for both"
            context.require(same, "IDEM-REPLAY", cause, expected, lambda problem=problem: problem or "", *results)  # type: ignore[misc]
        else:
            waits = (
                result.status == 409 and (result.answer.header(_STATUS_HEADER) or "").strip().lower() == "in_progress"
            )
            cause, expected = "one of two at once is refused", f"the answer, or 409 with {_STATUS_HEADER}: in_progress"
            context.require(waits, "IDEM-REPLAY", cause, expected, result.words, *results)
    final = _send_until_settled(context, request)
    _require_same_answer(context, done[0], final, "another answer after two at once")
    _require_no_duplicates(context, case, done[0], results)


def _send_until_settled(context: CaseContext, request: Request) -> CallResult:
    end = time.monotonic() + _IN_PROGRESS_WAIT_S
    while True:
        result = context.send(request)
        if result.status != 409 or time.monotonic() > end:
            return result
        time.sleep(0.05)


def run_conflict(context: CaseContext, case: Case) -> None:
    operation, key = case["op"], _key(context, case)
    request = _request(context, case, key)
    other = _request(context, case, key, body=case["other"])
    if request.body == other.body or not read_body(operation, json.loads(other.body or b"null")).is_valid:
        return
    first = _send_first(context, request, operation)
    again = context.send(other)
    context.require(
        again.refused,
        "IDEM-CONFLICT",
        "a key is taken for another body",
        "409 or 422",
        again.words,
        first,
        again,
    )
    _require_no_effect(context, case, first, again)
    third = context.send(request)
    _require_same_answer(context, first, third, "another answer after a conflict")


def _require_no_effect(context: CaseContext, case: Case, first: CallResult, again: CallResult) -> None:
    operation = case["op"]
    mine = set(_created_ids(context, first))
    for name in ("workflow", "workflow:2", "session:1") if operation in CREATES else ():
        listed = _runs_of_case(context, name)
        if listed is None:
            continue
        more = [item for item in listed[1] if item.get("id") not in mine]
        context.require(
            not more,
            "IDEM-CONFLICT",
            "a refused conflict creates runs",
            "nothing created",
            lambda more=more: f"{len(more)} runs",  # type: ignore[misc]
            first,
            again,
            listed[0],
        )
    if operation not in _ON_A_RUN or not isinstance(first.body, dict):
        return
    after = context.call("get_run", context.named("run"))
    asked = context.fill(case["other"])
    for field, value in asked.items() if isinstance(after.body, dict) else ():
        taken = bool(value) and after.body.get(field) == value != first.body.get(field)
        got = excerpt(json.dumps(after.body.get(field)))
        cause = f"a refused conflict changes {field}"
        context.require(not taken, "IDEM-CONFLICT", cause, f"{field} as before", got, first, again, after)


def run_conflict_together(context: CaseContext, case: Case) -> None:
    """Send two bodies under one key at once: at most one of them may be accepted."""
    key = _key(context, case)
    one, other = _request(context, case, key), _request(context, case, key, body=case["other"])
    results = context.send_together([one, other])
    done = [result for result in results if result.accepted]
    cause, expected = "both of two bodies at once are taken", "one of them refused"
    context.require(len(done) < 2, "IDEM-CONFLICT", cause, expected, lambda: results[1].words, *results)


def run_keys(context: CaseContext, case: Case) -> None:
    """Send the same body under two keys: both must be carried out."""
    operation = case["op"]
    keys = [str(context.fill(key)) for key in case["keys"]]
    if len(set(keys)) < 2:
        return
    first = _send_first(context, _request(context, case, keys[0]), operation)
    second = context.send(_request(context, case, keys[1]))
    overlap = set(_created_ids(context, first)) & set(_created_ids(context, second))
    context.require(
        second.accepted and not overlap,
        "IDEM-REPLAY",
        "two keys are taken for one",
        "runs of its own under another key",
        lambda: second.words if not second.accepted else f"{len(overlap)} runs of the first key",
        first,
        second,
    )


def run_scope(context: CaseContext, case: Case) -> None:
    if not context.check.has_second:
        raise Inconclusive("no second token was given")
    operation, key = case["op"], _key(context, case)
    tokens = (TOKEN, SECOND_TOKEN) if not case.get("reversed") else (SECOND_TOKEN, TOKEN)
    mine = _request(context, case, key, token=tokens[0])
    theirs = _request(context, case, key, body=case.get("other"), token=tokens[1])
    if case.get("together"):
        first, second = context.send_together([mine, theirs])
        if not first.accepted:
            first, second = second, first
            mine, theirs = theirs, mine
    else:
        first = _send_first(context, mine, operation)
        second = context.send(theirs)
    if not first.accepted:
        raise Inconclusive(f"{operation} under a key answers {first.status}")
    overlap = set(_created_ids(context, first)) & set(_created_ids(context, second))
    if operation in {"create_pool", "create_workflow"} and second.status == 409:
        raise Inconclusive("the name may be taken for the second organisation too")
    context.require(
        second.accepted and not overlap,
        "IDEM-SCOPE",
        "a key of another organisation is in the way",
        "an answer of its own for another organisation",
        lambda: second.words if not second.accepted else f"{len(overlap)} of what the first organisation made",
        first,
        second,
    )
    if operation in _ON_A_RUN and isinstance(first.body, dict):
        headers = tuple((name, tokens[1] if name == "Authorization" else value) for name, value in mine.headers)
        foreign = context.send(dataclasses.replace(mine, headers=headers))
        shown = foreign.body.get("id") if foreign.accepted and isinstance(foreign.body, dict) else None
        cause, expected = "a key gives another organisation's answer", "404, as for any unknown run"
        context.require(shown != first.body.get("id"), "IDEM-SCOPE", cause, expected, foreign.words, first, foreign)
    third = context.send(mine)
    problem = difference(first.body, third.body)
    cause = "the other organisation's write takes the key over"
    context.require(
        problem is None, "IDEM-SCOPE", cause, "the first answer", lambda: problem or "", first, second, third
    )


# Cases


_STATUS_HEADER: Final = "Idempotency-Status"


SCENARIOS = (
    Scenario("idempotency keys repeated", ("IDEM-REPLAY",), run_replay, replay_cases, priority=1),
    Scenario(
        "idempotency keys repeated concurrently",
        ("IDEM-REPLAY",),
        run_together,
        together_cases,
        attempts=6,
        together=False,
        priority=2,
    ),
    Scenario("idempotency keys with another body", ("IDEM-CONFLICT",), run_conflict, conflict_cases, priority=2),
    Scenario(
        "idempotency keys with two bodies concurrently",
        ("IDEM-CONFLICT",),
        run_conflict_together,
        conflict_together_cases,
        attempts=6,
        together=False,
        priority=2,
    ),
    Scenario("two idempotency keys", ("IDEM-REPLAY",), run_keys, keys_cases, priority=2),
    Scenario("idempotency keys of two organisations", ("IDEM-SCOPE",), run_scope, scope_cases, attempts=4, priority=2),
)
