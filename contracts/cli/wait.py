"""Waits until a target that is starting answers."""

import time
from collections.abc import Callable

from contracts.core.exchange import Request
from contracts.core.findings import CouldNotCheck
from contracts.core.target import Target

_PAUSE_S = 0.2
_REQUEST_TIMEOUT_S = 5.0


def wait_for(
    target: Target,
    for_s: float,
    *,
    tell: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Wait until the target answers with any status. Sends no token. `tell` is called with a message if it does not
    answer at once. Raises CouldNotCheck if no answer came within `for_s` seconds.
    """
    # It needs the packages of the extra.
    from contracts.guard.upstream import Lost, Upstream, proxy_for, step_without_answer

    upstream = Upstream(target.url, ca_bundle=target.ca_bundle, proxy=proxy_for(target.url))
    end = monotonic() + for_s
    announced = False
    try:
        while True:
            within_s = min(_REQUEST_TIMEOUT_S, max(end - monotonic(), _PAUSE_S))
            outcome = upstream.exchange(Request("GET", "/v1/health"), str, within_s=within_s)
            if not isinstance(outcome, Lost):
                return
            if monotonic() + _PAUSE_S > end:
                step = step_without_answer(target.url, reached=outcome.reached)
                raise CouldNotCheck(f"no answer from {target.url} within {for_s:g} s ({outcome.reason}): {step}")
            if not announced:
                tell(f"Waiting for {target.url} to answer, {for_s:g} s at most ({outcome.reason}).")
                announced = True
            sleep(_PAUSE_S)
    finally:
        upstream.close()
