"""Updates, deletes and retries: what they name changes, and nothing else."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from contracts import strategies
from contracts.assortment import VALUES
from contracts.conversation import Heard, Talk, Unjudged, World, Written
from contracts.oracle import (
    STABLE,
    STATUSES,
    TERMINAL,
    Violation,
    alias_difference,
    changed_field,
    difference,
    excerpt,
    gains_inputs,
    run_misfits,
    stable_fields,
)
from contracts.rules.listing import items_of
from contracts.rules.rule import Rule
from contracts.search import Scenario
from contracts.shapes import is_uuid, moment_of
from contracts.shrinking import Case

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
    Rule(
        "DELETE-GONE",
        "api",
        "A deleted run is gone",
        "After 204 it is 404 when read, updated, retried or deleted again, stands in no list, and its attachments are "
        "gone; other runs are still there.",
        GROUP,
        needs=("delete_run",),
    ),
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

_MOVED_BY_ITSELF: Final = frozenset(
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
_CHANGEABLE: Final = (
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
    for name, values in strategies.UPDATE_VALUES.items()
} | {
    "error": (["first line", "second é😀", "  łŁ\t", "a\x00b", "first line"], ["x"], []),
    "run_message_history": (
        [{"role": "user", "content": "hello"}, {"role": "assistant", "content": [1, {"a": None}], "more": VALUES}, {}],
        *strategies.UPDATE_VALUES["run_message_history"],
    ),
}
"""Per field that an update may name, values for it."""

# Updates


def cancel(talk: Talk, run_id: str, *, after: Sequence[Heard] = ()) -> Heard:
    """Ends a run: cancels it, unless it has ended by itself before. What comes back tells the run as it ended."""
    heard = talk.call("update_run", run_id, body={"status": "cancelled"})
    if heard.accepted:
        talk.expect_success(heard, after)
        cause, wish = "a run is not cancelled", "status cancelled"
        holds = isinstance(heard.body, dict) and heard.body.get("status") == "cancelled"
        if not talk.require(holds, "UPDATE-PARTIAL", cause, wish, heard.words, *after, heard):
            raise Unjudged("a run cannot be cancelled")
        return heard
    for _ in range(20):
        read = talk.ask("get_run", run_id, after=[*after, heard])
        status = read.body.get("status")
        if status in TERMINAL:
            return read
        if status != "running_checks":
            talk.expect_success(heard, after)
        talk.wait(0.1)
    raise Unjudged("a run cannot be cancelled, nor does it end")


def run_update(talk: Talk, case: Case) -> None:
    """Updates of one run of several, one after the other; each must leave all else alone."""
    if case.get("op") == "create_run":
        created = talk.create("create_run", {"workflow_id": "«workflow»"} | talk.fill(case.get("fields", {})))
        if not created.clean or not created.runs:
            raise Unjudged("a create gives a run that breaks a rule already")
    else:
        created = talk.some_runs(case.get("count", 1), **talk.fill(case.get("fields", {})))
    index = case.get("index", 0) % len(created.runs)
    run = created.runs[index]
    shown: list[Heard] = [created.heard]
    if case.get("cancelled", True):
        shown.append(cancel(talk, run["id"], after=shown))
    before: dict[str, Any] = talk.ask("get_run", run["id"], after=shown).body
    for body in case["updates"]:
        wanted = talk.fill(body)
        heard = talk.call("update_run", run["id"], body=wanted)
        if not heard.accepted:
            if "output_attachment_ids" not in wanted and "status" not in wanted:
                cause = "an update is refused"
                talk.require(False, "REQ-ACCEPT", cause, "a valid update to be accepted", heard.words, *shown, heard)
            continue
        talk.expect_success(heard, shown)
        _judge_update(talk, before, heard.body, wanted, created, [*shown, heard])
        read = talk.ask("get_run", run["id"], after=[*shown, heard])
        _judge_update(talk, before, read.body, wanted, created, [*shown, heard, read])
        before = read.body
        shown = [created.heard, *shown[1:2], heard] if case.get("cancelled", True) else [created.heard, heard]
    _neighbours(talk, created, index, shown)


def _judge_update(
    talk: Talk,
    before: Mapping[str, Any],
    after: Any,
    wanted: Mapping[str, Any],
    created: Written,
    shown: Sequence[Heard],
) -> None:
    misfits = run_misfits(after)
    if misfits:
        name, got = misfits[0]
        cause = f"{name or 'a run'} is not of its schema"
        talk.fail(Violation("UPDATE-PARTIAL", cause, f"{name} as documented", got), *shown)
        return
    moves = _has_moved(before, after, wanted)
    for name, value in wanted.items():
        if name not in after and name in {"usage_metadata", "started_at", "ended_at"}:
            continue  # a server that is older than these
        if moves and name in _MOVED_BY_ITSELF:
            continue  # it may have another value since
        same = _is_as_asked(name, value, after.get(name), may_gain=gains_inputs(created.reading))
        talk.require(
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
            for name in _CHANGEABLE
            if name not in wanted and not ("status" in wanted and name in {"ended_at", "error", "output_data"})
        ]
        others += ["machine_id"] if before.get("status") in TERMINAL else []
    changed = changed_field(before, after, dict.fromkeys(others))
    if changed is not None and not (
        changed[0] not in after and changed[0] in {"usage_metadata", "started_at", "ended_at"}
    ):
        name, problem = changed
        cause = f"{name} changes too"
        talk.fail(Violation("UPDATE-PARTIAL", cause, f"{name} as before", problem), *shown)
    if "status" not in wanted and before.get("status") in TERMINAL:
        kept = after.get("status") == before.get("status")
        expected, got = f"status {before.get('status')}", excerpt(json.dumps(after.get("status")))
        talk.require(kept, "UPDATE-PARTIAL", "status changes too", expected, got, *shown)


def _has_moved(before: Mapping[str, Any], after: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether the run may have gone on by itself between the two."""
    one, other = before.get("status"), after.get("status")
    if one in TERMINAL:
        return False
    if one == "scheduling" and other == "scheduling":
        return False
    never_started = "started_at" in after and after["started_at"] is None and "started_at" not in wanted
    return not (one == "scheduling" and other == "cancelled" == wanted.get("status") and never_started)


