"""Access control of the control API: with a token, callers that send it; without one, callers on this machine.

Web pages are allowed only if they come from this machine or from the mock.
"""

from __future__ import annotations

import hmac
import re
from ipaddress import ip_address

from starlette.types import Scope

from mockserver.browsers import is_loopback_name, refused_control
from mockserver.errors import Forbidden, Unauthorized
from mockserver.headers import Headers


class Guard:
    def __init__(self, token: str | None) -> None:
        self._token = token

    def check(self, scope: Scope, headers: Headers) -> None:
        """Raises Unauthorized or Forbidden, with a hint."""
        self._check_origin(scope, headers)
        if self._token is None:
            self._check_caller(scope, headers)
            return
        scheme, _, sent = (headers.get(b"authorization") or b"").partition(b" ")
        # Compare the token whatever the scheme, in constant time: the response time must reveal nothing.
        is_known = hmac.compare_digest(sent, self._token.encode())
        if scheme.lower() != b"bearer" or not sent.strip():
            raise Unauthorized("The control API requires the header Authorization: Bearer <the token of --admin-token>")
        if not is_known:
            raise Unauthorized("Wrong token: it is not the one of --admin-token that the mock was started with")

    def check_page(self, scope: Scope, headers: Headers) -> None:
        """As `check`, but without the token: the page holds no data, and asks for the token itself."""
        self._check_origin(scope, headers)
        if self._token is None:
            self._check_caller(scope, headers)

    @staticmethod
    def _check_origin(scope: Scope, headers: Headers) -> None:
        names = [name for name, _ in scope["headers"]]
        for name in (b"host", b"origin"):
            # Only the first value is checked below, but a proxy in front may have checked the last.
            if names.count(name) > 1:
                raise Forbidden(f"The header {name.decode().title()} was sent more than once; send it once")
        origin = headers.text("origin")
        if origin is not None and not _may_use(origin, headers.text("host") or ""):
            raise Forbidden(refused_control(origin))

    @staticmethod
    def _check_caller(scope: Scope, headers: Headers) -> None:
        client = scope.get("client")
        if client is not None and not _is_loopback_address(str(client[0])):
            raise Forbidden(
                f"The control API is for callers on the mock's own machine, and {client[0]} is not one; "
                "start the mock with --admin-token to let others in"
            )
        host = headers.text("host") or ""
        if not _is_loopback_host(host):
            raise Forbidden(
                f"The control API is reached as localhost or 127.0.0.1, not as {host!r}; "
                "start the mock with --admin-token to use another name"
            )


_ORIGIN = re.compile(r"https?://(.+)")
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^][@/?#\\:\s]+))(?::[0-9]*)?")


def _may_use(origin: str, host: str) -> bool:
    """Whether it is the origin of a page of this machine, or of the mock itself."""
    parts = _ORIGIN.fullmatch(origin)
    return parts is not None and (_is_loopback_host(parts[1]) or parts[1] == host)


def _is_loopback_host(host: str) -> bool:
    """`host` may include a port. False if it is neither a name nor an address."""
    parts = _HOST.fullmatch(host)
    if parts is None:
        return False
    address, name = parts.groups()
    if address is not None:
        return _is_loopback_address(address)
    name = name.lower().rstrip(".")
    return is_loopback_name(name) or _is_loopback_address(name)


def _is_loopback_address(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
