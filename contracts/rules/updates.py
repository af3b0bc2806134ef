"""Updates: an update changes the fields that it names, and nothing else."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from contracts.data import boundary_values, write_bodies
from contracts.data.sample_values import VALUES
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.results import CallResult, Inconclusive, WriteResult
from contracts.engine.runner import Scenario
from contracts.engine.shrink import Case
from contracts.openapi.schemas import moment_of
from contracts.oracle import (
    STABLE,
    TERMINAL,
    Violation,
    changed_field,
    difference,
    excerpt,
    gains_inputs,
    is_run,
    stable_fields,
)
from contracts.rules.rule import Rule

GROUP = "Reading and changing"
RULES = (
    Rule(
        "UPDATE-PARTIAL",
        "api",
        "An update changes what it names and nothing else",
        "The fields of the request have their new values, in the answer and when read; the other fields, and other "
        "runs, the neighbours of the same create among them, are as before. Setting status to anything but cancelled "
        "is not judged.",
        GROUP,
        needs=("update_run", "get_run"),
    ),
)

_CHANGES_BY_ITSELF: Final = frozenset(
    {
        "error",
        "output_data",
        "output_attachment_ids",
        "run_message_history",
        "usage_metadata",
        "started_at",
        "ended_at",
    }
)
CHANGEABLE: Final = (
    "error",
    "output_data",
    "output_attachment_ids",
    "run_message_history",
    "input_values",
    "usage_metadata",
    "started_at",
    "ended_at",
    "release_session_after",
)


UPDATES: Final[dict[str, tuple[Any, ...]]] = {
    name: ({"usage_metadata": VALUES, "output_data": VALUES, "input_values": VALUES}.get(name, values[0]), *values)
    for name, values in write_bodies.UPDATE_VALUES.items()
} | {
    "error": (
        [f"line {index}" for index in range(101)],
        ["first line", "second é😀", "  łŁ\t", "a\x00b", "first line"],
        ["x"],
        [],
    ),
    "run_message_history": (
        [{"role": "user", "content": "hello"}, {"role": "assistant", "content": [1, {"a": None}], "more": VALUES}, {}],
        [{"role": "user", "content": f"message {index}"} for index in range(1001)],
        *write_bodies.UPDATE_VALUES["run_message_history"],
    ),
}
"""Values for each field that an update may name."""
_NEVER_CHANGED: Final = {"id": "«uuid:7»", "workflow_id": "«uuid:8»", "created_at": "2001-02-03T04:05:06Z"}
"""Unknown properties of an update: a server may refuse them, but they must not change the run."""


def cancel(context: CaseContext, run_id: str, *, after: Sequence[CallResult] = ()) -> CallResult:
    """Cancels a run, unless it has ended by itself, and returns the answer that shows the ended run.

    Raises:
        Inconclusive: the run cannot be cancelled and does not end.
    """
    result = context.call("update_run", run_id, body={"status": "cancelled"})
    if result.accepted:
        context.expect_success(result, after)
        cause, expected = "a run is not cancelled", "status cancelled"
        holds = isinstance(result.body, dict) and result.body.get("status") == "cancelled"
        if not context.require(holds, "UPDATE-PARTIAL", cause, expected, result.words, *after, result):
            raise Inconclusive("a run cannot be cancelled")
        return result
    for _ in range(20):
        read = context.ask("get_run", run_id, after=[*after, result])
        status = read.body.get("status")
        if status in TERMINAL:
            return read
        if status != "running_checks":
            context.expect_success(result, after)
        context.wait(0.1)
    raise Inconclusive("a run cannot be cancelled, nor does it end")


def run_update(context: CaseContext, case: Case) -> None:
    """Sends updates to one of several runs, one after the other, and judges that each changes only its own fields."""
    if case.get("op") == "create_run":
        created = context.create("create_run", {"workflow_id": "«workflow»"} | context.fill(case.get("fields", {})))
        if not created.clean or not created.runs:
            raise Inconclusive("a create gives a run that breaks a rule already")
    else:
        created = context.some_runs(case.get("count", 1), **context.fill(case.get("fields", {})))
    index = case.get("index", 0) % len(created.runs)
    run = created.runs[index]
    shown: list[CallResult] = [created.result]
    if case.get("cancelled", True):
        shown.append(cancel(context, run["id"], after=shown))
    before: dict[str, Any] = context.ask("get_run", run["id"], after=shown).body
    for body in case["updates"]:
        wanted = context.fill(body)
        result = context.call("update_run", run["id"], body=wanted)
        if not result.accepted:
            may_be_refused = {"output_attachment_ids"}
            if wanted.get("status", before.get("status")) not in TERMINAL:
                may_be_refused.add("ended_at")
            if set(wanted) <= set(CHANGEABLE) - may_be_refused:
                cause = "an update is refused"
                context.require(
                    False, "REQ-ACCEPT", cause, "a valid update to be accepted", result.words, *shown, result
                )
            continue
        context.expect_success(result, shown)
        _judge_update(context, before, result.body, wanted, created, [*shown, result])
        read = context.ask("get_run", run["id"], after=[*shown, result])
        _judge_update(context, before, read.body, wanted, created, [*shown, result, read])
        before = read.body
        shown = [created.result, *shown[1:2], result] if case.get("cancelled", True) else [created.result, result]
    _judge_other_runs(context, created, index, shown)


def _judge_update(
    context: CaseContext,
    before: Mapping[str, Any],
    after: Any,
    wanted: Mapping[str, Any],
    created: WriteResult,
    shown: Sequence[CallResult],
) -> None:
    if not is_run(after):
        return
    wanted = {name: value for name, value in wanted.items() if name in CHANGEABLE or name == "status"}
    moves = has_moved(before, after, wanted)
    for name, value in wanted.items():
        if name not in after and name in {"usage_metadata", "started_at", "ended_at"}:
            continue  # an older server does not have these fields
        if moves and name in _CHANGES_BY_ITSELF:
            continue  # the run may have set another value since
        same = _is_as_requested(name, value, after.get(name), may_gain=gains_inputs(created.parsed))
        context.require(
            same,
            "UPDATE-PARTIAL",
            f"{name} is not changed",
            f"{name} as asked",
            lambda name=name: excerpt(json.dumps(after.get(name))),  # type: ignore[misc]
            *shown,
        )
    others = [name for name in (*STABLE, "input_values", "pool_ids") if name not in wanted]
    if not moves:
        others += [
            name
            for name in CHANGEABLE
            if name not in wanted and not ("status" in wanted and name in {"ended_at", "error", "output_data"})
        ]
        others += ["machine_id"] if before.get("status") in TERMINAL else []
    changed = changed_field(before, after, dict.fromkeys(others))
    if changed is not None and not (
        changed[0] not in after and changed[0] in {"usage_metadata", "started_at", "ended_at"}
    ):
        name, problem = changed
        cause = f"{name} changes too"
        context.fail(Violation("UPDATE-PARTIAL", cause, f"{name} as before", problem), *shown)
    if "status" not in wanted and before.get("status") in TERMINAL:
        kept = after.get("status") == before.get("status")
        expected, got = f"status {before.get('status')}", excerpt(json.dumps(after.get("status")))
        context.require(kept, "UPDATE-PARTIAL", "status changes too", expected, got, *shown)


def has_moved(before: Mapping[str, Any], after: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether the run may have changed by itself between the two reads."""
    one, other = before.get("status"), after.get("status")
    if one in TERMINAL:
        return False
    if one == "scheduling" and other == "scheduling":
        return False
    never_started = "started_at" in after and after["started_at"] is None and "started_at" not in wanted
    return not (one == "scheduling" and other == "cancelled" == wanted.get("status") and never_started)