def _is_as_asked(name: str, asked: Any, got: Any, *, may_gain: bool) -> bool:
    if name in {"started_at", "ended_at"}:
        # Servers may keep milliseconds; of a text that is no whole moment nobody can say what it means.
        at, kept = moment_of(asked), moment_of(got)
        return at is None or (kept is not None and abs(at - kept) < timedelta(milliseconds=1))
    if asked in ([], {}) and got in (None, [], {}):
        return True
    if name == "input_values" and may_gain and isinstance(got, dict):
        got = {key: value for key, value in got.items() if key in asked}
    return difference(asked, got) is None


def _neighbours(talk: Talk, created: Written, index: int, shown: Sequence[Heard]) -> None:
    """The runs beside the one that was updated, read again."""
    last = len(created.runs) - 1
    for other in sorted({index - 1, index + 1, 0, last} - {index}):
        if not 0 <= other <= last:
            continue
        run = created.runs[other]
        read = talk.call("get_run", run["id"])
        gone = not read.accepted or not isinstance(read.body, dict)
        problem: tuple[str, str] | None = ("", read.words) if gone else None
        if not gone:
            names = stable_fields(created.reading)
            if read.body.get("status") == "scheduling":
                names = (*names, "run_message_history", "output_attachment_ids", "usage_metadata")
            problem = changed_field(run, read.body, names, may_gain=gains_inputs(created.reading))
            if problem is None and read.body.get("status") == "cancelled":
                problem = ("status", "cancelled")
        talk.require(
            problem is None,
            "UPDATE-PARTIAL",
            "another run changes too",
            "the other runs as before",
            lambda problem=problem: f"{problem[0]}: {problem[1]}" if problem else "",  # type: ignore[misc]
            *shown,
            read,
        )


def update_cases(world: World) -> Iterator[Case]:
    values = UPDATES
    singles = [{name: value} for name, options in values.items() for value in options]
    rich = {
        "input_values": strategies.INPUTS,
        "sensitive_input_values": strategies.SECRETS,
        "file_inputs": [strategies.file()],
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
    full = {name: options[0] for name, options in strategies.UPDATE_VALUES.items() if name != "output_attachment_ids"}
    if world.offers("create_run"):
        named = rich | {"session_alias": "Front Desk", "release_session_after": True}
        for cancelled in (True, False):
            more = {"op": "create_run", "fields": named, "cancelled": cancelled}
            yield more | {"updates": [full, *({name: options[-1]} for name, options in values.items())]}
            yield more | {"updates": [{}, {"status": "cancelled"}, full]}
            for name, options in values.items():
                yield more | {"updates": [full, {name: options[-1]}]}
    yield {"updates": [{}], "fields": rich}
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
        {"machine_id": "«machine»"} if world.machines.available else {},
        {"pool_ids": ["«pool:0»"]} if world.pools.available else {},
        {"session_id": "«session»"} if world.sessions.invented else {},
    ):
        if fields:
            yield {"updates": [*singles[:4], {"status": "cancelled"}], "cancelled": False, "fields": fields, "count": 2}


