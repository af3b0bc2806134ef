"""Checks again, at the end of a check, what was created at its start: runs and idempotency keys.

In between, the check creates thousands of runs and sends many keys. A server that forgets old runs or keys has lost
them by then.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from contracts.core.counting import counted
from contracts.core.exchange import TOKEN, Request
from contracts.data import batches, write_bodies
from contracts.data.limits import MANY_KEYS, MAX_LIMIT, POWERS_OF_TWO
from contracts.engine import CallResult, Case, CaseContext, CheckContext, Scenario, assume
from contracts.engine.request_building import request_for
from contracts.engine.same_fault import KEY_IS_IGNORED
from contracts.oracle import KnownRun, Violation
from contracts.rules.idempotency import answer_difference, keyed_request, send_first
from contracts.rules.idempotency_cases import Keyed, keyed_writes, simple_body
from contracts.rules.list_checks import check_page
from contracts.rules.run_events import CANCEL, RETRY, Event, apply
from contracts.rules.tracked_run import TrackedRun
from contracts.rules.writes import CHANGING_WRITES, create_runs

# Runs


@dataclass(frozen=True)
class FirstRunsCase(Case):
    """Runs that are created at the start of the check. The events change the last one of them."""

    number: int
    operation: str = "bulk_create_runs"
    body: dict[str, Any] = field(default_factory=dict)
    events: tuple[Event, ...] = ()


def make_runs(context: CaseContext, case: FirstRunsCase) -> None:
    """Create the runs and keep them for `check_runs_again`."""
    runs = TrackedRun.all_of(context, create_runs(context, case.operation, case.body))
    for event in case.events:
        apply(runs[-1], event)
    for run in runs:
        run.known = run.known.after_no_change("READ-BACK")
    with context.check.lock:
        context.check.first_runs.setdefault(case.number, runs)


def first_runs_cases(check: CheckContext) -> Iterator[FirstRunsCase]:
    body = {"workflow_id": "«workflow»", **write_bodies.EVERYTHING}
    yield FirstRunsCase(0, body=body | {"count": 3})
    if check.offers("create_run"):
        yield FirstRunsCase(1, "create_run", body | {"session_alias": "kept"})
    if check.offers("create_run_chain", "get_run"):
        steps = [{"workflow_id": "«workflow»", "inputs": {"step": index}} for index in range(2)]
        yield FirstRunsCase(2, "create_run_chain", {"steps": steps})
    if check.offers("update_run"):
        ended = (CANCEL, Event("update", write_bodies.SOME_RESULTS))
        yield FirstRunsCase(3, body=body | {"count": 1}, events=ended)
        if check.offers("retry_run"):
            yield FirstRunsCase(4, body=body | {"count": 1}, events=(CANCEL, RETRY))


@dataclass(frozen=True)
class LastRunsCase(Case):
    """The runs of the FirstRunsCase with that number."""

    number: int


def check_runs_again(context: CaseContext, case: LastRunsCase) -> None:
    """Read and list the runs, read their files, and update one that has ended: none of them may be lost or changed."""
    runs: list[TrackedRun] = context.check.first_runs.get(case.number, [])
    if case.number in context.check.first_runs_updated and context.only is None:
        return  # the requests that repeated a finding may have changed them otherwise than the models know
    for run in runs:
        run.context = context
        run.read()
        for attachment in run.files():
            if context.check.offers("download_run_attachment"):
                context.call_valid("download_run_attachment", attachment, after=run.evidence)
    if runs and context.check.offers("list_runs"):
        session = runs[0].known.view.get("session_id")
        query = [("session_id", session)] if session else [("search", runs[0].id)]
        check_page(runs[0], query, runs[1:], limit=MAX_LIMIT, compares=True)
    reads_right = not any(rule == "READ-BACK" for rule, _ in context.check.known_violations)
    for run in runs[-1:] if reads_right else ():
        if run.known.has_ended and context.check.offers("update_run"):
            context.check.first_runs_updated.add(case.number)
            run.update({"output_data": {"late": True}})
            run.read()


# Idempotency keys


@dataclass(frozen=True)
class KeysAgainCase(Case):
    """All first keys are sent again, after the check has sent at least `keys` keys."""

    keys: int = 0


@dataclass(frozen=True)
class KeySoonAgainCase(Case):
    expected_runs: ClassVar[int] = 2


def use_key(context: CaseContext, case: Keyed) -> None:
    """Send the first key of the check for an operation, and keep it for `repeat_keys`."""
    request = keyed_request(context, case.operation, case.body, case.key)
    first = send_first(context, request, case.operation)
    with context.check.lock:
        context.check.first_keys.setdefault(case.operation, (request, first))


def repeat_keys(context: CaseContext, case: KeysAgainCase) -> None:
    """Send the first keys again, only once: a cache may keep a key longer if it is used again."""
    with context.check.lock:
        kept = list(context.check.first_keys.values())
    assume(kept, "no key was sent at the start of the check")
    missing = case.keys - len(_accepted_keys(context))
    if missing > 0 and context.check.offers("update_run"):
        _send_other_keys(context, missing)
    _repeat(context, kept)


def _accepted_keys(context: CaseContext) -> set[str]:
    """Return the keys of the first organisation's accepted writes, as far as the guard still has their exchanges."""
    return {
        key
        for exchange in context.check.guard.exchanges
        if exchange.request.header("Authorization") == TOKEN and exchange.answer.status < 300
        if (key := exchange.request.idempotency_key) is not None
    }