def _is_as_requested(name: str, asked: Any, got: Any, *, may_gain: bool) -> bool:
    if name in {"started_at", "ended_at"}:
        # A server may store milliseconds only. A text that is not a complete timestamp has no defined meaning.
        at, kept = moment_of(asked), moment_of(got)
        return at is None or (kept is not None and abs(at - kept) < timedelta(milliseconds=1))
    if asked in ([], {}) and got in (None, [], {}):
        return True
    if name == "input_values" and may_gain and isinstance(got, dict):
        got = {key: value for key, value in got.items() if key in asked}
    return difference(asked, got) is None


def _judge_other_runs(context: CaseContext, created: WriteResult, index: int, shown: Sequence[CallResult]) -> None:
    """Reads the neighbours of the updated run, and the first and the last run, and judges that they are unchanged."""
    last = len(created.runs) - 1
    for other in sorted({index - 1, index + 1, 0, last} - {index}):
        if not 0 <= other <= last:
            continue
        run = created.runs[other]
        read = context.call("get_run", run["id"])
        gone = not read.accepted or not isinstance(read.body, dict)
        problem: tuple[str, str] | None = ("", read.words) if gone else None
        if not gone:
            names = stable_fields(created.parsed)
            if read.body.get("status") == "scheduling":
                names = (*names, "run_message_history", "output_attachment_ids", "usage_metadata")
            problem = changed_field(run, read.body, names, may_gain=gains_inputs(created.parsed))
            if problem is None and read.body.get("status") == "cancelled":
                problem = ("status", "cancelled")
        context.require(
            problem is None,
            "UPDATE-PARTIAL",
            "another run changes too",
            "the other runs as before",
            lambda problem=problem: f"{problem[0]}: {problem[1]}" if problem else "",  # type: ignore[misc]
            *shown,
            read,
        )


