"""`--state FILE`: the state of all namespaces, read at startup and written at the end."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from mockserver.errors import HTTPError, StartError
from mockserver.namespaces import Namespaces, is_name
from mockserver.spec import render_json
from mockserver.state import FORMAT, States
from mockserver.state_codec import StateError


async def load_states(path: Path, states: States) -> bytes:
    """Restore each namespace, and make this its state after a reset. Return a digest of the file, for `save_states`.
    Raises StartError.

    If the file does not exist, nothing is restored. A file with an answer of `GET /__admin/state` is restored into the
    default namespace.
    """
    document, digest = _read(path)
    try:
        with _beside(path).open("wb"):
            pass
        _beside(path).unlink()
    except OSError as error:
        raise StartError(f"{path}: the state cannot be written there at the end: {error.strerror}") from error
    if document is None:
        return digest
    namespaces: Any = document.get("namespaces", {"": document})
    if not isinstance(namespaces, dict):
        raise StartError(f"{path}: /namespaces: expected an object")
    for name, state in namespaces.items():
        if not is_name(name):
            # No request could reach it, not even one that removes it.
            what = "cannot be the name of a namespace: 200 characters at most, and no / among them"
            raise StartError(f"{path}: /namespaces: {name[:50]!r} {what}")
        try:
            await states.begin_with(name, state if isinstance(state, dict) else {})
        except StateError as error:
            where = f"/namespaces/{name}" if "namespaces" in document else ""
            raise StartError(f"{path}: {where}{error}") from error
        except HTTPError as error:
            raise StartError(f"{path}: {error.detail}") from error
    return digest


def _read(path: Path) -> tuple[dict[str, Any] | None, bytes]:
    """Return the document and a digest of the file: None and an empty digest if there is no such file."""
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise StartError(f"{path}: cannot read the state: not a regular file")
        contents = path.read_bytes()
        document = json.loads(contents)
    except FileNotFoundError:
        return None, b""
    except OSError as error:
        raise StartError(f"{path}: cannot read the state: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise StartError(f"{path}: not JSON: {error}") from error
    if not isinstance(document, dict):
        raise StartError(f"{path}: expected an object: the state that --state or GET /__admin/state has written")
    return document, _digest(contents)


def _digest(contents: bytes) -> bytes:
    return hashlib.sha256(contents).digest()


def _was_changed(path: Path, read: bytes) -> bool:
    return path.exists() and _digest(path.read_bytes()) != read


def _beside(path: Path) -> Path:
    """A temporary file in the folder of the file, or of the one that a link leads to."""
    target = path.resolve()
    return target.with_name(f"{target.name}.{os.getpid()}.tmp")


async def save_states(path: Path, namespaces: Namespaces, states: States, *, read: bytes) -> Path:
    """Write the file completely or not at all; its permissions stay. `read` is the digest of what was read from it.

    If something else has changed the file since then, such as another mock, write another file beside it. Return the
    path of the file. Raises OSError.
    """
    if _was_changed(path, read):
        path = path.with_name(f"{path.name}.{os.getpid()}")
    beside = _beside(path)
    try:
        with beside.open("wb") as file:
            file.write(b'{"format":%d,"namespaces":{' % FORMAT)
            separator = b""
            for name, namespace in namespaces.items():
                if not await namespace.is_empty():
                    file.write(separator + render_json(name) + b":")
                    file.writelines(await states.written(namespace))
                    separator = b","
            file.write(b"}}\n")
        _replace(path, beside)
    finally:
        beside.unlink(missing_ok=True)
    return path


def _replace(path: Path, beside: Path) -> None:
    target = path.resolve()
    with suppress(FileNotFoundError):
        shutil.copymode(target, beside)
    try:
        beside.replace(target)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        # The file itself is mounted, as in a container: it cannot be replaced, only written.
        shutil.copyfile(beside, target)
