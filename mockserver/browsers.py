"""Which web pages may use the mock: pages of this machine, and pages that the settings allow.

A page that a developer visits can send requests to the developer's own machine. Two checks prevent this:

- The origin. Only pages of loopback origins, of allowed origins and of the mock itself may read answers (CORS), or use
  a method other than GET, HEAD and OPTIONS.
- The host. A page can resolve its own domain to 127.0.0.1 (DNS rebinding) and then has the same origin as the mock. So
  a request from a browser must address the mock by a loopback name, an IP address, or an allowed name.

Browsers send `Origin` with a request of another origin or one that changes something, and `Sec-Fetch-Site` to loopback
names and with https. A page under a rebound name reads by plain http without either, so two more signs tell it from
other clients. It cannot remove `Accept-Language` from its requests, nor add a header whose name begins with `Sec-`
(Node.js sends `Accept-Language` with `Sec-Fetch-Mode`). And its name has a dot, as the public DNS resolves no others,
unlike the names of containers, by which clients that also send `Accept-Language` (Deno, Apple's URLSession) may reach
the mock. What remains: a browser that is set to send no `Accept-Language`, and a local network in which an attacker
answers for names without a dot. In both cases a page could read, but not change anything, nor use the control API.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mockserver.errors import BadRequest, Forbidden, HTTPError
from mockserver.headers import Headers as RequestHeaders
from mockserver.headers import headers_of
from mockserver.reply import JSON
from mockserver.scope_keys import PAGE_WARNING_KEY
from mockserver.spec import render_json

LOOPBACK_ORIGIN = r"https?://(localhost|[a-z0-9.-]+\.localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?"

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_PORT = re.compile(r":[0-9]*\Z")
_CONTROL_PATH = re.compile(r"(/__ns/[^/]*)?/__admin(/|\Z)")
_MAX_LENGTH = 200
"""How many characters of an origin or a host are quoted."""
_MAX_WARNINGS = 100
_log = logging.getLogger("mockserver")

Refuse = Callable[[HTTPError, Scope, Receive, Send], Awaitable[None]]


def is_from_browser(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a browser may have sent a request with these headers. True for some other clients as well."""
    return (
        b"origin" in headers
        or b"sec-fetch-site" in headers
        or (b"accept-language" in headers and b"sec-fetch-mode" not in headers)
    )


class Browsers:
    """Refuses requests of pages that may not send them, and adds CORS headers to all other answers, errors too.

    A browser tells a page nothing of an answer that is not for it, so the log says what to do: each text once, and at
    most 100 of them.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        refuse: Refuse,
        origins: Collection[str],
        hosts: Collection[str],
        exposed_headers: Collection[str],
    ) -> None:
        """`refuse` answers a request with an error. `origins` and `hosts` are allowed in addition to loopback; `*` in
        `origins` allows all origins.
        """
        self._refuse = refuse
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
        self._warned: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            self._log_once(refusal.detail)
            await self._refuse(refusal, scope, receive, send)
            return
        warning = self._warning(headers)
        if warning is not None:
            scope[PAGE_WARNING_KEY] = warning
            self._log_once(warning)
        await self._cors(scope, receive, send)

    def _refusal(self, scope: Scope, headers: RequestHeaders) -> HTTPError | None:
        host, origin = headers.text("host") or "", headers.text("origin")
        is_certain = origin is not None or b"sec-fetch-site" in headers
        if not self.is_allowed_host(host) and (is_certain or "." in _name_of(host)):
            name = _name_of(host)[:_MAX_LENGTH]
            shown = repr(host[:_MAX_LENGTH])
            return Forbidden(f"A browser may not reach this mock as {shown}: start it with --allowed-host {name}")
        if origin is None:
            return None
        is_preflight = scope["method"] == "OPTIONS" and b"access-control-request-method" in headers
        if is_preflight and not self._cors.is_allowed_origin(origin):
            return BadRequest(_refused(origin, scope["path"], "use"), {"Vary": "Origin"})
        if scope["method"] not in _SAFE_METHODS and not self._is_allowed_origin(origin, host):
            return Forbidden(_refused(origin, scope["path"], "change anything in"))
        return None

    def _warning(self, headers: RequestHeaders) -> str | None:
        """Return why the page cannot read the answer; None if it can."""
        origin = headers.text("origin")
        if origin is None or self._is_allowed_origin(origin, headers.text("host") or ""):
            return None
        shown = origin[:_MAX_LENGTH]
        return f"The browser hides this answer from the page of {shown!r}: start the mock with --cors-origin {shown}"

    def _log_once(self, text: str) -> None:
        if text not in self._warned and len(self._warned) < _MAX_WARNINGS:
            self._warned.add(text)
            _log.warning("%s", text)

    def _is_allowed_origin(self, origin: str, host: str) -> bool:
        """`host` must be allowed: a page that was loaded under this name then comes from the mock itself."""
        return self._cors.is_allowed_origin(origin) or origin.partition("://")[2] == host

    def is_allowed_host(self, host: str) -> bool:
        """`host` is the value of the Host header, with its port."""
        name = _name_of(host)
        return name in self._hosts or is_loopback_name(name) or _is_address(name)


def _refused(origin: str, path: str, what: str) -> str:
    """Return why a page may not do something. No setting lets it use the control API."""
    shown = origin[:_MAX_LENGTH]
    if _CONTROL_PATH.match(path):
        return refused_control(shown)
    return f"A page of {shown!r} may not {what} this mock: start it with --cors-origin {shown}"


def refused_control(origin: str) -> str:
    allowed = "only pages of this machine or of the mock may"
    return f"A page of {origin!r} may not use the control API of this mock: {allowed}"


class _CORS(CORSMiddleware):
    """Refuses a preflight for an unknown method with a JSON body, like every other error."""

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
