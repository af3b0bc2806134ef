"""The address of a socket, as an ASGI scope has it."""

from __future__ import annotations

from typing import Any


def address(name: Any) -> tuple[str, int | None] | None:
    """Return (host, port); (path, None) of a Unix socket."""
    if isinstance(name, (tuple, list)) and len(name) >= 2:
        return str(name[0]), int(name[1])
    return (str(name), None) if name else None
