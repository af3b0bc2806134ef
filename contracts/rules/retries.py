"""Retries: a retry restarts an ended run under the same id, and is refused for a run that has not ended."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from contracts.data import boundary_values, write_bodies
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.request_building import request_for
from contracts.engine.results import CallResult, Inconclusive, WriteResult
from contracts.engine.runner import Scenario
from contracts.engine.shrink import Case
from contracts.openapi.schemas import is_uuid
from contracts.oracle import (
    TERMINAL,
    Violation,
    alias_difference,
    changed_field,
    excerpt,
    gains_inputs,
    is_run,
    stable_fields,
)
from contracts.rules.listing import items_of
from contracts.rules.rule import Rule
from contracts.rules.updates import GROUP, cancel

RULES = (
    Rule(
        "RETRY-RULES",
        "api",
        "A retry starts an ended run again, in place",
        "Only a run that has ended can be retried (else 409 or 422). The id stays, output_data, error, "
        "run_message_history and output attachments are cleared, the status is scheduling again, and what the request "
        "gives replaces what was there.",
        GROUP,
        needs=("retry_run", "get_run"),
    ),
)


def run_retry(context: CaseContext, case: Case) -> None:
    """Cancels a run, fills the fields that a retry clears (`filled`), retries it and judges the result."""
    created = context.some_runs(case.get("count", 1), **context.fill(case.get("fields", {})))
    index = case.get("index", 0) % len(created.runs)
    run = created.runs[index]
    shown: list[CallResult] = [created.result, cancel(context, run["id"], after=[created.result])]
    filled: dict[str, Any] = {}
    for name, value in case.get("filled", {}).items():
        result = context.call("update_run", run["id"], body={name: value})
        if result.accepted:
            filled[name] = value
            shown.append(result)
    before: dict[str, Any] = context.ask("get_run", run["id"], after=shown).body
    if before.get("status") not in TERMINAL:
        return
    for attempt in range(case.get("times", 1)):
        if attempt:
            cancelled = cancel(context, run["id"], after=shown[:1])
            refilled = [context.call("update_run", run["id"], body={name: value}) for name, value in filled.items()]
            shown = [created.result, cancelled, *(result for result in refilled if result.accepted)]
            before = context.ask("get_run", run["id"], after=shown).body
        wanted = context.fill(case.get("body", {}))
        written = context.write("retry_run", run["id"], body=wanted)
        result = written.result
        if not result.accepted:
            if not written.parsed.is_valid or context.may_be_unknown(written.parsed, result) or "workflow_id" in wanted:
                return
            cause = "a retry of an ended run is refused"
            context.require(False, "RETRY-RULES", cause, "the run started again", result.words, *shown, result)
            return
        context.expect_success(result, shown)
        judge_retry(context, before, result.body, written, [*shown, result], at_once=True)
        read = context.ask("get_run", run["id"], after=[*shown, result])
        judge_retry(context, before, read.body, written, [*shown, result, read], at_once=False)
        if case.get("again"):
            second = context.call("retry_run", run["id"], body={})
            third = context.ask("get_run", run["id"])
            if second.accepted and third.body.get("status") == "scheduling":
                _check_second_retry(context)
    _attachments_replaced(context, run, result.body, written, [*shown, result])
    for other in {0, len(created.runs) - 1} - {index}:
        read = context.ask("get_run", created.runs[other]["id"])
        problem = changed_field(
            created.runs[other], read.body, stable_fields(created.parsed), may_gain=gains_inputs(created.parsed)
        )
        cause = "another run changes too"
        context.require(
            problem is None,
            "RETRY-RULES",
            cause,
            "the other runs as before",
            str(problem),
            *shown,
            result,
            read,
        )


def _check_second_retry(context: CaseContext) -> None:
    """Judges that a retried run that is scheduling cannot be retried again.

    Cancels and retries several runs at once, then retries the first one again. An accepted retry counts only if none
    of its siblings has ended meanwhile.
    """
    for _ in range(2):
        written = context.some_runs(12)
        first = written.ids[0]
        shown = [written.result]
        for one in reversed(written.ids):
            cancelled = cancel(context, one, after=[written.result])
            again = context.call("retry_run", one, body={})
            if not again.accepted:
                raise Inconclusive("a retry of an ended run is refused")
            shown += [cancelled, again] if one == first else []
        retried = context.call("retry_run", first, body={})
        if not retried.accepted:
            return
        _require_siblings_active(context, written.ids[1:])
    cause = "a run that is retried and has not ended is retried again"
    context.require(False, "RETRY-RULES", cause, "409 or 422", retried.words, *shown, retried)


def _require_siblings_active(context: CaseContext, siblings: Sequence[str]) -> None:
    """Raises Inconclusive if a sibling has ended: the run itself may have ended before the retry, too.

    If no sibling has, it is unlikely that the run had ended.
    """
    if any(context.ask("get_run", one).body.get("status") in TERMINAL for one in siblings):
        raise Inconclusive("runs end too fast to retry one that has not ended")


def run_retry_early(context: CaseContext, case: Case) -> None:
    """Retries a run right after its creation: the retry must be refused."""
    written = context.some_runs(12, **context.fill(case.get("fields", {})))
    index = case.get("index", 0)
    retried = context.call("retry_run", written.ids[index], body=context.fill(case.get("body", {})))
    if retried.accepted:
        _require_siblings_active(context, [one for i, one in enumerate(written.ids) if i != index])
    cause = "a run that has not ended is retried"
    context.require(
        retried.status in {409, 422}, "RETRY-RULES", cause, "409 or 422", retried.words, written.result, retried
    )


def run_retry_together(context: CaseContext, case: Case) -> None:
    """Sends two retries of one ended run concurrently. One must be refused, since the other has restarted the run."""
    written = context.some_runs(12)
    first = written.ids[0]
    cancelled = cancel(context, first, after=[written.result])
    results = context.send_together(
        [request_for("retry_run", first, body=context.fill(body)) for body in case["bodies"]]
    )
    both = len(results) > 1 and all(result.accepted for result in results)
    if both:
        _require_siblings_active(context, written.ids[1:])
    cause, expected = "two retries at once are both done", "one done, the other 409 or 422"
    context.require(not both, "RETRY-RULES", cause, expected, "both done", written.result, cancelled, *results)


def together_cases(check: CheckContext) -> Iterator[Case]:
    yield {"bodies": [{}, {}]}
    yield {"bodies": [{"input_values": {"a": 1}}, {"input_values": {"b": 2}}]}


def judge_retry(
    context: CaseContext,
    before: Mapping[str, Any],
    after: Any,
    written: WriteResult,
    shown: Sequence[CallResult],
    *,
    at_once: bool,
) -> None:
    def fail(cause: str, expected: str, got: str) -> None:
        context.fail(Violation("RETRY-RULES", cause, expected, got), *shown)

    context.check.count("RETRY-RULES")
    if not is_run(after):
        return
    given = written.parsed.given
    if after["id"] != before["id"]:
        fail("another id", f"id {before['id']}", after["id"])
    if at_once and after["status"] != "scheduling":
        fail("not back to scheduling", "status scheduling", after["status"])
    if at_once or after["status"] in {"scheduling", "running"}:
        for name in ("output_data", "error", "run_message_history", "output_attachment_ids"):
            if after.get(name) and (at_once or name in {"output_data", "error"}):
                fail(f"{name} is not cleared", f"no {name}", excerpt(json.dumps(after[name])))
    for name in ("workflow_id", "user_id", "organization_id", "created_at"):
        changed = changed_field(before, after, (name,))
        if changed is not None:
            fail(f"{name} changes too", f"{name} as before", changed[1])
    named = given("machine_id") is not None or bool(given("pool_ids"))
    inputs = given("input_values") if given("input_values") is not None else before.get("input_values")
    changed = changed_field(
        {"input_values": inputs},
        after,
        ("input_values",),
        may_gain=True if named else bool(before.get("pool_ids") or before.get("machine_id")),
    )
    if changed is not None:
        cause = "input_values are not replaced" if given("input_values") is not None else "input_values change too"
        fail(
            cause,
            "input_values as given" if given("input_values") is not None else "input_values as before",
            changed[1],
        )
    secrets = given("sensitive_input_values")
    if secrets:
        problem = alias_difference(secrets, after.get("sensitive_input_aliases"))
        kept = set(before.get("sensitive_input_aliases") or {})
        if problem is not None and (after.get("sensitive_input_aliases") or {}).keys() != secrets.keys() | kept:
            fail("aliases of other keys", "aliases with the keys of the new sensitive values", problem)
    elif (
        secrets is None
        and (before.get("sensitive_input_aliases") or {}).keys() != (after.get("sensitive_input_aliases") or {}).keys()
    ):
        fail("aliases change too", "aliases as before", excerpt(json.dumps(after.get("sensitive_input_aliases"))))
    _judge_retry_session(before, after, written, fail)
    for name in ("session_alias", "release_session_after"):
        if given(name) is not None and after.get(name) != given(name):
            fail(
                f"{name} is not as given",
                f"{name} {excerpt(json.dumps(given(name)))}",
                excerpt(json.dumps(after.get(name))),
            )
    if (
        given("machine_id") is not None
        and given("session_id") is None
        and not (before.get("session_id") and given("reuse_session") is not False)
        and not given("start_session")
        and after.get("machine_id") != given("machine_id")
    ):
        fail("machine_id is not as given", f"machine_id {given('machine_id')}", str(after.get("machine_id")))
    alone = all(one is None for one in (given("session_id"), given("machine_id"), after.get("session_id")))
    if given("pool_ids") and alone and after.get("pool_ids") != given("pool_ids"):
        fail(
            "pool_ids are not as given",
            f"pool_ids {excerpt(json.dumps(given('pool_ids')))}",
            excerpt(json.dumps(after.get("pool_ids"))),
        )
    files = given("file_inputs")
    old, new = before.get("input_attachment_ids") or [], after.get("input_attachment_ids") or []
    if files:
        if len(new) != len(files) or set(new) & set(old):
            fail(
                "input attachments are not replaced",
                f"{len(files)} new attachments",
                f"{len(new)}, {len(set(new) & set(old))} of them old",
            )
    elif files is None and set(old) != set(new):
        fail("input attachments change too", "the same input attachments", f"{len(new)} after {len(old)}")


def _judge_retry_session(before: Mapping[str, Any], after: Mapping[str, Any], written: WriteResult, fail: Any) -> None:
    given = written.parsed.given
    session, old = after.get("session_id"), before.get("session_id")
    if given("session_id") is not None and not given("start_session"):
        if session != given("session_id"):
            fail("session_id is not as given", f"session_id {given('session_id')}", str(session))
    elif given("session_id") is None and given("start_session"):
        # A single create that starts a session uses the id of the run as its id, so a retry may start the same session.
        if not is_uuid(session) or (session == old and session != before.get("id")):
            fail("no session is started", "a new session", str(session))
    elif given("session_id") is None and given("reuse_session") is False:
        if session is not None and session == old:
            fail("the session is kept", "another session or none", str(session))
    elif given("session_id") is None and given("reuse_session") is not False and session != old:
        fail("the session is not kept", f"session_id {old}", str(session))


def _attachments_replaced(
    context: CaseContext, run: Mapping[str, Any], after: Any, written: WriteResult, shown: Sequence[CallResult]
) -> None:
    files = written.parsed.given("file_inputs")
    if not files or not context.check.offers("get_run_attachment", "download_run_attachment"):
        return
    for file, attachment in zip(files, after.get("input_attachment_ids") or (), strict=False):
        result = context.call("download_run_attachment", attachment)
        same = result.status == 200 and result.answer.body == base64.b64decode(file["content"])
        context.require(
            same,
            "ATTACHMENTS",
            "new files of a retry are not there",
            "the new file's bytes",
            result.words,
            *shown,
            result,
        )
    for attachment in run.get("input_attachment_ids") or ():
        result = context.call("list_run_attachments", query=[("run_id", run["id"]), ("attachment_type", "input")])
        left = [item for item in items_of(result) if item.get("id") == attachment]
        context.require(
            not left, "RETRY-RULES", "old input files are left", "only the new files", "an old one", *shown, result
        )


_FILLED: Final[dict[str, Any]] = {
    "output_data": {"result": 1},
    "error": ["it failed"],
    "run_message_history": [{"role": "user", "content": "hello"}],
}


def retry_cases(check: CheckContext) -> Iterator[Case]:
    rich = {
        "input_values": write_bodies.INPUTS,
        "sensitive_input_values": {"pin": "«secret:5»"},
        "file_inputs": [boundary_values.file("old.txt", b"old")],
    }
    features = dict(write_bodies.RETRY_FEATURES)
    for name, ids in (("machine_id", check.machines), ("pool_ids", check.pools), ("session_id", check.sessions)):
        if not ids.invented:
            del features[name]
    yield {"filled": _FILLED}
    yield {"filled": _FILLED, "fields": rich}
    for name, value in _FILLED.items():
        yield {"filled": {name: value}}
        yield {"filled": {name: value}, "body": {"input_values": {"new": 1}}}
    for name, values in features.items():
        for value in values:
            for fields in ({}, rich, {"start_session": True}, rich | {"start_session": True}):
                yield {"fields": fields, "body": {name: value}, "filled": _FILLED if fields else {}}
    for a, b in itertools.combinations(features, 2):
        yield {"fields": rich, "body": {a: features[a][0], b: features[b][0]}}
    for name in features:
        for value in write_bodies.EMPTY.get(name, ()):
            if value is None:
                yield {"fields": rich, "body": {name: value}}
    yield {"times": 3, "filled": _FILLED}
    yield {"again": True}
    yield {"body": {"workflow_id": "«uuid:8»"}}  # an unknown property of a retry: refused or ignored
    for count in (2, 3, 101, 1000):
        for index in (0, count - 1) if count < 1000 else (999,):
            yield {"count": count, "index": index, "filled": _FILLED, "fields": {"input_values": write_bodies.INPUTS}}
    yield {
        "fields": {"file_inputs": [boundary_values.file(), boundary_values.file("b.txt")]},
        "body": {"file_inputs": [boundary_values.file("new.txt", b"new")]},
        "count": 2,
    }
    if check.sessions.invented:
        yield {"fields": {"session_id": "«session»"}, "count": 3, "index": 1, "filled": _FILLED}
        yield {"fields": {"session_id": "«session»"}, "body": {"reuse_session": False}}
        yield {"fields": {"session_id": "«session»"}, "body": {"session_id": "«session:2»"}}


def early_cases(check: CheckContext) -> Iterator[Case]:
    for fields in ({}, {"start_session": True}, {"file_inputs": [boundary_values.file()]}, {"input_values": {"a": 1}}):
        yield {"fields": fields}
    for body in (
        {"input_values": {"a": 1}},
        {"file_inputs": [boundary_values.file()]},
        {"reuse_session": False},
        {"start_session": True},
        {"session_alias": "x"},
        {"sensitive_input_values": {"pin": "«secret»"}},
    ):
        yield {"body": body}
    yield {"index": 11}
    yield {"index": 11, "fields": {"start_session": True}}


SCENARIOS = (
    Scenario(
        "retries",
        ("RETRY-RULES", "ATTACHMENTS"),
        run_retry,
        retry_cases,
        needs=("retry_run", "get_run", "update_run"),
        priority=1,
    ),
    Scenario(
        "retries too early",
        ("RETRY-RULES",),
        run_retry_early,
        early_cases,
        needs=("retry_run", "get_run"),
        attempts=4,
        priority=2,
    ),
    Scenario(
        "concurrent retries",
        ("RETRY-RULES",),
        run_retry_together,
        together_cases,
        needs=("retry_run", "get_run", "update_run"),
        attempts=6,
        together=False,
        priority=3,
    ),
)
