"""The files of new runs: their inputs, decoded from base64, and the outputs that they will have."""

from __future__ import annotations

import base64
import binascii
import mimetypes
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from mockserver.behaviour.batch import FILES, File, FileOwner
from mockserver.behaviour.context import Context
from mockserver.behaviour.ids import IdRow, Ids, id_row
from mockserver.behaviour.world import Output
from mockserver.errors import TooLarge
from mockserver.spec import Invalid
from mockserver.store import Write

_BLANKS = b" \t\n\r\v\f"
_UNKNOWN_TYPE = "application/octet-stream"


def check_file_count(context: Context, count: int) -> None:
    """Raises TooLarge if the request would make more attachments than `max_files`."""
    most = context.limits.max_files
    if count > most:
        raise TooLarge(f"A request makes {most} attachments at most here, and this one {count}")


FileInput = tuple[Mapping[str, Any], bytes]
"""A file input as it was sent, and its decoded content."""


def decoded_files(file_inputs: Sequence[Mapping[str, Any]], *, where: str, strict: bool) -> list[FileInput]:
    """Decode the content of each file. If `strict`, raises Invalid for content that is not base64."""
    return [
        (each, decoded(each["content"], ("body", where, place, "content"), strict=strict))
        for place, each in enumerate(file_inputs)
    ]


def attachments(
    context: Context, contents: Sequence[FileInput], ids: Ids, *, retried: tuple[int, int] | None = None
) -> tuple[tuple[File, ...], list[Write]]:
    """Return the input files of every run of a row, and the writes of their owners.

    With `retried` (place, attempt), the files belong to that run alone.
    """
    files = [
        File(
            ids=_file_ids(context, f"file {number}", ids, retried),
            filename=each["filename"],
            content=content,
            content_type=content_type(each["filename"]),
            target_path=each.get("target_path"),
            cleanup_imports_after_run=bool(each.get("cleanup_imports_after_run")),
            created=context.now,
        )
        for number, (each, content) in enumerate(contents)
    ]
    return tuple(files), _owners(files, ids, retried)


def outputs(
    context: Context, made: Sequence[Output], ids: Ids, *, retried: tuple[int, int] | None = None
) -> tuple[tuple[File, ...], list[Write]]:
    """Return the output files of runs, and the writes of their owners; arguments as in `attachments`."""
    files = [
        File(
            ids=_file_ids(context, f"output {number}", ids, retried),
            filename=output.filename,
            content=output.content,
            content_type=content_type(output.filename),
            target_path=None,
            cleanup_imports_after_run=False,
            created=context.now,
            type="output",
        )
        for number, output in enumerate(made)
    ]
    return tuple(files), _owners(files, ids, retried)


def _file_ids(context: Context, what: str, ids: Ids, retried: tuple[int, int] | None) -> IdRow:
    of = ids.tail if retried is None else f"{ids.id(retried[0])} in attempt {retried[1]}"
    return id_row(context.space.key, f"{what} of {of}", ids.size if retried is None else 1)


def _owners(files: Sequence[File], ids: Ids, retried: tuple[int, int] | None) -> list[Write]:
    place = None if retried is None else retried[0]
    return [Write(FILES, file.ids.tail, FileOwner(ids.tail, file.ids, place), 0) for file in files]


def content_type(filename: str) -> str:
    """Guess the type by the extension, from Python's own table: the operating system's differs between machines."""
    _, dot, ending = filename.rpartition(".")
    return _known_types().get(f".{ending.lower()}", _UNKNOWN_TYPE) if dot else _UNKNOWN_TYPE


@lru_cache(maxsize=1)
def _known_types() -> Mapping[str, str]:
    return mimetypes.MimeTypes().types_map[True]


def decoded(content: str, loc: tuple[str | int, ...], *, strict: bool) -> bytes:
    try:
        # Not `split` and `join`: of millions of short words they take a second.
        return base64.b64decode(content.encode("ascii").translate(None, _BLANKS), validate=True)
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
