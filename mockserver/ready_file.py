"""A file that holds the URL of the server while it answers requests."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from mockserver.errors import StartError


class ReadyFile:
    """Written first under a temporary name, so that an unwritable path is reported at startup."""

    def __init__(self, path: Path, url: str) -> None:
        """Remove the file of an earlier server that was killed. Raises StartError."""
        self._path = path
        self._url = url
        self._waiting = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            if path.exists() and not path.is_file() and not path.is_dir():
                raise StartError(f"--ready-file {path}: cannot be written: not a regular file")
            path.unlink(missing_ok=True)
            self._waiting.write_text(f"{url}\n", encoding="utf-8")
        except OSError as error:
            raise StartError(f"--ready-file {path}: cannot be written: {error.strerror}") from error

    def publish(self) -> None:
        os.replace(self._waiting, self._path)

    def remove(self) -> None:
        """Remove the file, unless another server has written its own meanwhile."""
        self._waiting.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if self._path.read_text(encoding="utf-8").strip() == self._url:
                self._path.unlink()
