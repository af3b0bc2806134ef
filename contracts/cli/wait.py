"""Waits for a target that is just being started."""

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
_PATIENCE_S = 5.0
"""For one answer."""


def wait_for(
    target: Target,
    for_s: float,
    *,
    tell: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Returns at the first answer of any status; no token is sent. Raises CouldNotCheck where none has come in time."""
    end = monotonic() + for_s
    told = False
    while True:
        left_s = end - monotonic()
        problem = _asked(target, min(_PATIENCE_S, max(left_s, _PAUSE_S)))
        if problem is None:
            return
        if monotonic() + _PAUSE_S > end:
            raise CouldNotCheck(f"no answer from {target.url} within {for_s:g} s ({problem})")
        if not told:
            tell(f"Waiting for {target.url} to answer, {for_s:g} s at most ({problem}).")
            told = True
        sleep(_PAUSE_S)


def _asked(target: Target, patience_s: float) -> str | None:
    """What is in the way, or None where there is an answer, whatever it says."""
    parts = urlsplit(target.url)
    host = parts.hostname or ""
    connection: http.client.HTTPConnection
    proxy = None
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=target.ca_bundle)
        if not target.is_loopback and not proxy_bypass(host):
            proxy = getproxies().get("https")
        if proxy is None:
            connection = http.client.HTTPSConnection(host, parts.port, timeout=patience_s, context=context)
        else:
            through = urlsplit(proxy)
            connection = http.client.HTTPSConnection(
                through.hostname or "", through.port or 80, timeout=patience_s, context=context
            )
            connection.set_tunnel(host, parts.port or 443)
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=patience_s)
    try:
        connection.request("GET", quote(parts.path, safe="/%~") + "/v1/health")
        connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
    finally:
        connection.close()
    return None