# Deletes


def run_delete(talk: Talk, case: Case) -> None:
    world = talk.world
    created = talk.some_runs(case.get("count", 1), **talk.fill(case.get("fields", {})))
    index = case.get("index", 0) % len(created.runs)
    run = created.runs[index]
    shown: list[Heard] = [created.heard]
    if case.get("cancelled"):
        shown.append(cancel(talk, run["id"], after=shown))
    if case.get("first_update"):
        shown.append(talk.ask("update_run", run["id"], body=case["first_update"], after=shown))
    deleted = talk.ask("delete_run", run["id"], after=shown)
    shown.append(deleted)
    talk.require(not deleted.answer.body, "DELETE-GONE", "a 204 with a body", "no body", deleted.words, *shown)
    gone: list[tuple[str, dict[str, Any]]] = [
        ("get_run", {}),
        ("get_run", {"query": [("include", "workflow,machine,machine.pools")]}),
        ("update_run", {"body": {"release_session_after": True}}),
        ("retry_run", {"body": {}}),
        ("delete_run", {}),
    ]
    if case.get("widely"):
        gone += [("get_run", {"query": [("include", name)]}) for name in ("workflow", "machine", "machine.pools")]
        gone += [("update_run", {"body": {name: values[0]}}) for name, values in UPDATES.items()]
        gone += [("update_run", {"body": body}) for body in ({"status": "cancelled"}, {"status": "running"}, {})]
        gone += [("retry_run", {"body": {"input_values": {"a": 1}}}), ("retry_run", {"body": {"start_session": True}})]
        gone += [("get_run", {}), ("delete_run", {})]
    for operation, more in gone:
        if world.offers(operation):
            heard = talk.call(operation, run["id"], **more)
            cause = f"{operation} after the delete is not 404"
            talk.require(heard.status == 404, "DELETE-GONE", cause, "404", heard.words, *shown, heard)
    if world.offers("list_runs"):
        _not_listed(talk, run, shown, widely=bool(case.get("widely")))
    for attachment in run.get("input_attachment_ids") or ():
        for operation in ("get_run_attachment", "download_run_attachment", "get_run_attachment_download_url"):
            if world.offers(operation):
                heard = talk.call(operation, attachment)
                cause = "attachments of a deleted run are left"
                talk.require(heard.status == 404, "DELETE-GONE", cause, "404", heard.words, *shown, heard)
    if run.get("input_attachment_ids") and world.offers("list_run_attachments"):
        heard = talk.call("list_run_attachments", query=[("run_id", run["id"])])
        left = items_of(heard) if heard.accepted else []
        talk.require(
            not left, "DELETE-GONE", "attachments of a deleted run are listed", "none", f"{len(left)}", *shown, heard
        )
    last = len(created.runs) - 1
    for other in sorted({index - 1, index + 1, 0, last} - {index}):
        if 0 <= other <= last:
            heard = talk.call("get_run", created.runs[other]["id"])
            cause = "another run is gone too"
            talk.require(
                heard.status == 200, "DELETE-GONE", cause, "the other runs still there", heard.words, *shown, heard
            )
            attachments = created.runs[other].get("input_attachment_ids") or []
            if attachments and world.offers("get_run_attachment"):
                heard = talk.call("get_run_attachment", attachments[0])
                cause = "an attachment of another run is gone too"
                talk.require(heard.status == 200, "DELETE-GONE", cause, "still there", heard.words, *shown, heard)


