"""What can be done to a run, and what cannot, in each status that it may have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from contracts.data import boundary_values, write_bodies
from contracts.engine.context import Heard, Talk, Unjudged, World
from contracts.engine.runner import Scenario
from contracts.engine.shrink import Case
from contracts.oracle import (
    STABLE,
    STATUSES,
    TERMINAL,
    Violation,
    changed_field,
    excerpt,
)
from contracts.rules.deletes import not_listed
from contracts.rules.listing import items_of
from contracts.rules.retries import judge_retry
from contracts.rules.rule import Rule
from contracts.rules.updates import CHANGEABLE, UPDATES, has_moved

RULES: Final[tuple[Rule, ...]] = ()
"""Those of updates, deletes, retries and lives are judged here."""


_ROADS: Final[dict[str, tuple[str, ...]]] = {
    "running": ("running",),
    "running_checks": ("running", "running_checks"),
    "success": ("running", "success"),
    "task_failed": ("running", "task_failed"),
    "error": ("running", "error"),
    "cancelled": ("cancelled",),
    "cancelled while running": ("running", "cancelled"),
}
"""By which updates of its status a run comes into one, where the target takes them."""


def run_status(talk: Talk, case: Case) -> None:
    """A run is brought into a status by updates; then what may be done to it is, and what may not be is not."""
    created = talk.some_runs(case.get("count", 1), **talk.fill(case.get("fields", {})))
    run_id = created.ids[case.get("index", 0) % len(created.ids)]
    shown: list[Heard] = [created.heard]
    for body in ({name: value} for name, value in case.get("filled", {}).items()):
        heard = talk.call("update_run", run_id, body=body)
        shown += [heard] if heard.accepted else []
    for status in _ROADS.get(case["status"], ()):
        heard = talk.call("update_run", run_id, body={"status": status})
        if not heard.accepted or not isinstance(heard.body, dict) or heard.body.get("status") != status:
            raise Unjudged("a status cannot be set by an update")
        shown.append(heard)
    before = talk.ask("get_run", run_id, after=shown).body
    match case["do"]:
        case "retry":
            _retry_by_status(talk, run_id, before, shown, talk.fill(case.get("body", {})))
        case "delete":
            heard = talk.ask("delete_run", run_id, after=shown)
            read = talk.call("get_run", run_id)
            cause = "get_run after the delete is not 404"
            talk.require(read.status == 404, "DELETE-GONE", cause, "404", read.words, *shown, heard, read)
            not_listed(talk, before, [*shown, heard], widely=False)
        case "leave":
            _leave_the_end(talk, run_id, before, shown, case["for"])
        case "refuse":
            _refused_update(talk, run_id, before, shown, talk.fill(case["body"]))
        case "list":
            _listed_by_status(talk, before, shown)


def _retry_by_status(
    talk: Talk, run_id: str, before: Mapping[str, Any], shown: Sequence[Heard], body: Mapping[str, Any]
) -> None:
    if before.get("status") in TERMINAL:
        written = talk.write("retry_run", run_id, body=body)
        heard = written.heard
        if heard.accepted:
            talk.expect_success(heard, shown)
            judge_retry(talk, before, heard.body, written, [*shown, heard], at_once=True)
        elif written.reading.is_valid and not talk.may_be_unknown(written.reading, heard):
            cause = "a retry of an ended run is refused"
            talk.require(False, "RETRY-RULES", cause, "the run started again", heard.words, *shown, heard)
        return
    heard = talk.call("retry_run", run_id, body=body)
    read = talk.ask("get_run", run_id, after=[*shown, heard])
    if heard.accepted:
        # It may have ended by itself just before: of several runs at once, hardly all.
        raise _Retried([*shown, heard], before)
    changed = None if has_moved(before, read.body, {}) else changed_field(before, read.body, (*STABLE, *CHANGEABLE))
    talk.require(
        changed is None,
        "RETRY-RULES",
        "a refused retry changes a run",
        "the run as before",
        str(changed),
        *shown,
        heard,
        read,
    )


class _Retried(Exception):
    """A run was retried that had not ended when it was read last."""

    def __init__(self, shown: Sequence[Heard], before: Mapping[str, Any]) -> None:
        super().__init__(before.get("status"))
        self.shown, self.before = shown, before


def run_status_thrice(talk: Talk, case: Case) -> None:
    for attempt in (1, 2, 3):
        try:
            run_status(talk, case)
        except _Retried as retried:
            if attempt == 3:
                cause, status = "a run that has not ended is retried", retried.before.get("status")
                talk.fail(
                    Violation("RETRY-RULES", cause, "409 or 422", f"{retried.shown[-1].words} while {status}"),
                    *retried.shown,
                )
        else:
            return


def _leave_the_end(talk: Talk, run_id: str, before: Mapping[str, Any], shown: Sequence[Heard], status: str) -> None:
    """A run that has ended stays as it ended, whatever status an update asks for."""
    if before.get("status") not in TERMINAL:
        return
    heard = talk.call("update_run", run_id, body={"status": status})
    read = talk.ask("get_run", run_id, after=[*shown, heard])
    kept = read.body.get("status") == before["status"]
    cause, got = f"{before['status']} to {status}", excerpt(json.dumps(read.body.get("status")))
    talk.require(kept, "LIFECYCLE", cause, f"status {before['status']}", got, *shown, heard, read)


def _refused_update(
    talk: Talk, run_id: str, before: Mapping[str, Any], shown: Sequence[Heard], body: Mapping[str, Any]
) -> None:
    """An update that is wrong for one of its fields changes none of them."""
    heard = talk.call("update_run", run_id, body=body)
    if not heard.refused:
        return
    read = talk.ask("get_run", run_id, after=[*shown, heard])
    changed = None if has_moved(before, read.body, {}) else changed_field(before, read.body, (*STABLE, *CHANGEABLE))
    if changed is None:
        changed = changed_field(before, read.body, (*STABLE, "input_values", "release_session_after"), may_gain=True)
    cause = "a refused update changes a run"
    talk.require(changed is None, "UPDATE-PARTIAL", cause, "the run as before", str(changed), *shown, heard, read)


def _listed_by_status(talk: Talk, before: Mapping[str, Any], shown: Sequence[Heard]) -> None:
    """In a list of either order; by its status, where it has ended, and by no other."""
    if not talk.world.offers("list_runs"):
        return
    for mode in ("activity", "created_at_desc"):
        heard = talk.ask("list_runs", query=[("search", before["id"]), ("sort_mode", mode), ("limit", "1000")])
        listed = any(item.get("id") == before["id"] for item in items_of(heard))
        cause = f"a run that is {before['status']} is not listed"
        talk.require(listed, "LIST-COMPLETE", cause, f"the run, by {mode}", f"{heard.status} without it", *shown, heard)
    for status in sorted(STATUSES - {"running_checks"} | {before["status"]}):  # older servers have not all
        heard = talk.ask(
            "list_runs", query=[("workflow_id", before["workflow_id"]), ("search", before["id"]), ("status", status)]
        )
        others = sorted({str(item.get("status")) for item in items_of(heard)} - {status})
        cause, wish = "status gives others too", f"the runs that are {status}"
        talk.require(not others, "LIST-FILTER", cause, wish, lambda others=others: ", ".join(others), *shown, heard)  # type: ignore[misc]
        if before.get("status") not in TERMINAL:
            continue
        found = any(item.get("id") == before["id"] for item in items_of(heard))
        cause = "status misses a run" if status == before["status"] else "status gives others too"
        talk.require(
            found == (status == before["status"]),
            "LIST-FILTER",
            cause,
            f"the runs that are {status}",
            f"{'one' if found else 'none'} for a run that is {before['status']}",
            *shown,
            heard,
        )


def status_cases(world: World) -> Iterator[Case]:
    filled = {"output_data": {"a": 1}, "error": ["x"], "run_message_history": [{"b": 2}], "usage_metadata": {"n": 1}}
    rich = {
        "input_values": write_bodies.INPUTS,
        "sensitive_input_values": {"pin": "«secret:5»"},
        "file_inputs": [boundary_values.file()],
        "start_session": True,
    }
    statuses = ("scheduling", *_ROADS)
    for status in statuses:
        for fields in ({}, rich):
            more = {"fields": fields, "status": status, "filled": filled if fields else {}}
            if world.offers("retry_run"):
                yield more | {"do": "retry"}
                yield more | {
                    "do": "retry",
                    "body": {"input_values": {"new": 1}, "file_inputs": [boundary_values.file()]},
                }
                yield more | {"do": "retry", "filled": {"output_data": {"a": 1}, "run_message_history": [{"b": 2}]}}
                yield more | {"do": "retry", "body": {"input_values": 5}}
                new = {"sensitive_input_values": {"new": "«secret:6»"}, "session_alias": "new"}
                yield more | {"do": "retry", "body": new | {"file_inputs": [boundary_values.file("new.txt")]}}
            if world.offers("delete_run"):
                yield more | {"do": "delete"}
            if not fields:
                yield more | {"do": "list"}
        for status_for in sorted(STATUSES - {status}):
            yield {"status": status, "do": "leave", "for": status_for, "filled": filled}
    for name, value in UPDATES.items():
        for wrong in ({"input_values": 5}, {"error": "x"}, {"release_session_after": [1]}, {"status": "nonsense"}):
            if name not in wrong and name != "output_attachment_ids":
                for status in ("scheduling", "cancelled"):
                    yield {
                        "status": status,
                        "do": "refuse",
                        "body": {name: value[0]} | wrong,
                        "filled": filled,
                        "fields": {"input_values": {"kept": 1}},
                    }


SCENARIOS = (
    Scenario(
        "runs in every status",
        ("RETRY-RULES", "DELETE-GONE", "LIFECYCLE", "UPDATE-PARTIAL", "LIST-FILTER", "LIST-COMPLETE"),
        run_status_thrice,
        status_cases,
        needs=("get_run", "update_run"),
        telling=1,
    ),
)
