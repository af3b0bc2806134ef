"""The headers of a request by name, and its path as it was sent."""

from __future__ import annotations

from typing import Any

from starlette.types import Scope

_KEY = "mockserver.headers"


class Headers(dict[bytes, bytes]):
    """Values by lower-case name; of a repeated header the first one counts, as in FastAPI. Only `text` decodes them."""

    __slots__ = ()

    def text(self, name: str) -> str | None:
        value = self.get(name.encode("latin-1"))
        return None if value is None else value.decode("latin-1")


def headers_of(scope: Scope) -> Headers:
    """Return the headers of a request, read once and cached in its scope."""
    headers: Any = scope.get(_KEY)
    if headers is None:
        headers = scope[_KEY] = Headers(reversed(scope["headers"]))
    found: Headers = headers
    return found


def raw_path(scope: Scope) -> str:
    """Return the path as the client has sent it. Other ASGI servers may leave it out, or add the query."""
    sent: bytes = scope.get("raw_path", scope["path"].encode())
    return sent.decode("latin-1").split("?")[0]
