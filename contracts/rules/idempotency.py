"""Idempotency keys: a write is carried out once per key, and each replay gets the same answer."""

import itertools
import json
import time
from collections.abc import Sequence
from typing import Any, Final

from contracts.core.counting import counted
from contracts.core.exchange import SECOND_TOKEN, TOKEN, Request
from contracts.core.findings import EVERY_FIELD, Rule
from contracts.core.json_tree import map_texts
from contracts.data import limits, write_bodies
from contracts.engine import CallResult, CaseContext, Inconclusive, Scenario, assume
from contracts.engine.request_building import request_for
from contracts.engine.same_fault import KEY_IS_IGNORED
from contracts.oracle import CREATES, difference, is_same, read_body, value_in_words
from contracts.oracle.refusal import ignored_properties
from contracts.oracle.run import changed_field
from contracts.oracle.violation import Violation
from contracts.rules import idempotency_cases as cases
from contracts.rules.list_reads import list_own_runs, own_run_filters, require_no_new_runs
from contracts.rules.run_events import RunCase, create_for
from contracts.rules.stored_files import require_no_files
from contracts.rules.writes import (
    LISTED_BY,
    WRITES_ON_A_RUN,
    create_changeable_run,
    create_resource,
    created_ids,
    with_their_workflow,
)

GROUP = "Idempotency"
RULES = (
    Rule(
        "IDEM-REPLAY",
        "api",
        "critical",
        "A write that is repeated with its key is carried out once",
        "A write that is repeated with its Idempotency-Key gets the first answer and has no further effect: "
        "later, after other requests, and when both arrive at once (one may get 409 with Idempotency-Status: "
        "in_progress, and a repeat then gets the answer). A write with another key is carried out.",
        GROUP,
        value_fields=(EVERY_FIELD,),
    ),
    Rule(
        "IDEM-CONFLICT",
        "api",
        "moderate",
        "The same key with another body is refused",
        "The answer is 409 or 422, however small the difference, and nothing is created.",
        GROUP,
    ),
    Rule(
        "IDEM-SCOPE",
        "api",
        "critical",
        "Each organisation has its own keys",
        "Two organisations may use the same key; each gets its own runs. Needs a second token.",
        GROUP,
        needs_second_token=True,
    ),
)

_IN_PROGRESS_WAIT_S: Final = 5.0
_STATUS_HEADER: Final = "Idempotency-Status"

# Requests


def keyed_request(
    context: CaseContext, operation: str, body: dict[str, Any], key: str, *, token: str = TOKEN
) -> Request:
    """Return a write with a key. The run or pool that it changes is created once per case and organisation."""
    ids: tuple[str, ...] = ()
    if operation == "add_machine_to_pool":
        if "own-pool" not in context.placeholders:
            one, another = context.check.machines.known[:2]  # made-up ids may do for runs, but not for pools
            context.placeholders |= {"machine": one, "machine:1": another}
            context.placeholders["own-pool"] = create_resource(context, "create_pool").body["id"]
        ids = (context.placeholder("own-pool"),)
    elif operation in WRITES_ON_A_RUN:
        is_own = token == TOKEN
        name = "run" if is_own else "their-run"
        if name not in context.placeholders:
            run_id = create_changeable_run(context, operation)["id"] if is_own else _their_run(context, operation)
            context.placeholders[name] = run_id
        ids = (context.placeholder(name),)
    key = str(context.fill(key))
    if operation == "delete_run":
        return request_for(operation, *ids, key=key, token=token)
    filled = context.fill(body)
    if token == SECOND_TOKEN and operation in CREATES:
        filled = with_their_workflow(context, filled)
    return request_for(operation, *ids, body=filled, key=key, token=token)


def _request_of(context: CaseContext, case: cases.Keyed) -> Request:
    return keyed_request(context, case.operation, case.body, case.key)


def _their_run(context: CaseContext, operation: str) -> str:
    run_id = create_for(context, RunCase(token=SECOND_TOKEN)).ids[0]
    if operation == "retry_run":
        context.cancel(run_id, token=SECOND_TOKEN)
    return run_id


