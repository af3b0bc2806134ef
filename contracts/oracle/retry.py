"""Judges the answer to a retry: the same run, cleared and scheduling again, with what the request gives."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from contracts.core.counting import counted
from contracts.openapi.schemas import is_uuid
from contracts.oracle.answer_schema import is_run
from contracts.oracle.create import alias_difference
from contracts.oracle.request import ParsedRequest
from contracts.oracle.run import changed_field
from contracts.oracle.violation import Violation
from contracts.oracle.wording import value_in_words

RULE: Final = "RETRY-RULES"
Run = Mapping[str, Any]

CLEARED_BY_RETRY: Final = ("output_data", "error", "run_message_history", "output_attachment_ids")


def retry_violations(before: Run, request: ParsedRequest, after: Any, *, may_gain: bool) -> Iterator[Violation]:
    """Yield what is wrong with the answer. `before` is the run before the retry, `after` the run in the answer.
    `may_gain`: the target may add keys to input_values.
    """
    if not is_run(after):
        return  # judged with its answer
    if after["id"] != before["id"]:
        yield Violation(RULE, "another id", f"id {before['id']}", f"id {after['id']}")
    if after["status"] != "scheduling":
        yield Violation(RULE, "not back to scheduling", "status scheduling", f"status {after['status']}")
    for name in CLEARED_BY_RETRY:
        if after.get(name):
            yield Violation(RULE, f"{name} is not cleared", f"no {name} after a retry", _named(name, after), field=name)
    for name in ("workflow_id", "user_id", "organization_id", "created_at"):
        changed = changed_field(before, after, (name,))
        if changed is not None:
            yield Violation(RULE, f"{name} changes too", f"{name} as before the retry", changed[1], field=name)
    yield from _input_violations(before, request, after, may_gain=may_gain)
    yield from _alias_violations(before, request, after)
    yield from _session_violations(before, request, after)
    yield from _placement_violations(before, request, after)
    yield from _file_violations(before, request, after)


def _named(name: str, run: Run) -> str:
    return f"{name} {value_in_words(run.get(name))}"


def _as_given(name: str, given: Any, after: Run) -> Iterator[Violation]:
    if after.get(name) != given:
        expected = f"{name} {value_in_words(given)}, as the retry gives"
        yield Violation(RULE, f"{name} is not as given", expected, _named(name, after), field=name)


def _input_violations(before: Run, request: ParsedRequest, after: Run, *, may_gain: bool) -> Iterator[Violation]:
    given = request.given("input_values")
    wanted = before.get("input_values") if given is None else given
    changed = changed_field({"input_values": wanted}, after, ("input_values",), may_gain=may_gain)
    if changed is not None:
        cause, expected = "input_values are not replaced", "input_values as the retry gives"
        if given is None:
            cause, expected = "input_values change too", "input_values as before the retry"
        yield Violation(RULE, cause, expected, changed[1], field="input_values")


def _alias_violations(before: Run, request: ParsedRequest, after: Run) -> Iterator[Violation]:
    secrets = request.given("sensitive_input_values")
    old, new = (run.get("sensitive_input_aliases") or {} for run in (before, after))
    if secrets:
        problem = alias_difference(secrets, new)
        if problem is not None:
            expected = "an alias for each key of the new sensitive values, and no others"
            yield Violation(RULE, "aliases of other keys", expected, problem)
    elif secrets is None and old.keys() != new.keys():
        expected, got = "sensitive_input_aliases as before the retry", _named("sensitive_input_aliases", after)
        yield Violation(RULE, "aliases change too", expected, got)


def _session_violations(before: Run, request: ParsedRequest, after: Run) -> Iterator[Violation]:
    given, starts = request.given("session_id"), request.given("start_session")
    old, new = before.get("session_id"), after.get("session_id")
    if given is not None:
        if not starts:  # with both, the contract does not say
            yield from _as_given("session_id", given, after)
    elif starts:
        # A single create that starts a session uses the id of the run as its id, so a retry may start the same session.
        if not is_uuid(new) or (new == old and new != before.get("id")):
            yield Violation(RULE, "no session is started", "a new session", _named("session_id", after))
    elif request.given("reuse_session") is False:
        if new is not None and new == old:
            yield Violation(RULE, "the session is kept", "another session or none", f"session_id {new} as before")
    elif new != old:
        expected = f"session_id {value_in_words(old)} as before"
        yield Violation(RULE, "the session is not kept", expected, _named("session_id", after))
    keeps_session = given is None and not starts and request.given("reuse_session") is not False
    for name in ("session_alias", "release_session_after"):
        if request.given(name) is not None:
            yield from _as_given(name, request.given(name), after)
        elif keeps_session and before.get(name) and after.get(name) != before[name]:
            expected = f"{name} {value_in_words(before[name])} as before the retry"
            yield Violation(RULE, f"{name} changes too", expected, _named(name, after), field=name)


def _placement_violations(before: Run, request: ParsedRequest, after: Run) -> Iterator[Violation]:
    """Judge machine_id and pool_ids. A session determines the machine, and a machine overrides the pools."""
    machine, session = request.given("machine_id"), request.given("session_id")
    may_stay_in_session = before.get("session_id") and request.given("reuse_session") is not False
    if machine is not None and session is None and not may_stay_in_session and not request.given("start_session"):
        yield from _as_given("machine_id", machine, after)
    if machine is not None or session is not None or after.get("session_id") is not None:
        return
    if request.given("pool_ids"):
        yield from _as_given("pool_ids", request.given("pool_ids"), after)
    elif request.given("pool_ids") is None and before.get("session_id") is None:
        changed = changed_field(before, after, ["pool_ids"])
        if changed is not None:
            yield Violation(RULE, "pool_ids change too", "pool_ids as before the retry", changed[1], field="pool_ids")


def _file_violations(before: Run, request: ParsedRequest, after: Run) -> Iterator[Violation]:
    files = request.given("file_inputs")
    old, new = (set(run.get("input_attachment_ids") or ()) for run in (before, after))
    if files and (len(after.get("input_attachment_ids") or ()) != len(files) or new & old):
        got = f"{counted(len(new), 'input attachment')}, {len(new & old) or 'none'} of them from before the retry"
        yield Violation(RULE, "input attachments are not replaced", counted(len(files), "new input attachment"), got)
    elif files is None and old != new:
        lost, added = len(old - new), len(new - old)
        got = f"{counted(lost, 'input attachment')} lost and {counted(added, 'new one')}"
        yield Violation(RULE, "input attachments change too", "the same input attachments", got)
