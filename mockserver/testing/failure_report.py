"""The requests of a client, as text for the report of a failed test."""

from __future__ import annotations

import json
from typing import Any

from mockserver.errors import ControlError
from mockserver.testing.mock import CyberdeskMock
from mockserver.testing.requests import Request

_MAX_REQUESTS = 50
_MAX_BODY_LENGTH = 500


def requests_text(mock: CyberdeskMock, outside_before: int) -> str:
    """Return the last requests and their answers, a few lines each. Secrets are masked, as in the journal.

    `outside_before` is the `seq` of the last request outside of any namespace that came before the test.
    """
    try:
        shown, total = mock.last_requests(_MAX_REQUESTS)
        strays = mock.requests_outside(outside_before)
    except ControlError as error:
        return f"The requests cannot be read: {error}"
    lines = [f"Base URL {mock.url}"]
    if total > len(shown):
        lines.append(f"({total - len(shown)} earlier requests are not shown)")
    for request in shown:
        lines += _request_lines(request)
    if not total:
        lines.append("None.")
    if strays:
        what = _short(f"{strays[-1].method} {strays[-1].path}")
        requests = "1 request" if len(strays) == 1 else f"{len(strays)} requests"
        lines.append(
            f"{requests} came to the server outside of any namespace, the last one {what}: "
            "does the client keep the path of its base URL?"
        )
    return "\n".join(lines)


def _request_lines(request: Request) -> list[str]:
    query = "?" + "&".join(f"{name}={value}" for name, value in request.query.items()) if request.query else ""
    took = "" if request.duration_ms is None else f"  {request.duration_ms:.1f} ms"
    met = f"  fault {request.fault}" if request.fault else ""
    first = f"{request.method} {request.path}{query}  {request.status or 'no answer'}{took}{met}"
    lines = [first, *(f"    ! {warning}" for warning in _reasons(request))]
    if request.body is not None:
        lines.append(f"    > {_short(request.body)}")
    if request.answer.body is not None:
        lines.append(f"    < {_short(request.answer.body)}")
    return lines


def _reasons(request: Request) -> list[str]:
    reasons = [] if request.reason is None else [request.reason]
    return [*reasons, *(each for each in request.warnings if each != request.reason)]


def _short(body: Any) -> str:
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    # On one line, and without control characters that a terminal would interpret.
    text = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text[: _MAX_BODY_LENGTH + 1])
    return text if len(text) <= _MAX_BODY_LENGTH else f"{text[:_MAX_BODY_LENGTH]}…"
