"""Attachments: the input and output files of runs. A file that many runs share is stored once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from mockserver.behaviour.batch import BATCH, FILES, UNCHANGED, Batch, Changes, FileOwner
from mockserver.behaviour.context import Context
from mockserver.behaviour.ids import tail_of
from mockserver.behaviour.paging import list_parts, window
from mockserver.behaviour.run_files import Attachment, input_attachments, input_files, output_attachments, output_files
from mockserver.behaviour.run_index import RunIndex
from mockserver.behaviour.run_view import Run, find_run, index_of
from mockserver.clock import SECOND, text_of
from mockserver.errors import NotFound
from mockserver.reply import LARGE_BYTES, BytesContent, JSONContent, Reply
from mockserver.spec import Call, render_json
from mockserver.time_slice import TimeSlice

_EXPIRES_IN_S = 300
_MAX_FILENAME_LENGTH = 255
_FRAME_BYTES = 500
"""The JSON of an attachment without its names."""


async def list_run_attachments(call: Call, context: Context) -> Reply:
    skip, limit = window(call.query)
    types: tuple[str, ...] = ("input", "output")
    if call.query.get("attachment_type") is not None:
        types = (call.query["attachment_type"],)
    if call.query.get("run_id") is not None:
        found = await _attachments_of_run(context, call.query["run_id"], types)
        return Reply(200, _AttachmentPage(found[skip : skip + limit], len(found), skip, limit))
    total = 0
    shown: list[Attachment] = []
    time_slice = TimeSlice()
    index = await index_of(context)
    states = index.states.copy()
    for batch in _batches(index):
        changes = states.changes(batch)
        has_outputs = "output" in types and _has_outputs(batch, changes)
        inputs = _count_inputs(batch, changes) if "input" in types else 0
        places: Sequence[int] = range(batch.ids.size)
        if not has_outputs and (total + inputs <= skip or len(shown) >= limit):
            total += inputs
            places = ()
        for place in places:
            state = states.state(batch, place)
            if state is not None:
                run = Run(batch, place, changes.get(place, UNCHANGED), state.timeline)
                # The runs of a batch may have ten million attachments: only those of the page are made.
                count = _count(context, run, types)
                if total + count > skip and len(shown) < limit:
                    first = max(0, skip - total)
                    shown += _of_types(context, run, types)[first : first + limit - len(shown)]
                total += count
            if time_slice.is_over:
                await time_slice.give_way()
        if time_slice.is_over:
            await time_slice.give_way()
    return Reply(200, _AttachmentPage(shown, total, skip, limit))


class _AttachmentPage(NamedTuple):
    """One page of attachments, out of `total`. In parts if it is large: a thousand runs may share one long filename."""

    attachments: Sequence[Attachment]
    total: int
    skip: int
    limit: int

    @property
    def held_bytes(self) -> int:
        """One attachment is rendered at a time."""
        return max(map(attachment_size, self.attachments), default=0)

    def render(self) -> bytes | Iterator[bytes]:
        size = sum(map(attachment_size, self.attachments))
        parts = list_parts(map(_json, self.attachments), self.total, self.skip, self.limit)
        return parts if size > LARGE_BYTES else b"".join(parts)


class _AttachmentContent(NamedTuple):
    attachment: Attachment

    @property
    def held_bytes(self) -> int:
        return attachment_size(self.attachment)

    def render(self) -> bytes:
        return _json(self.attachment)


def attachment_size(attachment: Attachment) -> int:
    """Estimate the size of the JSON in bytes. The name is in it twice."""
    return _FRAME_BYTES + 2 * len(attachment.filename) + len(attachment.file.target_path or "")


async def _attachments_of_run(context: Context, run_id: str, types: Collection[str]) -> list[Attachment]:
    """Return an empty list if the run does not exist."""
    try:
        run = (await find_run(context, run_id)).run
    except NotFound:
        return []
    return _of_types(context, run, types)


def _of_types(context: Context, run: Run, types: Collection[str]) -> list[Attachment]:
    found = input_attachments(run.batch, run.place, run.change) if "input" in types else []
    if "output" in types:
        when = context.sim_time, context.space.clock
        found += output_attachments(run.batch, run.place, run.change, run.timeline, *when)
    return found


def _count(context: Context, run: Run, types: Collection[str]) -> int:
    count = len(input_files(run.batch, run.change)) if "input" in types else 0
    if "output" in types:
        count += len(output_files(run.batch, run.change, run.timeline, context.sim_time))
    return count


def _batches(index: RunIndex) -> list[Batch]:
    """Return the batches whose runs may have attachments, newest first."""
    changes = index.states.changes
    may_have = (each for each in index.batches() if each.files or each.outputs or each.given or changes(each))
    return sorted(may_have, key=index.order_key, reverse=True)


def _has_outputs(batch: Batch, changes: Changes) -> bool:
    return bool(batch.outputs or batch.given) or any(change.outputs for change in changes.values())


def _count_inputs(batch: Batch, changes: Changes) -> int:
    """Count the input attachments of all runs of the batch."""
    count = batch.ids.size * len(batch.files)
    for change in changes.values():
        count += (0 if change.deleted is not None else len(input_files(batch, change))) - len(batch.files)
    return count


async def get_run_attachment(call: Call, context: Context) -> Reply:
    return Reply(200, _AttachmentContent(await find_attachment(context, call.path["attachment_id"])))


async def download_run_attachment(call: Call, context: Context) -> Reply:
    return download(await find_attachment(context, call.path["attachment_id"]))


def download(attachment: Attachment) -> Reply:
    headers = {"Content-Disposition": _disposition(attachment.filename)}
    return Reply(200, BytesContent(attachment.file.content), "application/octet-stream", headers)


def _disposition(filename: str) -> str:
    """RFC 6266: a name that is not plain ASCII is sent as an ASCII `filename` and as the exact `filename*`.

    Of a long name only the beginning: clients refuse long headers, and no file system has such names.
    """
    filename = filename[:_MAX_FILENAME_LENGTH]
    ascii_name = filename.encode("ascii", "replace").decode()
    plain = "".join("_" if char in '"\\' or ord(char) < 32 or ord(char) == 127 else char for char in ascii_name)
    extended = "" if plain == filename else f"; filename*=UTF-8''{quote(filename, safe='', errors='replace')}"
    return f'attachment; filename="{plain}"{extended}'


async def get_run_attachment_download_url(call: Call, context: Context) -> Reply:
    attachment = await find_attachment(context, call.path["attachment_id"])
    expires_in: int = call.query.get("expires_in", _EXPIRES_IN_S)
    url = context.sign_download(attachment.id, context.now // SECOND + expires_in)
    return Reply(200, JSONContent({"url": url, "expires_in": expires_in}))


async def find_attachment(context: Context, attachment_id: str) -> Attachment:
    """Raises NotFound, also for an attachment whose run was deleted or whose file a retry has replaced."""
    tail = tail_of(attachment_id)
    owner: FileOwner | None = (await context.store.load(FILES, tail)).value
    batch: Batch | None = (await context.store.load(BATCH, owner.batch_tail)).value if owner is not None else None
    if owner is not None and batch is not None:
        place = owner.ids.place(attachment_id) if owner.run_place is None else owner.run_place
        if place is not None:
            for attachment in await _attachments_of_run(context, batch.ids.id(place), ("input", "output")):
                if attachment.id == attachment_id:
                    return attachment
    raise NotFound(f"Run attachment {attachment_id} not found")


def _json(attachment: Attachment) -> bytes:
    return render_json(attachment_fields(attachment))


def attachment_fields(attachment: Attachment) -> dict[str, Any]:
    file = attachment.file
    return {
        "id": attachment.id,
        "run_id": attachment.run_id,
        "filename": attachment.filename,
        "content_type": file.content_type,
        "attachment_type": file.type,
        "size_bytes": len(file.content),
        "storage_path": f"runs/{attachment.run_id}/{attachment.filename}",
        "target_path": file.target_path,
        "cleanup_imports_after_run": file.cleanup_imports_after_run,
        "created_at": text_of(attachment.created),
    }
