"""Updates: an update changes the fields that it names, and nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from contracts.data import boundary_values, write_bodies
from contracts.data.sample_values import VALUES
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.runner import Scenario
from contracts.rules.rule import Rule
from contracts.rules.tracked_run import RunCase, TrackedRun, create_for, judge_other_runs

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


@dataclass(frozen=True)
class UpdateCase(RunCase):
    """`updates` are the bodies of the updates, sent one after the other."""

    updates: tuple[dict[str, Any], ...] = ()
    is_cancelled: bool = True
    """Whether the run is cancelled first, so that it does not change by itself."""


def run_update(context: CaseContext, case: UpdateCase) -> None:
    """Sends updates to one of several runs, one after the other, and judges that each changes only its own fields."""
    created = create_for(context, case)
    index = case.index % len(created.runs)
    run = TrackedRun.of(context, created, index)
    if case.is_cancelled:
        run.cancel()
    run.read()
    for body in case.updates:
        if run.update(context.fill(body)).accepted:
            run.read()
    judge_other_runs(created, index, run, "UPDATE-PARTIAL")


def update_cases(check: CheckContext) -> Iterator[UpdateCase]:
    singles = [{name: value} for name, options in UPDATES.items() for value in options]
    firsts = {name: options[0] for name, options in UPDATES.items()}
    rich = {
        "input_values": write_bodies.INPUTS,
        "sensitive_input_values": write_bodies.SECRETS,
        "file_inputs": [boundary_values.file()],
        "start_session": True,
    }
    for update in singles:
        yield UpdateCase(updates=(update,))
        yield UpdateCase(updates=(update,), is_cancelled=False)
        yield UpdateCase(rich, 3, 1, updates=(update,))
    for (a, one), (b, other) in itertools.combinations(firsts.items(), 2):
        yield UpdateCase(updates=({a: one, b: other},))
        yield UpdateCase(updates=({a: one}, {b: other}))
        yield UpdateCase(updates=({b: other}, {a: one}))
    known_ids = {name: value for name, value in firsts.items() if name != "output_attachment_ids"}
    yield UpdateCase(updates=(known_ids,))
    yield UpdateCase(rich, updates=(*singles, *singles[::-1]))
    if check.offers("create_run"):
        full = {name: write_bodies.UPDATE_VALUES[name][0] for name in known_ids}
        lasts = [{name: options[-1]} for name, options in UPDATES.items()]
        single = UpdateCase(rich | {"session_alias": "Front Desk", "release_session_after": True}, is_single=True)
        for is_cancelled in (True, False):
            for updates in ((full, *lasts), ({}, {"status": "cancelled"}, full), *((full, last) for last in lasts)):
                yield replace(single, updates=updates, is_cancelled=is_cancelled)
    yield UpdateCase(rich, updates=({},))
    for name, value in _NEVER_CHANGED.items():
        yield UpdateCase(rich, updates=({name: value}, {name: value, "input_values": {"changed": True}}))
    for name, value in firsts.items():
        yield UpdateCase(rich, updates=({name: value}, {}))
    for count in (1, 2, 3, 101, 1000):
        for index in (0, count // 2, count - 1) if count < 1000 else (999,):
            yield UpdateCase({}, count, index, updates=({"status": "cancelled"},), is_cancelled=False)
            yield UpdateCase({}, count, index, updates=({"input_values": {"changed": True}}, {"output_data": {"a": 1}}))
    for name, value in firsts.items():
        yield UpdateCase(count=2, updates=({"status": "cancelled", name: value},), is_cancelled=False)
    for fields in (
        {"machine_id": "«machine»"} if check.machines.available else {},
        {"pool_ids": ["«pool:0»"]} if check.pools.available else {},
        {"session_id": "«session»"} if check.sessions.invented else {},
    ):
        if fields:
            yield UpdateCase(fields, 2, updates=(*singles[:4], {"status": "cancelled"}), is_cancelled=False)


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
