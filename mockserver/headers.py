"""The headers of a request, by name."""

from __future__ import annotations

from typing import Any

from starlette.types import Scope

_KEY = "mockserver.headers"


class Headers(dict[bytes, bytes]):
    """By lower-case name; the last of a repeated one counts. Decoded only when asked for as text."""

    __slots__ = ()

    def text(self, name: str) -> str | None:
        value = self.get(name.encode("latin-1"))
        return None if value is None else value.decode("latin-1")


def headers_of(scope: Scope) -> Headers:
    """Read once for each request, and kept in its scope."""
    headers: Any = scope.get(_KEY)
    if headers is None:
        headers = scope[_KEY] = Headers(scope["headers"])
    found: Headers = headers
    return found
