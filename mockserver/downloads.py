"""Signed download URLs: the bytes of an attachment without a token, until the URL expires."""

from __future__ import annotations

import hmac
import re
from functools import partial
from hashlib import blake2b
from urllib.parse import parse_qs, quote, unquote

from starlette.types import Receive, Scope, Send

from mockserver.behaviour.attachments import download, find_attachment
from mockserver.behaviour.context import NO_PREFERENCES, MakeContext, Space
from mockserver.clock import SECOND
from mockserver.errors import HTTPError, NotFound
from mockserver.headers import headers_of, raw_path
from mockserver.namespaces import Namespaces
from mockserver.reply import Reply
from mockserver.response import send_error, send_reply
from mockserver.store import retried

PREFIX = "/__downloads/"


def base_url(scope: Scope) -> str:
    """Return the origin as the client addressed it; https if a proxy in front says so by X-Forwarded-Proto."""
    headers = headers_of(scope)
    scheme = "https" if headers.get(b"x-forwarded-proto") == b"https" else scope.get("scheme", "http")
    if b"host" in headers:
        return f"{scheme}://{headers[b'host'].decode('latin-1')}"
    host, port = scope.get("server") or ("127.0.0.1", 80)
    return f"{scheme}://{host}:{port}"


class Downloads:
    """Signs download URLs, and serves them as an ASGI application."""

    def __init__(self, namespaces: Namespaces, make_context: MakeContext) -> None:
        self._namespaces = namespaces
        self._make_context = make_context

    def sign(self, base_url: str, space: Space, attachment_id: str, expires: int) -> str:
        # Each segment begins with a dash: clients and proxies may drop empty segments and resolve `.` and `..`.
        names = (space.namespace, space.organisation, attachment_id)
        path = "/".join("-" + quote(each, safe="", errors="surrogateescape") for each in names)
        return f"{base_url}{PREFIX}{path}?expires={expires}&signature={_signature(path, expires, space.secret)}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            reply = await retried(partial(self._reply, scope))
        except HTTPError as error:
            await send_error(error, scope, send)
            return
        await send_reply(reply, reply.render(), {}, scope, send)

    async def _reply(self, scope: Scope) -> Reply:
        gone = NotFound("This download URL is not valid, or no longer")
        path = raw_path(scope).partition(PREFIX)[2]
        query = parse_qs(scope["query_string"].decode("latin-1"))
        expires, signature = (query.get(name, [""])[0] for name in ("expires", "signature"))
        if not re.fullmatch("-?[0-9]{1,15}", expires) or path.count("/") != 2 or scope["method"] not in ("GET", "HEAD"):
            raise gone
        names = (unquote(each[1:], errors="surrogateescape") for each in path.split("/"))
        name, organisation, attachment_id = names
        namespace = await self._namespaces.find(name)
        space = None if namespace is None else await self._namespaces.find_space(namespace, organisation)
        if space is None:
            raise gone
        if not hmac.compare_digest(_signature(path, int(expires), space.secret).encode(), signature.encode()):
            raise gone
        now = space.clock.read()
        if now.moment >= int(expires) * SECOND:
            raise gone
        context = self._make_context(space, NO_PREFERENCES, now, scope)
        return download(await find_attachment(context, attachment_id))


def _signature(path: str, expires: int, secret: bytes) -> str:
    return blake2b(f"{path} {expires}".encode(), key=secret, digest_size=20).hexdigest()
