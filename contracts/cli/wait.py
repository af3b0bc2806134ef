"""Waits until a target that is starting answers."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Callable
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

from contracts.core.findings import CouldNotCheck
from contracts.core.target import Target

_PAUSE_S = 0.2
_REQUEST_TIMEOUT_S = 5.0
"""Timeout of one request."""


def wait_for(
    target: Target,
    for_s: float,
    *,
    tell: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Wait until the target answers with any status. Sends no token.

    Raises:
        CouldNotCheck: no answer came within `for_s` seconds.
    """
    end = monotonic() + for_s
    announced = False
    while True:
        left_s = end - monotonic()
        problem = _probe(target, min(_REQUEST_TIMEOUT_S, max(left_s, _PAUSE_S)))
        if problem is None:
            return
        if monotonic() + _PAUSE_S > end:
            raise CouldNotCheck(f"no answer from {target.url} within {for_s:g} s ({problem})")
        if not announced:
            tell(f"Waiting for {target.url} to answer, {for_s:g} s at most ({problem}).")
            announced = True
        sleep(_PAUSE_S)


def _probe(target: Target, timeout_s: float) -> str | None:
    """Send one request. Return why it got no answer, or None if it got one of any status."""
    parts = urlsplit(target.url)
    host = parts.hostname or ""
    connection: http.client.HTTPConnection
    proxy = None
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=target.ca_bundle)
        if not target.is_loopback and not proxy_bypass(host):
            proxy = getproxies().get("https")
        if proxy is None:
            connection = http.client.HTTPSConnection(host, parts.port, timeout=timeout_s, context=context)
        else:
            proxy_parts = urlsplit(proxy)
            connection = http.client.HTTPSConnection(
                proxy_parts.hostname or "", proxy_parts.port or 80, timeout=timeout_s, context=context
            )
            connection.set_tunnel(host, parts.port or 443)
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=timeout_s)
    try:
        connection.request("GET", quote(parts.path, safe="/%~") + "/v1/health")
        connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
    finally:
        connection.close()
    return None