def update_cases(check: CheckContext) -> Iterator[Case]:
    values = UPDATES
    singles = [{name: value} for name, options in values.items() for value in options]
    rich = {
        "input_values": write_bodies.INPUTS,
        "sensitive_input_values": write_bodies.SECRETS,
        "file_inputs": [boundary_values.file()],
        "start_session": True,
    }
    for update in singles:
        yield {"updates": [update]}
        yield {"updates": [update], "cancelled": False}
        yield {"updates": [update], "fields": rich, "count": 3, "index": 1}
    for (a, one), (b, other) in itertools.combinations([(n, o[0]) for n, o in values.items()], 2):
        yield {"updates": [{a: one, b: other}]}
        yield {"updates": [{a: one}, {b: other}]}
        yield {"updates": [{b: other}, {a: one}]}
    yield {"updates": [{name: options[0] for name, options in values.items() if name != "output_attachment_ids"}]}
    yield {"updates": [*singles, *singles[::-1]], "fields": rich}
    full = {name: options[0] for name, options in write_bodies.UPDATE_VALUES.items() if name != "output_attachment_ids"}
    if check.offers("create_run"):
        named = rich | {"session_alias": "Front Desk", "release_session_after": True}
        for cancelled in (True, False):
            more = {"op": "create_run", "fields": named, "cancelled": cancelled}
            yield more | {"updates": [full, *({name: options[-1]} for name, options in values.items())]}
            yield more | {"updates": [{}, {"status": "cancelled"}, full]}
            for name, options in values.items():
                yield more | {"updates": [full, {name: options[-1]}]}
    yield {"updates": [{}], "fields": rich}
    for name, value in _NEVER_CHANGED.items():
        yield {"updates": [{name: value}, {name: value, "input_values": {"changed": True}}], "fields": rich}
    for name, options in values.items():
        yield {"updates": [{name: options[0]}, {}], "fields": rich}
    for count in (1, 2, 3, 101, 1000):
        for index in (0, count // 2, count - 1) if count < 1000 else (999,):
            yield {"updates": [{"status": "cancelled"}], "cancelled": False, "count": count, "index": index}
            if count != 1000 or index:
                yield {
                    "updates": [{"input_values": {"changed": True}}, {"output_data": {"a": 1}}],
                    "count": count,
                    "index": index,
                }
    for name, option in values.items():
        yield {"updates": [{"status": "cancelled", name: option[0]}], "cancelled": False, "count": 2}
    for fields in (
        {"machine_id": "«machine»"} if check.machines.available else {},
        {"pool_ids": ["«pool:0»"]} if check.pools.available else {},
        {"session_id": "«session»"} if check.sessions.invented else {},
    ):
        if fields:
            yield {"updates": [*singles[:4], {"status": "cancelled"}], "cancelled": False, "fields": fields, "count": 2}


SCENARIOS = (
    Scenario(
        "updates",
        ("UPDATE-PARTIAL", "REQ-ACCEPT"),
        run_update,
        update_cases,
        needs=("update_run", "get_run"),
        priority=1,
    ),
)