def _not_listed(talk: Talk, run: Mapping[str, Any], shown: Sequence[Heard], *, widely: bool) -> None:
    workflow = ("workflow_id", run["workflow_id"])
    queries: list[list[tuple[str, str]]] = [
        [workflow, ("limit", "1000")],
        [workflow, ("search", run["id"])],
        [workflow, ("status", str(run.get("status"))), ("sort_mode", "created_at_desc")],
    ]
    if run.get("session_id"):
        queries.append([("session_id", run["session_id"])])
    if run.get("machine_id"):
        queries.append([workflow, ("machine_id", run["machine_id"])])
    if widely:
        moment = [("created_at_from", run["created_at"]), ("created_at_to", run["created_at"])]
        queries += [[*moment, ("limit", "1000")], [("sort_mode", "created_at_desc")], [("search", run["id"])]]
        queries += [[workflow, ("search", run["id"]), ("deep_search", "true")], [workflow, *moment]]
        queries += [[workflow, ("include", "workflow,machine")], [workflow, ("fields", "input_values")]]
    for query in queries:
        heard = talk.call("list_runs", query=query)
        items = items_of(heard) if heard.accepted else []
        found = any(item.get("id") == run["id"] for item in items)
        names = "+".join(sorted({name for name, _ in query} - {"limit", "sort_mode"})) or "no filter"
        cause = "a deleted run is listed"
        talk.require(not found, "DELETE-GONE", cause, "no deleted run in a list", f"it, by {names}", *shown, heard)
        total = heard.body.get("total") if isinstance(heard.body, dict) else None
        if heard.accepted and query[0] != ("sort_mode", "created_at_desc") and len(items) < 100:
            cause, wish = "a deleted run is counted", f"total {len(items)}"
            talk.require(total == len(items), "DELETE-GONE", cause, wish, f"total {total}", *shown, heard)