def _repeat(context: CaseContext, kept: list[tuple[Request, CallResult]]) -> None:
    for request, first in kept:
        run_id = first.shown("id") if first.operation in CHANGING_WRITES else None
        run = None if run_id is None else context.call("get_run", run_id)
        again = context.send(request)
        problem = answer_difference(first, again)
        if problem is not None:
            _report_forgotten(context, [first, again], problem)
        elif run is not None and run.resource is not None:
            _require_unchanged(context, first, run, again)
    context.check.count("IDEM-REPLAY", len(kept))


def _require_unchanged(context: CaseContext, first: CallResult, before: CallResult, again: CallResult) -> None:
    """Judge by a read that a repeated request has changed nothing: a retry that is done twice answers the same."""
    after = context.call_valid("get_run", before.body["id"], after=[first, before, again])
    changes = KnownRun(before.body).unchanged_violations("IDEM-REPLAY", "an old key is forgotten", after.body)
    # A proof, since sending it again would not show it: the run would not have ended yet.
    context.judge("IDEM-REPLAY", changes, first, before, again, after, is_proof=True)


_SOON: Final = 64
"""A key is repeated after this many others. A finding can show so many requests."""


def _find_forgotten_key(context: CaseContext) -> list[CallResult] | None:
    """Return the shortest evidence that a key is forgotten; None if it is kept for _SOON other keys."""
    for others in (0, *(count for count in POWERS_OF_TWO if count <= _SOON)):
        evidence = _repeat_after(context, others)
        if answer_difference(evidence[0], evidence[-1]) is not None:
            return evidence
    return None


def _repeat_after(context: CaseContext, others: int) -> list[CallResult]:
    """Send a write with a new key, writes with that many other keys, and the first write again."""
    key = f"{context.placeholder('key')}-{len(context.exchanges)}"
    request = keyed_request(context, "bulk_create_runs", simple_body("bulk_create_runs"), key)
    first = send_first(context, request, "bulk_create_runs")
    between = _send_other_keys(context, others, key)
    return [first, *between, context.send(request)]


def repeat_key_soon(context: CaseContext, case: KeySoonAgainCase) -> None:
    """Repeat a key after some others. This finds a server that keeps very few keys long before the end of the check."""
    first, *between, again = _repeat_after(context, _SOON)
    if (problem := answer_difference(first, again)) is not None:
        _report_forgotten(context, [first, *between, again], problem)
    context.count("IDEM-REPLAY", again)


def _report_forgotten(context: CaseContext, seen: list[CallResult], problem: str) -> None:
    """Report that a key is forgotten, by the shortest evidence: what was `seen`, or fewer requests."""
    evidence = _find_forgotten_key(context) or seen
    after = f", with {counted(len(evidence) - 2, 'key')} in between" if len(evidence) > 2 else ""
    is_ignored = evidence is not seen and len(evidence) == 2
    cause = KEY_IS_IGNORED if is_ignored else "an old key is forgotten"
    expected = "the answer of the first one"
    context.report_violation(Violation("IDEM-REPLAY", cause, expected, problem + after), *evidence)


def _send_other_keys(context: CaseContext, count: int, name: str = "other") -> list[CallResult]:
    """Send that many updates of one run, each with its own key, eight at a time. They cost a server little, and create
    nothing.
    """
    if "changed-run" not in context.placeholders:
        context.placeholders["changed-run"] = context.some_runs().runs[0]["id"]
    run_id, key = context.placeholder("changed-run"), context.placeholder("uuid")
    keys = (f"{key}-{name}-{number}" for number in range(count))
    body = {"release_session_after": True}
    requests = [request_for("update_run", run_id, body=body, key=key) for key in keys]
    return [result for group in batches(requests, 8) for result in context.send_together(group)]


# One case for each shard (`shard[1]` of them), since each shard has its own first keys and runs.
SCENARIOS: Final[tuple[Scenario[Any], ...]] = (
    Scenario(
        "runs created to be read again at the end",
        ("READ-BACK", "LIST-COMPLETE", "ATTACHMENTS"),
        make_runs,
        first_runs_cases,
        order=0,
    ),
    Scenario(
        "idempotency keys first used, to be used again at the end",
        ("IDEM-REPLAY",),
        use_key,
        lambda check: [Keyed(operation, simple_body(operation)) for operation in keyed_writes(check)],
        order=0,
    ),
    Scenario(
        "runs read again at the end",
        ("READ-BACK", "LIST-COMPLETE", "LIFECYCLE", "ATTACHMENTS"),
        check_runs_again,
        lambda check: [LastRunsCase(case.number) for case in first_runs_cases(check)],
        needs=("get_run",),
        order=9,
        is_last=True,
    ),
    Scenario(
        "idempotency keys used again after some others",
        ("IDEM-REPLAY",),
        repeat_key_soon,
        lambda check: [KeySoonAgainCase()] if check.offers("update_run") else [],
        order=3,
    ),
    Scenario(
        "idempotency keys used again after many others",
        ("IDEM-REPLAY",),
        repeat_keys,
        lambda check: [KeysAgainCase(MANY_KEYS)] * check.target.shard[1],
        order=8,
    ),
    Scenario(
        "idempotency keys used again at the end",
        ("IDEM-REPLAY",),
        repeat_keys,
        lambda check: [KeysAgainCase()] * check.target.shard[1],
        order=9,
        is_last=True,
    ),
)