def send_first(context: CaseContext, request: Request, operation: str) -> CallResult:
    """Send a write for the first time. Raises Inconclusive unless it succeeds, so that it can be repeated."""
    result = context.send(request)
    if result.refused and len(request.idempotency_key or "") > limits.MAX_KEY_LENGTH:
        raise Inconclusive("a long key is refused")
    if operation in CREATES and request.body is not None:
        context.judge_write(read_body(operation, json.loads(request.body)), result)
    assume(result.accepted, f"{operation} under a key answers {result.status}")
    assume(operation not in CREATES or created_ids(result), f"{operation} under a key answers without ids")
    return result


# Judging


def answer_difference(first: CallResult, again: CallResult) -> str | None:
    """Describe how the answer to a repeat differs from the first one; None if it does not."""
    if again.status != first.status:
        return f"{again.words}, but {first.status} the first time"
    if (
        first.resource is not None
        and again.resource is not None
        and first.resource.get("id") != again.resource.get("id")
    ):
        return difference(first.resource.get("id"), again.resource.get("id"), "id")  # rather than one of its times
    return None if first.answer.body == again.answer.body else difference(first.body, again.body, "answer")


def _require_same_answer(context: CaseContext, first: CallResult, again: CallResult, cause: str) -> None:
    problem = answer_difference(first, again)
    expected = "the first answer again, since key and body are the same"
    context.require(problem is None, "IDEM-REPLAY", cause, expected, first, again, got=problem or "")


def _require_no_duplicates(context: CaseContext, operation: str, first: CallResult, *evidence: CallResult) -> None:
    """Require that the case has no runs but those of the first answer."""
    if operation not in CREATES:
        return
    mine = created_ids(first)
    lists = list_own_runs(context, own_run_filters(context) if mine else (), known=mine)
    for listed, more in itertools.islice(lists, 1):
        cause, expected = "a repeat creates runs again", f"only the {counted(len(mine), 'run')} of the first answer"
        context.require(not more, "IDEM-REPLAY", cause, expected, *evidence, listed, got=counted(len(more), "more run"))


def _require_no_effect(context: CaseContext, case: cases.Conflict, first: CallResult, *refused: CallResult) -> None:
    """Require that refused conflicts have created and changed nothing."""
    names = ("workflow", "workflow:2", "session:1", "marker") if case.operation in CREATES else ()
    filters, cause = own_run_filters(context, names), "a refused conflict creates runs"
    require_no_new_runs(context, filters, "IDEM-CONFLICT", cause, first, *refused, known=created_ids(first))
    require_no_files(context, "IDEM-CONFLICT", "a refused conflict stores its files")
    if case.operation not in WRITES_ON_A_RUN or not isinstance(first.body, dict):
        return
    after = context.call("get_run", context.placeholder("run"))
    sent = [pair for other in case.others for pair in context.fill(other).items()]
    run = after.resource or {}
    for field, value in sent:
        taken = bool(value) and run.get(field) == value != first.body.get(field)
        got, cause = f"{field} {value_in_words(run.get(field))}", f"a refused conflict changes {field}"
        expected = f"{field} {value_in_words(first.body.get(field))}, as before the refused request"
        by_others = field == "status"
        evidence = (first, *refused, after)
        context.require(not taken, "IDEM-CONFLICT", cause, expected, *evidence, got=got, may_be_by_others=by_others)


def _require_own_runs(
    context: CaseContext, rule: str, cause: str, expected: str, first: CallResult, second: CallResult
) -> None:
    """Require that the second of two writes is accepted, and that its runs are not those of the first one."""
    overlap = set(created_ids(first)) & set(created_ids(second))
    got = f"id {min(overlap)} of the first request again" if second.accepted and overlap else second.words
    context.require(second.accepted and not overlap, rule, cause, expected, first, second, got=got)


# Repeated keys