def delete_cases(world: World) -> Iterator[Case]:
    files = [strategies.file(), strategies.file("b.txt", b"b")]
    session = {"session_id": "«session»"} if world.sessions.invented else {"start_session": True}
    machine = {"machine_id": "«machine»"} if world.machines.invented else {}
    yield {"widely": True}
    yield {"widely": True, "count": 2, "cancelled": world.offers("update_run")}
    for fields in (
        machine,
        {"file_inputs": files},
        session,
        {"start_session": True},
        {"sensitive_input_values": {"pin": "«secret»"}},
        {"input_values": {"marker": "«marker»"}},
        {"file_inputs": files, "start_session": True},
    ):
        for count, index in ((1, 0), (3, 0), (3, 1), (3, 2)):
            yield {"fields": fields, "count": count, "index": index}
        if world.offers("update_run"):
            yield {"fields": fields, "count": 2, "index": 1, "cancelled": True}
    for count in (101, 1000):
        for index in (0, count // 2, count - 1) if count < 1000 else (999,):
            yield {"count": count, "index": index}
    yield {"count": 50, "index": 49, "fields": {"file_inputs": files}}
    if world.offers("update_run"):
        for update in ({"output_data": {"a": 1}}, {"input_values": {"b": 2}}, {"release_session_after": True}):
            yield {"count": 2, "index": 1, "first_update": update}


# Retries


def run_retry(talk: Talk, case: Case) -> None:
    """A run that has ended, with something in each field that a retry clears, started again."""
    created = talk.some_runs(case.get("count", 1), **talk.fill(case.get("fields", {})))
    index = case.get("index", 0) % len(created.runs)
    run = created.runs[index]
    shown: list[Heard] = [created.heard, cancel(talk, run["id"], after=[created.heard])]
    filled: dict[str, Any] = {}
    for name, value in case.get("filled", {}).items():
        heard = talk.call("update_run", run["id"], body={name: value})
        if heard.accepted:
            filled[name] = value
            shown.append(heard)
    before: dict[str, Any] = talk.ask("get_run", run["id"], after=shown).body
    if before.get("status") not in TERMINAL:
        return
    for attempt in range(case.get("times", 1)):
        if attempt:
            cancelled = cancel(talk, run["id"], after=shown[:1])
            refilled = [talk.call("update_run", run["id"], body={name: value}) for name, value in filled.items()]
            shown = [created.heard, cancelled, *(heard for heard in refilled if heard.accepted)]
            before = talk.ask("get_run", run["id"], after=shown).body
        wanted = talk.fill(case.get("body", {}))
        written = talk.write("retry_run", run["id"], body=wanted)
        heard = written.heard
        if not heard.accepted:
            if not written.reading.is_valid or talk.may_be_unknown(written.reading, heard):
                return
            cause = "a retry of an ended run is refused"
            talk.require(False, "RETRY-RULES", cause, "the run started again", heard.words, *shown, heard)
            return
        talk.expect_success(heard, shown)
        _judge_retry(talk, before, heard.body, written, [*shown, heard], at_once=True)
        read = talk.ask("get_run", run["id"], after=[*shown, heard])
        _judge_retry(talk, before, read.body, written, [*shown, heard, read], at_once=False)
        if case.get("again"):
            second = talk.call("retry_run", run["id"], body={})
            third = talk.ask("get_run", run["id"])
            if second.accepted and third.body.get("status") == "scheduling":
                _not_ended_yet(talk, [*shown, heard])
    _attachments_replaced(talk, run, heard.body, written, [*shown, heard])
    for other in {0, len(created.runs) - 1} - {index}:
        read = talk.ask("get_run", created.runs[other]["id"])
        problem = changed_field(
            created.runs[other], read.body, stable_fields(created.reading), may_gain=gains_inputs(created.reading)
        )
        cause = "another run changes too"
        talk.require(
            problem is None,
            "RETRY-RULES",
            cause,
            "the other runs as before",
            str(problem),
            *shown,
            heard,
            read,
        )


def _not_ended_yet(talk: Talk, shown: Sequence[Heard]) -> None:
    """Whether a retry of a run that waits is taken: shown on a run whose siblings of the same moment all still wait."""
    for _ in range(2):
        written = talk.some_runs(12)
        retried = talk.call("retry_run", written.ids[0], body={})
        if not retried.accepted:
            return
        waiting = [talk.ask("get_run", one).body.get("status") for one in written.ids[1:]]
        if any(status in TERMINAL for status in waiting):
            raise Unjudged("runs end too fast to retry one that has not ended")
    cause = "a run that has not ended is retried"
    talk.require(False, "RETRY-RULES", cause, "409 or 422", retried.words, written.heard, retried)


def run_retry_early(talk: Talk, case: Case) -> None:
    """A retry of a run that has only just been made."""
    written = talk.some_runs(12, **talk.fill(case.get("fields", {})))
    index = case.get("index", 0)
    retried = talk.call("retry_run", written.ids[index], body=talk.fill(case.get("body", {})))
    if retried.accepted:
        waiting = [talk.ask("get_run", one).body.get("status") for i, one in enumerate(written.ids) if i != index]
        if any(status in TERMINAL for status in waiting):
            raise Unjudged("runs end too fast to retry one that has not ended")
    cause = "a run that has not ended is retried"
    talk.require(
        retried.status in {409, 422}, "RETRY-RULES", cause, "409 or 422", retried.words, written.heard, retried
    )


# What can be done to a run, by its status


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
            _not_listed(talk, before, [*shown, heard], widely=False)
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
            _judge_retry(talk, before, heard.body, written, [*shown, heard], at_once=True)
        elif written.reading.is_valid and not talk.may_be_unknown(written.reading, heard):
            cause = "a retry of an ended run is refused"
            talk.require(False, "RETRY-RULES", cause, "the run started again", heard.words, *shown, heard)
        return
    heard = talk.call("retry_run", run_id, body=body)
    read = talk.ask("get_run", run_id, after=[*shown, heard])
    if heard.accepted:
        # It may have ended by itself just before: of several runs at once, hardly all.
        raise _Retried([*shown, heard], before)
    changed = None if _has_moved(before, read.body, {}) else changed_field(before, read.body, (*STABLE, *_CHANGEABLE))
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
    changed = None if _has_moved(before, read.body, {}) else changed_field(before, read.body, (*STABLE, *_CHANGEABLE))
    if changed is None:
        changed = changed_field(before, read.body, (*STABLE, "input_values", "release_session_after"), may_gain=True)
    cause = "a refused update changes a run"
    talk.require(changed is None, "UPDATE-PARTIAL", cause, "the run as before", str(changed), *shown, heard, read)


def _listed_by_status(talk: Talk, before: Mapping[str, Any], shown: Sequence[Heard]) -> None:
    """Found by the status it has ended in, and by no other."""
    if before.get("status") not in TERMINAL or not talk.world.offers("list_runs"):
        return
    for status in sorted(STATUSES):
        heard = talk.ask(
            "list_runs", query=[("workflow_id", before["workflow_id"]), ("search", before["id"]), ("status", status)]
        )
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
        "input_values": strategies.INPUTS,
        "sensitive_input_values": {"pin": "«secret:5»"},
        "file_inputs": [strategies.file()],
        "start_session": True,
    }
    statuses = ("scheduling", *_ROADS)
    for status in statuses:
        for fields in ({}, rich):
            more = {"fields": fields, "status": status, "filled": filled if fields else {}}
            if world.offers("retry_run"):
                yield more | {"do": "retry"}
                yield more | {"do": "retry", "body": {"input_values": {"new": 1}, "file_inputs": [strategies.file()]}}
                yield more | {"do": "retry", "filled": {"output_data": {"a": 1}, "run_message_history": [{"b": 2}]}}
                yield more | {"do": "retry", "body": {"input_values": 5}}
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


