"""Retries: a retry restarts an ended run under the same id, and is refused for a run that has not ended."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from contracts.data import boundary_values, write_bodies
from contracts.engine.case import Case
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.request_building import request_for
from contracts.engine.results import Inconclusive, WriteResult
from contracts.engine.runner import Scenario
from contracts.oracle import TERMINAL
from contracts.rules.listing import items_of
from contracts.rules.rule import Rule
from contracts.rules.tracked_run import RunCase, TrackedRun, create_for, judge_other_runs
from contracts.rules.updates import GROUP

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


_SIBLINGS: Final = 12
"""How many runs are created to tell whether one of them has ended by itself."""


@dataclass(frozen=True)
class RetryCase(RunCase):
    """`body` is the body of the retry; `filled` are updates that fill the fields which a retry clears."""

    body: dict[str, Any] = field(default_factory=dict)
    filled: dict[str, Any] = field(default_factory=dict)
    times: int = 1
    is_retried_again: bool = False
    """Whether a second retry is sent right after the first one."""


def run_retry(context: CaseContext, case: RetryCase) -> None:
    """Cancels a run, fills the fields that a retry clears, retries it and judges the result."""
    created = create_for(context, case)
    index = case.index % len(created.runs)
    run = TrackedRun.of(context, created, index)
    old_files = created.runs[index].get("input_attachment_ids") or ()
    for _ in range(case.times):
        run.cancel()
        for name, value in case.filled.items():
            run.update({name: value})
        run.read()
        written = run.retry(context.fill(case.body))
        if not written.result.accepted:
            return
        _judge_files(run, old_files, written)
        run.read()
        if case.is_retried_again:
            second = context.call("retry_run", run.id, body={})
            if second.accepted and context.ask("get_run", run.id).body.get("status") == "scheduling":
                _check_second_retry(context)
    judge_other_runs(created, index, run, "RETRY-RULES")


def _check_second_retry(context: CaseContext) -> None:
    """Judges that a retried run that is scheduling cannot be retried again.

    Cancels and retries several runs at once, then retries the first one again. An accepted retry counts only if none
    of its siblings has ended meanwhile.
    """
    for _ in range(2):
        written = context.some_runs(_SIBLINGS)
        runs = [TrackedRun.of(context, written, index) for index in reversed(range(_SIBLINGS))]
        for run in runs:
            run.cancel()
            if not run.retry({}).result.accepted:
                raise Inconclusive("a retry of an ended run is refused")
        retried = context.call("retry_run", runs[-1].id, body={})
        if not retried.accepted:
            return
        _require_siblings_active(context, written.ids[1:])
    cause = "a run that is retried and has not ended is retried again"
    runs[-1].require(False, "RETRY-RULES", cause, "409 or 422", retried)


def _require_siblings_active(context: CaseContext, siblings: Sequence[str]) -> None:
    """Raises Inconclusive if a sibling has ended: the run itself may have ended before the retry, too.

    If no sibling has, it is unlikely that the run had ended.
    """
    if any(context.ask("get_run", one).body.get("status") in TERMINAL for one in siblings):
        raise Inconclusive("runs end too fast to retry one that has not ended")


def run_retry_early(context: CaseContext, case: RetryCase) -> None:
    """Retries a run right after its creation: the retry must be refused."""
    written = create_for(context, replace(case, count=_SIBLINGS))
    run = TrackedRun.of(context, written, case.index)
    retried = context.call("retry_run", run.id, body=context.fill(case.body))
    if retried.accepted:
        _require_siblings_active(context, [one for one in written.ids if one != run.id])
    run.require(
        retried.status in {409, 422}, "RETRY-RULES", "a run that has not ended is retried", "409 or 422", retried
    )


@dataclass(frozen=True)
class ConcurrentRetryCase(Case):
    bodies: tuple[dict[str, Any], ...]

    @property
    def expected_runs(self) -> int:
        return _SIBLINGS


def run_retry_together(context: CaseContext, case: ConcurrentRetryCase) -> None:
    """Sends two retries of one ended run concurrently. One must be refused, since the other has restarted the run."""
    written = context.some_runs(_SIBLINGS)
    run = TrackedRun.of(context, written)
    run.cancel()
    results = context.send_together([request_for("retry_run", run.id, body=body) for body in case.bodies])
    both = len(results) > 1 and all(result.accepted for result in results)
    if both:
        _require_siblings_active(context, written.ids[1:])
    cause, expected = "two retries at once are both done", "one done, the other 409 or 422"
    run.require(not both, "RETRY-RULES", cause, expected, *results, got="both done")


def together_cases(check: CheckContext) -> Iterator[ConcurrentRetryCase]:
    yield ConcurrentRetryCase(({}, {}))
    yield ConcurrentRetryCase(({"input_values": {"a": 1}}, {"input_values": {"b": 2}}))


def _judge_files(run: TrackedRun, old: Sequence[str], written: WriteResult) -> None:
    """Judges that the files of the retry can be downloaded, and that the old ones are not listed."""
    context, files = run.context, written.parsed.given("file_inputs")
    if not files or not context.check.offers("get_run_attachment", "download_run_attachment"):
        return
    for file, attachment in zip(files, written.result.body.get("input_attachment_ids") or (), strict=False):
        result = context.call("download_run_attachment", attachment)
        same = result.status == 200 and result.answer.body == base64.b64decode(file["content"])
        run.require(same, "ATTACHMENTS", "new files of a retry are not there", "the new file's bytes", result)
    if old:
        result = context.call("list_run_attachments", query=[("run_id", run.id), ("attachment_type", "input")])
        left = [item for item in items_of(result) if item.get("id") in old]
        run.require(not left, "RETRY-RULES", "old input files are left", "only the new files", result, got="an old one")


_FILLED: Final[dict[str, Any]] = {
    "output_data": {"result": 1},
    "error": ["it failed"],
    "run_message_history": [{"role": "user", "content": "hello"}],
}


def retry_features(check: CheckContext) -> dict[str, tuple[Any, ...]]:
    """Return the features of a retry that the target can have: ids of their own only where it takes made-up ones."""
    ids = {"machine_id": check.machines, "pool_ids": check.pools, "session_id": check.sessions}
    return {
        name: values for name, values in write_bodies.RETRY_FEATURES.items() if name not in ids or ids[name].invented
    }


def retry_cases(check: CheckContext) -> Iterator[RetryCase]:
    rich = {
        "input_values": write_bodies.INPUTS,
        "sensitive_input_values": {"pin": "«secret:5»"},
        "file_inputs": [boundary_values.file("old.txt", b"old")],
    }
    features = retry_features(check)
    yield RetryCase(filled=_FILLED)
    yield RetryCase(rich, filled=_FILLED)
    for name, value in _FILLED.items():
        yield RetryCase(filled={name: value})
        yield RetryCase(filled={name: value}, body={"input_values": {"new": 1}})
    for name, values in features.items():
        for value in values:
            for fields in ({}, rich, {"start_session": True}, rich | {"start_session": True}):
                yield RetryCase(fields, body={name: value}, filled=_FILLED if fields else {})
    for a, b in itertools.combinations(features, 2):
        yield RetryCase(rich, body={a: features[a][0], b: features[b][0]})
    for name in features:
        if None in write_bodies.EMPTY.get(name, ()):
            yield RetryCase(rich, body={name: None})
    yield RetryCase(times=3, filled=_FILLED)
    yield RetryCase(is_retried_again=True)
    yield RetryCase(body={"workflow_id": "«uuid:8»"})  # an unknown property of a retry: refused or ignored
    for count in (2, 3, 101, 1000):
        for index in (0, count - 1) if count < 1000 else (999,):
            yield RetryCase({"input_values": write_bodies.INPUTS}, count, index, filled=_FILLED)
    files = [boundary_values.file(), boundary_values.file("b.txt")]
    yield RetryCase({"file_inputs": files}, 2, body={"file_inputs": [boundary_values.file("new.txt", b"new")]})
    if check.sessions.invented:
        session = {"session_id": "«session»"}
        yield RetryCase(session, 3, 1, filled=_FILLED)
        yield RetryCase(session, body={"reuse_session": False})
        yield RetryCase(session, body={"session_id": "«session:2»"})


def early_cases(check: CheckContext) -> Iterator[RetryCase]:
    for fields in ({}, {"start_session": True}, {"file_inputs": [boundary_values.file()]}, {"input_values": {"a": 1}}):
        yield RetryCase(fields)
    for body in (
        {"input_values": {"a": 1}},
        {"file_inputs": [boundary_values.file()]},
        {"reuse_session": False},
        {"start_session": True},
        {"session_alias": "x"},
        {"sensitive_input_values": {"pin": "«secret»"}},
    ):
        yield RetryCase(body=body)
    yield RetryCase(index=_SIBLINGS - 1)
    yield RetryCase({"start_session": True}, index=_SIBLINGS - 1)


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
