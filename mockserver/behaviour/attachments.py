"""Attachments: the files that went into runs. A file that many runs got is kept once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from urllib.parse import quote

from mockserver.behaviour.batch import BATCH, CHANGES, FILES, NO_CHANGES, UNCHANGED, Batch, Changes, File, FileOwner
from mockserver.behaviour.context import Context
from mockserver.behaviour.ids import tail_of
from mockserver.behaviour.paging import ListContent, page, window
from mockserver.behaviour.run_view import find_run
from mockserver.clock import SECOND, text_of
from mockserver.errors import NotFound
from mockserver.reply import BytesContent, JSONContent, Reply
from mockserver.spec import Call, render_json
from mockserver.time_slice import TimeSlice

_EXPIRES_IN_S = 300


@dataclass(frozen=True, slots=True)
class Attachment:
    id: str
    run_id: str
    file: File


async def list_run_attachments(call: Call, context: Context) -> Reply:
    run_id = call.query.get("run_id")
    if call.query.get("attachment_type") == "output":
        return await page(call, [], lambda attachment: _json(context, attachment))
    if run_id is not None:
        try:
            run = (await find_run(context, run_id)).run
        except NotFound:
            found = []
        else:
            found = [Attachment(id_, run_id, file) for id_, file in zip(run.attachment_ids(), run.files, strict=True)]
        return await page(call, found, lambda attachment: _json(context, attachment))
    skip, limit = window(call.query)
    total = 0
    shown: list[bytes] = []
    time_slice = TimeSlice()
    for batch, changes in await _batches(context):
        count = _count(batch, changes)
        if count and len(shown) < limit and total + count > skip:
            first = max(0, skip - total)
            some = islice(_attachments(batch, changes), first, first + limit - len(shown))
            shown += [await _json(context, attachment) for attachment in some]
        total += count
        if time_slice.is_over:
            await time_slice.give_way()
    return Reply(200, ListContent(shown, total, skip, limit))


async def _batches(context: Context) -> list[tuple[Batch, Changes]]:
    """Those whose runs may have attachments, newest first."""
    changes = await context.store.items(CHANGES)
    found = []
    for tail, unit in reversed((await context.store.items(BATCH)).items()):
        batch: Batch = unit.value
        if batch.files or tail in changes:
            found.append((batch, changes[tail].value if tail in changes else NO_CHANGES))
    return found


def _count(batch: Batch, changes: Changes) -> int:
    count = batch.ids.size * len(batch.files)
    for change in changes.values():
        if change.deleted is not None:
            count -= len(batch.files)
        elif change.files is not None:
            count += len(change.files) - len(batch.files)
    return count


def _attachments(batch: Batch, changes: Changes) -> Iterator[Attachment]:
    for index in range(batch.ids.size):
        change = changes.get(index, UNCHANGED)
        if change.deleted is not None:
            continue
        own = change.files is not None
        for file in batch.files if change.files is None else change.files:
            yield Attachment(file.ids.id(0 if own else index), batch.ids.id(index), file)


async def get_run_attachment(call: Call, context: Context) -> Reply:
    return Reply(200, BytesContent(await _json(context, await find_attachment(context, call.path["attachment_id"]))))


async def download_run_attachment(call: Call, context: Context) -> Reply:
    return download(await find_attachment(context, call.path["attachment_id"]))


def download(attachment: Attachment) -> Reply:
    headers = {"Content-Disposition": _disposition(attachment.file.filename)}
    return Reply(200, BytesContent(attachment.file.content), "application/octet-stream", headers)


def _disposition(filename: str) -> str:
    """RFC 6266: a name that is not plain ASCII is given twice, the second time whole."""
    ascii_name = filename.encode("ascii", "replace").decode()
    plain = "".join("_" if char in '"\\' or ord(char) < 32 or ord(char) == 127 else char for char in ascii_name)
    whole = "" if plain == filename else f"; filename*=UTF-8''{quote(filename, safe='', errors='replace')}"
    return f'attachment; filename="{plain}"{whole}'


async def get_run_attachment_download_url(call: Call, context: Context) -> Reply:
    attachment = await find_attachment(context, call.path["attachment_id"])
    expires_in: int = call.query.get("expires_in", _EXPIRES_IN_S)
    url = context.sign_download(attachment.id, context.now // SECOND + expires_in)
    return Reply(200, JSONContent({"url": url, "expires_in": expires_in}))


async def find_attachment(context: Context, attachment_id: str) -> Attachment:
    """Raises NotFound; also for one whose run is gone, or whose files a retry has replaced."""
    tail = tail_of(attachment_id)
    owner: FileOwner | None = (await context.store.load(FILES, tail)).value
    batch: Batch | None = (await context.store.load(BATCH, owner.batch_tail)).value if owner is not None else None
    if owner is not None and batch is not None:
        changes: Changes = (await context.store.load(CHANGES, owner.batch_tail)).value or NO_CHANGES
        change = changes.get(owner.run_place, UNCHANGED) if owner.run_place is not None else UNCHANGED
        files = batch.files if owner.run_place is None else change.files or ()
        file = files[owner.file_place] if owner.file_place < len(files) else None
        row = file.ids.place(attachment_id) if file is not None and file.ids.tail == tail else None
        if file is not None and row is not None:
            index = row if owner.run_place is None else owner.run_place
            change = changes.get(index, UNCHANGED)
            if change.deleted is None and (owner.run_place is not None or change.files is None):
                return Attachment(attachment_id, batch.ids.id(index), file)
    raise NotFound(f"Run attachment {attachment_id} not found")


async def _json(context: Context, attachment: Attachment) -> bytes:
    file = attachment.file
    return render_json(
        {
            "id": attachment.id,
            "run_id": attachment.run_id,
            "filename": file.filename,
            "content_type": file.content_type,
            "attachment_type": "input",
            "size_bytes": len(file.content),
            "storage_path": f"runs/{attachment.run_id}/{file.filename}",
            "target_path": file.target_path,
            "cleanup_imports_after_run": file.cleanup_imports_after_run,
            "created_at": text_of(file.created),
        }
    )