def run_replay(context: CaseContext, case: cases.Replay) -> None:
    request = _request_of(context, case)
    first = send_first(context, request, case.operation)
    if case.change_between:
        _change_between(context, case.operation, first)
    if case.delete_between:
        for run_id in created_ids(first)[:1]:
            context.call("delete_run", run_id)
    for _ in range(max(1, case.times)):
        again = context.send(request.with_header(case.header, request.idempotency_key))
        _require_same_answer(context, first, again, KEY_IS_IGNORED)
    if not case.change_between:
        _require_no_duplicates(context, case.operation, first, first, again)
    elif case.operation in WRITES_ON_A_RUN:
        _require_change_kept(context, case.operation, first, again)


def run_invalid(context: CaseContext, case: cases.InvalidWrite) -> None:
    """An invalid write is refused with the same status each time that it is repeated."""
    if case.is_unknown:
        context.placeholders["run"] = context.placeholder("unknown")
    request = _request_of(context, case)
    first = context.send(request)
    assume(first.refused, "an invalid write is not refused")
    for _ in range(case.times):
        again = context.send(request)
        cause, expected = "a refused write gets another answer when it is repeated", f"{first.status} again"
        context.require(again.status == first.status, "IDEM-REPLAY", cause, expected, first, again)
    if case.operation in CREATES and context.check.has_second:
        body = write_bodies.minimal(case.operation)
        theirs = context.send(keyed_request(context, case.operation, body, case.key, token=SECOND_TOKEN))
        cause, expected = "a key that another organisation has used is refused", "a success, since the keys are its own"
        context.require(theirs.status != 409, "IDEM-SCOPE", cause, expected, first, theirs)


def _change_between(context: CaseContext, operation: str, first: CallResult) -> None:
    """Change the run of the first write: after an update, change an input; after another write, cancel the run."""
    if operation == "update_run":
        context.call_valid("update_run", context.placeholder("run"), body=_CHANGED)
        return
    for run_id in created_ids(first)[:1]:
        cancelled = context.cancel(run_id)
        is_done = cancelled.accepted or operation != "retry_run"
        assume(is_done, "the run had ended before it could be cancelled")


_CHANGED: Final = {"input_values": {"between": True}}
_CANCELLED: Final = {"status": "cancelled"}


def _require_change_kept(context: CaseContext, operation: str, first: CallResult, again: CallResult) -> None:
    change = _CHANGED if operation == "update_run" else _CANCELLED
    after = context.call("get_run", context.placeholder("run"))
    cause = "an update is carried out twice" if operation == "update_run" else "a retry is carried out twice"
    wrong = ("", after.words) if after.resource is None else changed_field(change, after.resource, change)
    named = ", ".join(f"{name} {value_in_words(value)}" for name, value in change.items())
    expected = f"{named}, as changed before the request was repeated"
    context.require(wrong is None, "IDEM-REPLAY", cause, expected, first, again, after, got=wrong[1] if wrong else "")


def run_together(context: CaseContext, case: cases.Together) -> None:
    request = _request_of(context, case)
    over_s = _duration_of(context, case) if case.spread else 0.0  # a lock may end before the write that it is for
    results = context.send_together([request] * max(1, case.times), over_s=over_s)
    done = [result for result in results if result.accepted]
    if not done and all(result.status == 409 for result in results):
        settled = _send_until_settled(context, request)
        done = [settled] if settled.accepted else []
    assume(done, f"{case.operation} under a key answers {results[0].status} when sent together")
    for result in results:
        _judge_concurrent_repeat(context, done[0], result, results)
    final = _send_until_settled(context, request)
    _require_same_answer(context, done[0], final, "another answer after concurrent repeats")
    _require_no_duplicates(context, case.operation, done[0], *results)


