"""Creating runs: one, many of one kind, and what a chain and a retry share with both."""

from __future__ import annotations

import base64
import binascii
import mimetypes
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from mockserver.behaviour.batch import (
    BATCH,
    FILES,
    SESSION,
    Batch,
    File,
    FileOwner,
    Placement,
    Script,
    Session,
    Slot,
)
from mockserver.behaviour.context import Context
from mockserver.behaviour.ids import IdRow, id_row
from mockserver.behaviour.input_schema import Inputs, check_inputs
from mockserver.behaviour.ledger import entered, open_block
from mockserver.behaviour.places import (
    COUNTER,
    WorkflowRecord,
    by_lot,
    check_machine,
    pick_machine,
    pool_machines,
    workflow,
)
from mockserver.behaviour.run_results import NULL
from mockserver.behaviour.run_view import CreatedContent, CreatedRunContent
from mockserver.behaviour.secrets import aliases
from mockserver.behaviour.world import Workflow
from mockserver.clock import SECOND
from mockserver.errors import TooLarge, Unavailable
from mockserver.reply import Reply
from mockserver.spec import Call, Invalid, render_json
from mockserver.store import Unit, Write

_PLACING = ("machine_id", "pool_ids", "session_alias", "release_session_after")
_UNKNOWN_TYPE = "application/octet-stream"


async def bulk_create_runs(call: Call, context: Context) -> Reply:
    body: dict[str, Any] = call.body
    count: int = body["count"]
    known = await workflow(context, body["workflow_id"])
    if known is not None:
        check_inputs(known, Inputs.of_create(body))
        await check_availability(context, known)
    failed = _failures(context, known, count)
    errors: tuple[str, ...] = ()
    if failed:
        errors = tuple(f"Run {place} of {count} could not be created" for place in range(count - failed + 1, count + 1))
    block = await open_block(context.store)
    number: int = block.value.next_number
    made_by = f"runs {number}"
    ids = id_row(context.space.key, made_by, max(1, count - failed))
    session_id = body.get("session_id")
    if session_id is None and body.get("start_session"):
        session_id = id_row(context.space.key, f"session of {made_by}", 1).id(0)
    batch, writes = await _new_batch(context, body, ids, number, session_id)
    if failed == count:
        # Judged like any other, but none of it is kept.
        return Reply(201, CreatedContent(context.space, None, failed, errors))
    await context.store.commit(*entered(block, ids.tail), *writes)
    return Reply(201, CreatedContent(context.space, batch, failed, errors))


def _failures(context: Context, known: Workflow | WorkflowRecord | None, count: int) -> int:
    """How many runs of a bulk create are not created: as the client prefers, else as the workflow has it."""
    if context.preferences.failed is not None:
        return min(context.preferences.failed, count)
    if context.preferences.failed_share is not None:
        return int(count * context.preferences.failed_share)
    return int(count * known.bulk_failures) if isinstance(known, Workflow) else 0


async def create_run(call: Call, context: Context) -> Reply:
    body: dict[str, Any] = call.body
    known = await workflow(context, body["workflow_id"])
    if known is not None:
        check_inputs(known, Inputs.of_create(body))
        await check_availability(context, known)
    block = await open_block(context.store)
    number: int = block.value.next_number
    ids = id_row(context.space.key, f"runs {number}", 1)
    session_id = body.get("session_id")
    if session_id is None and body.get("start_session"):
        session_id = ids.id(0)
    batch, writes = await _new_batch(context, body, ids, number, session_id)
    await context.store.commit(*entered(block, ids.tail), *writes)
    return Reply(201, CreatedRunContent(context.space, batch))


async def check_availability(context: Context, known: Workflow | WorkflowRecord) -> None:
    """Raises Unavailable for the first creates of a workflow that has `create_failures`."""
    if not isinstance(known, Workflow) or not known.create_failures:
        return
    key = f"creates of {known.id}"
    unit = await context.store.load(COUNTER, key)
    failed: int = unit.value or 0
    if failed < known.create_failures:
        await context.store.commit(Write(COUNTER, key, failed + 1, unit.version))
        raise Unavailable("The service is not available at the moment; try again", {"Retry-After": "1"})


async def _new_batch(
    context: Context, body: Mapping[str, Any], ids: IdRow, number: int, session_id: str | None
) -> tuple[Batch, list[Write]]:
    writes: list[Write] = []
    if session_id is None and body.keys().isdisjoint(_PLACING):
        placement = _unplaced(by_lot(context.world.connected, ids.tail))
    else:
        session = await context.store.load(SESSION, session_id) if session_id is not None else None
        machine_id = await choose_machine(context, body, session, lot=ids.tail)
        if session_id is not None and session is not None:
            writes.append(joined(session_id, session, machine_id, Slot(ids.tail, 0, ids.size, 0)))
        placement = Placement(
            machine_id=machine_id,
            pool_ids=json_or_null(body.get("pool_ids")),
            session_id=session_id,
            session_alias=json_or_null(body.get("session_alias")),
            release_session_after=json_or_null(body.get("release_session_after")),
        )
    files: tuple[File, ...] = ()
    file_inputs = body.get("file_inputs")
    if file_inputs:
        check_file_count(context, len(file_inputs))
        contents = decoded_files(file_inputs, where="file_inputs", strict=context.strict)
        files, owners = attachments(context, contents, ids)
        writes += owners
    made, owners = outputs(context, body["workflow_id"], ids)
    writes += owners
    batch = Batch(
        ids,
        number,
        context.now,
        context.lived,
        body["workflow_id"],
        placement,
        json_or_null(body.get("input_values")),
        aliases(body.get("sensitive_input_values"), key=context.space.key, owner=ids.tail),
        files,
        script(context),
        made,
    )
    writes.append(Write(BATCH, ids.tail, batch, 0))
    return batch, writes


