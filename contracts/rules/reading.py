"""Reading, listing, changing, retrying and deleting runs, chains, attachments, and how runs move through their life."""

from __future__ import annotations

import json
from typing import Any

from contracts.conversation import Heard, Talk, Written
from contracts.oracle import (
    Reading,
    Violation,
    can_follow,
    changed_field,
    excerpt,
    gains_inputs,
    run_misfits,
    stable_fields,
    status_misfit,
)

GROUP = "Reading and changing"


def read_back(talk: Talk, written: Written, *, listed: bool = False) -> None:
    """The first, the last and a middle run of a create, each read by itself."""
    last = len(written.runs) - 1
    for index in sorted({0, last // 2, last}):
        if last >= 0:
            read_one(talk, written.runs[index], written.reading, after=(written.heard,))


def read_one(
    talk: Talk, run: dict[str, Any], reading: Reading | None, *, after: tuple[Heard, ...] = ()
) -> dict[str, Any]:
    heard = talk.ask("get_run", run["id"], after=after)
    judge_read(talk, run, heard.body, reading, (*after, heard))
    found: dict[str, Any] = heard.body
    return found


def judge_read(talk: Talk, run: dict[str, Any], read: Any, reading: Reading | None, shown: tuple[Heard, ...]) -> None:
    """READ-BACK and LIFECYCLE of one run that nobody has changed."""
    misfits = run_misfits(read)
    talk.judge(
        "READ-BACK",
        (
            Violation("READ-BACK", f"{name or 'a run'} is not of its schema", f"{name} as documented", got)
            for name, got in misfits
        ),
        *shown,
    )
    if misfits:
        return
    changed = changed_field(run, read, stable_fields(reading), may_gain=gains_inputs(reading))
    if changed is not None:
        name, problem = changed
        talk.fail(Violation("READ-BACK", f"{name} reads otherwise", f"{name} as it was created", problem), *shown)
    judge_life(talk, run, read, shown)


def judge_life(talk: Talk, before: dict[str, Any], after: dict[str, Any], shown: tuple[Heard, ...]) -> None:
    talk.require(
        can_follow(before["status"], after["status"]),
        "LIFECYCLE",
        f"{before['status']} to {after['status']}",
        f"a status that can follow {before['status']}",
        excerpt(json.dumps(after["status"])),
        *shown,
    )
    problem = status_misfit(after)
    talk.require(
        problem is None, "LIFECYCLE", problem or "", "output_data and error that fit the status", problem or "", *shown
    )