def _judge_concurrent_repeat(
    context: CaseContext, done: CallResult, result: CallResult, results: Sequence[CallResult]
) -> None:
    """Require that a repeat gets the answer, or 409 with Idempotency-Status: in_progress."""
    if not result.accepted:
        status = (result.answer.header(_STATUS_HEADER) or "").strip().lower()
        waits = result.status == 409 and status == "in_progress"
        cause, expected = "a concurrent repeat is refused", f"the answer, or 409 with {_STATUS_HEADER}: in_progress"
        context.require(waits, "IDEM-REPLAY", cause, expected, *results, got=result.words)
        return
    problem: str | None = difference(done.body, result.body, "answer")
    if problem is None and result.status != done.status:
        problem = f"the statuses {result.status} and {done.status}"
    cause, expected = "concurrent repeats get different answers", "the same answer for both"
    found = [] if problem is None else [Violation("IDEM-REPLAY", cause, expected, problem)]
    # Whether the requests overlap is a matter of chance, so their answers count as a proof.
    context.judge("IDEM-REPLAY", found, *results, is_proof=True)


def _duration_of(context: CaseContext, case: cases.Together) -> float:
    """Return how long such a write takes, up to _MAX_SPREAD_S. It is for another workflow than those of the case."""
    body = map_texts(case.body, lambda text: text.replace("«workflow»", "«workflow:9»"))
    begin = time.monotonic()
    context.send(keyed_request(context, case.operation, body, "«uuid»"))
    return min(_MAX_SPREAD_S, time.monotonic() - begin)


_MAX_SPREAD_S: Final = 2.0


def _send_until_settled(context: CaseContext, request: Request) -> CallResult:
    end = time.monotonic() + _IN_PROGRESS_WAIT_S
    while True:
        result = context.send(request)
        if result.status != 409 or time.monotonic() > end:
            return result
        context.wait(0.05)


# Other bodies


def run_conflict(context: CaseContext, case: cases.Conflict) -> None:
    request = _request_of(context, case)
    others = [(body, keyed_request(context, case.operation, body, case.key)) for body in case.others]
    others = [(body, other) for body, other in others if _is_conflict(case.operation, request, other)]
    if not others:
        return
    first = send_first(context, request, case.operation)
    refused: list[CallResult] = []
    for body, other in others:
        changed = _changed_properties(case.body, body)
        if changed and changed <= ignored_properties(first.answer):
            continue  # the target may not know the properties in which the two bodies differ
        again = context.send(other)
        cause = "a key is accepted with another body"
        expected = "409 or 422, since the key was used for another body"
        context.require(again.refused, "IDEM-CONFLICT", cause, expected, first, again)
        assume(again.refused, f"another body under the key answers {again.status}")
        refused.append(again)
    assume(refused, "the target may not know the properties in which the bodies differ")
    _require_no_effect(context, case, first, *refused)
    _require_same_answer(context, first, context.send(request), "another answer after a conflict")


def _is_conflict(operation: str, request: Request, other: Request) -> bool:
    return other.body != request.body and not read_body(operation, json.loads(other.body or b"null")).is_invalid


def _changed_properties(body: dict[str, Any], another: dict[str, Any]) -> set[str]:
    one, other = ({name: json.dumps(value) for name, value in each.items()} for each in (body, another))
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}


def run_conflict_together(context: CaseContext, case: cases.Conflict) -> None:
    """Send two bodies under one key at once: at most one of them may be accepted."""
    requests = [keyed_request(context, case.operation, body, case.key) for body in (case.body, *case.others)]
    results = context.send_together(requests)
    both = sum(result.accepted for result in results) > 1
    cause, expected = "two bodies with one key are both accepted", "409 or 422 for one of two bodies with one key"
    context.require(not both, "IDEM-CONFLICT", cause, expected, *results, got=results[-1].words)


# Other keys and other organisations


def run_two_keys(context: CaseContext, case: cases.TwoKeys) -> None:
    """Send the same body under two keys: both must be carried out."""
    if len(set(map(context.fill, case.keys))) < 2:
        return
    first = send_first(context, keyed_request(context, case.operation, case.body, case.keys[0]), case.operation)
    second = context.send(keyed_request(context, case.operation, case.body, case.keys[1]))
    cause, expected = "two keys count as one", "runs of its own under another key"
    _require_own_runs(context, "IDEM-REPLAY", cause, expected, first, second)