def _judge_retry(
    talk: Talk, before: Mapping[str, Any], after: Any, written: Written, shown: Sequence[Heard], *, at_once: bool
) -> None:
    def say(cause: str, expected: str, got: str) -> None:
        talk.fail(Violation("RETRY-RULES", cause, expected, got), *shown)

    talk.world.count("RETRY-RULES")
    misfits = run_misfits(after)
    if misfits:
        name, got = misfits[0]
        say(f"{name or 'a run'} is not of its schema", f"{name} as documented", got)
        return
    given = written.reading.given
    if after["id"] != before["id"]:
        say("another id", f"id {before['id']}", after["id"])
    if at_once and after["status"] != "scheduling":
        say("not back to scheduling", "status scheduling", after["status"])
    if at_once or after["status"] in {"scheduling", "running"}:
        for name in ("output_data", "error", "run_message_history", "output_attachment_ids"):
            if after.get(name) and (at_once or name in {"output_data", "error"}):
                say(f"{name} is not cleared", f"no {name}", excerpt(json.dumps(after[name])))
    for name in ("workflow_id", "user_id", "organization_id", "created_at"):
        changed = changed_field(before, after, (name,))
        if changed is not None:
            say(f"{name} changes too", f"{name} as before", changed[1])
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
        say(
            cause,
            "input_values as given" if given("input_values") is not None else "input_values as before",
            changed[1],
        )
    secrets = given("sensitive_input_values")
    if secrets:
        problem = alias_difference(secrets, after.get("sensitive_input_aliases"))
        kept = set(before.get("sensitive_input_aliases") or {})
        if problem is not None and (after.get("sensitive_input_aliases") or {}).keys() != secrets.keys() | kept:
            say("aliases of other keys", "aliases with the keys of the new sensitive values", problem)
    elif (
        secrets is None
        and (before.get("sensitive_input_aliases") or {}).keys() != (after.get("sensitive_input_aliases") or {}).keys()
    ):
        say("aliases change too", "aliases as before", excerpt(json.dumps(after.get("sensitive_input_aliases"))))
    _judge_retry_session(before, after, written, say)
    for name in ("session_alias", "release_session_after"):
        if given(name) is not None and after.get(name) != given(name):
            say(
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
        say("machine_id is not as given", f"machine_id {given('machine_id')}", str(after.get("machine_id")))
    alone = all(one is None for one in (given("session_id"), given("machine_id"), after.get("session_id")))
    if given("pool_ids") and alone and after.get("pool_ids") != given("pool_ids"):
        say(
            "pool_ids are not as given",
            f"pool_ids {excerpt(json.dumps(given('pool_ids')))}",
            excerpt(json.dumps(after.get("pool_ids"))),
        )
    files = given("file_inputs")
    old, new = before.get("input_attachment_ids") or [], after.get("input_attachment_ids") or []
    if files:
        if len(new) != len(files) or set(new) & set(old):
            say(
                "input attachments are not replaced",
                f"{len(files)} new attachments",
                f"{len(new)}, {len(set(new) & set(old))} of them old",
            )
    elif files is None and set(old) != set(new):
        say("input attachments change too", "the same input attachments", f"{len(new)} after {len(old)}")


def _judge_retry_session(before: Mapping[str, Any], after: Mapping[str, Any], written: Written, say: Any) -> None:
    given = written.reading.given
    session, old = after.get("session_id"), before.get("session_id")
    if given("session_id") is not None and not given("start_session"):
        if session != given("session_id"):
            say("session_id is not as given", f"session_id {given('session_id')}", str(session))
    elif given("session_id") is None and given("start_session"):
        # A single create that starts a session gives it the run's own id, so that this one may be the old one.
        if not is_uuid(session) or (session == old and session != before.get("id")):
            say("no session is started", "a new session", str(session))
    elif given("session_id") is None and given("reuse_session") is False:
        if session is not None and session == old:
            say("the session is kept", "another session or none", str(session))
    elif given("session_id") is None and given("reuse_session") is not False and session != old:
        say("the session is not kept", f"session_id {old}", str(session))


def _attachments_replaced(
    talk: Talk, run: Mapping[str, Any], after: Any, written: Written, shown: Sequence[Heard]
) -> None:
    files = written.reading.given("file_inputs")
    if not files or not talk.world.offers("get_run_attachment", "download_run_attachment"):
        return
    import base64

    for file, attachment in zip(files, after.get("input_attachment_ids") or (), strict=False):
        heard = talk.call("download_run_attachment", attachment)
        same = heard.status == 200 and heard.answer.body == base64.b64decode(file["content"])
        talk.require(
            same,
            "ATTACHMENTS",
            "new files of a retry are not there",
            "the new file's bytes",
            heard.words,
            *shown,
            heard,
        )
    for attachment in run.get("input_attachment_ids") or ():
        heard = talk.call("list_run_attachments", query=[("run_id", run["id"]), ("attachment_type", "input")])
        left = [item for item in items_of(heard) if item.get("id") == attachment]
        talk.require(
            not left, "RETRY-RULES", "old input files are left", "only the new files", "an old one", *shown, heard
        )


_FILLED: Final[dict[str, Any]] = {
    "output_data": {"result": 1},
    "error": ["it failed"],
    "run_message_history": [{"role": "user", "content": "hello"}],
}


def retry_cases(world: World) -> Iterator[Case]:
    rich = {
        "input_values": strategies.INPUTS,
        "sensitive_input_values": {"pin": "«secret:5»"},
        "file_inputs": [strategies.file("old.txt", b"old")],
    }
    features = dict(strategies.RETRY_FEATURES)
    for name, ids in (("machine_id", world.machines), ("pool_ids", world.pools), ("session_id", world.sessions)):
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
        for value in strategies.EMPTY.get(name, ()):
            if value is None:
                yield {"fields": rich, "body": {name: value}}
    yield {"times": 3, "filled": _FILLED}
    yield {"again": True}
    for count in (2, 3, 101, 1000):
        for index in (0, count - 1) if count < 1000 else (999,):
            yield {"count": count, "index": index, "filled": _FILLED, "fields": {"input_values": strategies.INPUTS}}
    yield {
        "fields": {"file_inputs": [strategies.file(), strategies.file("b.txt")]},
        "body": {"file_inputs": [strategies.file("new.txt", b"new")]},
        "count": 2,
    }
    if world.sessions.invented:
        yield {"fields": {"session_id": "«session»"}, "count": 3, "index": 1, "filled": _FILLED}
        yield {"fields": {"session_id": "«session»"}, "body": {"reuse_session": False}}
        yield {"fields": {"session_id": "«session»"}, "body": {"session_id": "«session:2»"}}


def early_cases(world: World) -> Iterator[Case]:
    for fields in ({}, {"start_session": True}, {"file_inputs": [strategies.file()]}, {"input_values": {"a": 1}}):
        yield {"fields": fields}
    for body in (
        {"input_values": {"a": 1}},
        {"file_inputs": [strategies.file()]},
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
        "updates",
        ("UPDATE-PARTIAL", "REQ-ACCEPT"),
        run_update,
        update_cases,
        needs=("update_run", "get_run"),
        telling=1,
    ),
    Scenario(
        "runs in every status",
        ("RETRY-RULES", "DELETE-GONE", "LIFECYCLE", "UPDATE-PARTIAL", "LIST-FILTER"),
        run_status_thrice,
        status_cases,
        needs=("get_run", "update_run"),
        telling=1,
    ),
    Scenario("deletes", ("DELETE-GONE",), run_delete, delete_cases, needs=("delete_run", "get_run"), telling=1),
    Scenario(
        "retries",
        ("RETRY-RULES", "ATTACHMENTS"),
        run_retry,
        retry_cases,
        needs=("retry_run", "get_run", "update_run"),
        telling=1,
    ),
    Scenario(
        "retries too early",
        ("RETRY-RULES",),
        run_retry_early,
        early_cases,
        needs=("retry_run", "get_run"),
        attempts=4,
        telling=2,
    ),
)
