"""The files of the control API's web page. They hold no data, so they are served without the token."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import NamedTuple

from mockserver.errors import MethodNotAllowed
from mockserver.reply import BytesContent, Reply

_MEDIA_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class _File(NamedTuple):
    content: bytes
    media_type: str


class PageFiles:
    """`prefix` is the path of the control API; the page is at this path with a trailing slash."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._files: Mapping[str, _File] = _read(f"{prefix}/")

    def find(self, method: str, path: str) -> Reply | None:
        """Return None if the path does not belong to the page. Raises MethodNotAllowed."""
        file = self._files.get(path)
        if file is None and path != self._prefix:
            return None
        if method not in ("GET", "HEAD"):
            raise MethodNotAllowed("The page is read with GET", {"Allow": "GET, HEAD"})
        if file is None:
            # Relative, so that it works in a namespace and behind a proxy that adds a path.
            return Reply(307, headers={"Location": f"{path.rpartition('/')[2]}/"})
        return Reply(200, BytesContent(file.content), file.media_type, _HEADERS)


def _read(page: str) -> dict[str, _File]:
    found: dict[str, _File] = {}
    for each in (files("mockserver.admin") / "page").iterdir():
        media_type = _MEDIA_TYPES.get(each.name.rpartition(".")[2])
        if media_type is not None:
            path = page if each.name == "index.html" else f"{page}page/{each.name}"
            found[path] = _File(each.read_bytes(), media_type)
    return found