def run_two_organisations(context: CaseContext, case: cases.TwoOrganisations) -> None:
    """Send a write of each organisation under one key: both must be carried out. If the second one is a repeat of the
    first, on a run of the other organisation, it must be refused.
    """
    assume(context.check.has_second, "no second token was given")
    tokens = (SECOND_TOKEN, TOKEN) if case.is_reversed else (TOKEN, SECOND_TOKEN)
    bodies = (case.body, case.body if case.other is None else case.other)
    mine, theirs = (
        keyed_request(context, case.operation, body, case.key, token=token)
        for body, token in zip(bodies, tokens, strict=True)
    )
    if case.together:
        first, second = context.send_together([mine, theirs])
        if not first.accepted:
            first, second, mine = second, first, theirs
        assume(first.accepted, f"{case.operation} under a key answers {first.status}")
    else:
        first = send_first(context, mine, case.operation)
        _require_repeatable(context, first, context.send(mine))
        if case.is_repeat:
            foreign = context.send(mine.with_header("Authorization", tokens[1]))
            cause, expected = "a key gives another organisation's answer", "404, as for any unknown run"
            context.require(not foreign.accepted, "IDEM-SCOPE", cause, expected, first, foreign)
            return
        second = context.send(theirs)
    if case.operation in LISTED_BY and second.status == 409:
        raise Inconclusive("the name may be taken for the second organisation too")
    cause, expected = "another organisation's key blocks a write", "an answer of its own for another organisation"
    _require_own_runs(context, "IDEM-SCOPE", cause, expected, first, second)
    third = context.send(mine)
    problem = difference(first.body, third.body, "answer")
    if problem and case.together:
        _require_repeatable(context, third, context.send(mine))
    cause, expected = "the other organisation's write replaces the answer", "the first answer again"
    context.require(problem is None, "IDEM-SCOPE", cause, expected, first, second, third, got=problem or "")


def _require_repeatable(context: CaseContext, first: CallResult, again: CallResult) -> None:
    """Require that a repeat gets the same answer while no other organisation uses the key. If not, end the case."""
    if not is_same(first.body, again.body):
        _require_same_answer(context, first, again, KEY_IS_IGNORED)
        raise Inconclusive("a repeat gets another answer, without the other organisation")


SCENARIOS: Final[tuple[Scenario[Any], ...]] = (
    Scenario(
        "idempotency keys repeated",
        ("IDEM-REPLAY",),
        run_replay,
        cases.replay_cases,
        weight=2,  # each operation may have a fault of its own
    ),
    Scenario(
        "idempotency keys repeated concurrently",
        ("IDEM-REPLAY",),
        run_together,
        cases.together_cases,
        attempts=6,
        is_exclusive=True,  # else the requests are further apart
        order=2,
    ),
    Scenario(
        "idempotency keys with another body",
        ("IDEM-CONFLICT",),
        run_conflict,
        cases.conflict_cases,
        weight=2,  # each operation may have a fault of its own
        order=2,
    ),
    Scenario(
        "idempotency keys with two bodies concurrently",
        ("IDEM-CONFLICT",),
        run_conflict_together,
        cases.conflict_together_cases,
        attempts=6,
        is_exclusive=True,  # else the requests are further apart
        order=2,
    ),
    Scenario(
        "idempotency keys of invalid writes", ("IDEM-REPLAY", "IDEM-SCOPE"), run_invalid, cases.invalid_cases, order=2
    ),
    Scenario("two idempotency keys", ("IDEM-REPLAY",), run_two_keys, cases.two_keys_cases, order=2),
    Scenario(
        "idempotency keys of two organisations",
        ("IDEM-SCOPE", "IDEM-REPLAY"),
        run_two_organisations,
        cases.two_organisations_cases,
        attempts=4,
        order=2,
    ),
)
