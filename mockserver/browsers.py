"""Which web pages may use the mock: those of this machine, and those that it was told of.

A page that a developer visits can send requests to the developer's own machine. Two things keep it out. CORS: only
pages of loopback origins may read answers, or send what a plain form could not. And the name: a page can have its own
domain lead to 127.0.0.1 (DNS rebinding) and is then of the same origin, so a request that a browser sends must call the
mock by a loopback name, by an address, or by a name that was allowed.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mockserver.reply import JSON, error_reply
from mockserver.response import send_reply
from mockserver.spec import render_json

LOOPBACK_ORIGIN = r"https?://(localhost|[a-z0-9.-]+\.localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?"

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_PORT = re.compile(r":[0-9]*\Z")


class Browsers:
    """Lets in what browsers send, as far as their pages may, and adds CORS headers to every answer, errors too."""

    def __init__(
        self, app: ASGIApp, *, origins: Collection[str], hosts: Collection[str], exposed_headers: Collection[str]
    ) -> None:
        """`origins` and `hosts` are those that are allowed beside loopback; `*` among the origins allows all."""
        self._hosts = {host.lower() for host in hosts}
        self._cors = _CORS(
            app,
            allow_origins=origins,
            allow_origin_regex=LOOPBACK_ORIGIN,
            allow_methods=("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"),
            allow_headers=("*",),
            allow_private_network=True,
            expose_headers=exposed_headers,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        refusal = None
        if not self.is_allowed_host(host):
            refusal = f"A browser may not reach this mock as {host!r}: start it with --allowed-host {_name_of(host)}"
        elif origin is not None and scope["method"] not in _SAFE_METHODS and not self._is_allowed_origin(origin, host):
            refusal = f"A page of {origin!r} may not change anything here: start the mock with --cors-origin {origin}"
        if refusal is None:
            await self._cors(scope, receive, send)
        else:
            reply = error_reply(403, refusal)
            await send_reply(reply, reply.render(), {}, scope, send)

    def _is_allowed_origin(self, origin: str, host: str) -> bool:
        """`host` is one that is allowed: so a page of the mock itself, read under that name, is no stranger."""
        return self._cors.is_allowed_origin(origin) or urlsplit(origin).netloc == host

    def is_allowed_host(self, host: str) -> bool:
        """`host` is the header, with its port."""
        name = _name_of(host)
        return name in self._hosts or is_loopback_name(name) or _is_address(name)


class _CORS(CORSMiddleware):
    """A preflight that is refused says so in JSON, as every other error does."""

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        kept = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
        body = render_json({"detail": bytes(response.body).decode()})
        return Response(body, response.status_code, kept, media_type=JSON)


def is_loopback_name(name: str) -> bool:
    return name == "localhost" or name.endswith(".localhost")


def _name_of(host: str) -> str:
    return _PORT.sub("", host).lower().rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ip_address(name[1:-1] if name.startswith("[") and name.endswith("]") else name)
    except ValueError:
        return False
    return True
