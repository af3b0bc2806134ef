"""A file that holds the URL of the server for as long as it answers."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from mockserver.errors import StartError


class ReadyFile:
    """Made at once, under another name, so that what cannot be written is told at the start."""

    def __init__(self, path: Path, url: str) -> None:
        """A file that a server left behind that was killed is removed. Raises StartError."""
        self._path = path
        self._url = url
        self._waiting = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.unlink(missing_ok=True)
            self._waiting.write_text(f"{url}\n", encoding="utf-8")
        except OSError as error:
            raise StartError(f"--ready-file {path}: cannot be written: {error.strerror}") from error

    def publish(self) -> None:
        os.replace(self._waiting, self._path)

    def remove(self) -> None:
        """Not where another server has put its own there meanwhile."""
        self._waiting.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if self._path.read_text(encoding="utf-8").strip() == self._url:
                self._path.unlink()