@lru_cache(maxsize=1024)
def _unplaced(machine_id: str | None) -> Placement:
    """The placement of runs of which nothing was asked but to run somewhere: one for all of them on that machine."""
    return Placement(machine_id, NULL, None, NULL, NULL)


async def choose_machine(context: Context, body: Mapping[str, Any], session: Unit | None, *, lot: str) -> str | None:
    """The machine of a session that is joined, else the one that was named, else one of the pools by lot.

    Raises NotFound where only known ones are let in.
    """
    machine_id: str | None = body.get("machine_id")
    pool_ids: Sequence[str] = body.get("pool_ids") or ()
    if machine_id is not None:
        check_machine(context, machine_id)
    for pool_id in pool_ids:
        await pool_machines(context, pool_id)
    if session is not None and session.value is not None:
        held: Session = session.value
        return held.machine_id
    if machine_id is not None and body.get("session_id") is None:
        return machine_id
    return await pick_machine(context, () if body.get("session_id") is not None else pool_ids, lot)


def joined(session_id: str, unit: Unit, machine_id: str | None, *slots: Slot) -> Write:
    """The session with more runs at its end; a new one where there was none."""
    session: Session = unit.value or Session((), machine_id)
    return Write(SESSION, session_id, Session(session.slots + slots, session.machine_id), unit.version)


def script(context: Context) -> Script | None:
    preferences = context.preferences
    if preferences.outcome is None and preferences.duration_s is None:
        return None
    duration_s = preferences.duration_s
    return Script(preferences.outcome, None if duration_s is None else int(duration_s * SECOND))


def json_or_null(value: Any) -> bytes:
    return NULL if value is None else render_json(value)


def check_file_count(context: Context, count: int) -> None:
    """Raises TooLarge."""
    most = context.limits.max_files
    if count > most:
        raise TooLarge(f"A request makes {most} attachments at most here, and this one {count}")


FileInput = tuple[Mapping[str, Any], bytes]
"""A file input as it was sent, and its content."""


def decoded_files(file_inputs: Sequence[Mapping[str, Any]], *, where: str, strict: bool) -> list[FileInput]:
    """Raises Invalid for content that is not base64, where bodies are read by the letter."""
    return [
        (each, _decoded(each["content"], ("body", where, place, "content"), strict=strict))
        for place, each in enumerate(file_inputs)
    ]


def attachments(
    context: Context, contents: Sequence[FileInput], ids: IdRow, *, retried: tuple[int, int] | None = None
) -> tuple[tuple[File, ...], list[Write]]:
    """Files for every run of a row, or for one that is `retried` (its place, its attempt), and their owners."""
    files = [
        File(
            ids=_file_ids(context, f"file {number}", ids, retried),
            filename=each["filename"],
            content=content,
            content_type=_content_type(each["filename"]),
            target_path=each.get("target_path"),
            cleanup_imports_after_run=bool(each.get("cleanup_imports_after_run")),
            created=context.now,
        )
        for number, (each, content) in enumerate(contents)
    ]
    return tuple(files), _owners(files, ids, retried)


def outputs(
    context: Context, workflow_id: str, ids: IdRow, *, retried: tuple[int, int] | None = None
) -> tuple[tuple[File, ...], list[Write]]:
    """The same for what runs of the workflow make when they end well."""
    known = context.world.workflows.get(workflow_id)
    if known is None or not known.outputs:
        return (), []
    files = [
        File(
            ids=_file_ids(context, f"output {number}", ids, retried),
            filename=output.filename,
            content=output.content,
            content_type=_content_type(output.filename),
            target_path=None,
            cleanup_imports_after_run=False,
            created=context.now,
            type="output",
        )
        for number, output in enumerate(known.outputs)
    ]
    return tuple(files), _owners(files, ids, retried)


def _file_ids(context: Context, what: str, ids: IdRow, retried: tuple[int, int] | None) -> IdRow:
    of = ids.tail if retried is None else f"{ids.id(retried[0])} in attempt {retried[1]}"
    return id_row(context.space.key, f"{what} of {of}", ids.size if retried is None else 1)


def _owners(files: Sequence[File], ids: IdRow, retried: tuple[int, int] | None) -> list[Write]:
    place = None if retried is None else retried[0]
    return [Write(FILES, file.ids.tail, FileOwner(ids.tail, file.ids, place), 0) for file in files]


def _content_type(filename: str) -> str:
    """By the ending alone. Only types that Python knows by itself: those of the machine would differ elsewhere."""
    _, dot, ending = filename.rpartition(".")
    return _known_types().get(f".{ending.lower()}", _UNKNOWN_TYPE) if dot else _UNKNOWN_TYPE


@lru_cache(maxsize=1)
def _known_types() -> Mapping[str, str]:
    return mimetypes.MimeTypes().types_map[True]


def _decoded(content: str, loc: tuple[str | int, ...], *, strict: bool) -> bytes:
    try:
        return base64.b64decode("".join(content.split()).encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        if not strict:
            return content.encode("utf-8", "surrogatepass")
        why = str(error) if isinstance(error, binascii.Error) else "a character that is not ASCII"
        violation = {
            "type": "base64_decode",
            "loc": list(loc),
            "msg": f"Base64 decoding error: '{why}'",
            "input": content,
            "ctx": {"error": why},
        }
        raise Invalid(422, violations=[violation]) from None
