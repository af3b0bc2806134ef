"""A request before its operation decodes it, and the exception for an invalid request."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from mockserver.spec.violations import Violation


class RawRequest(NamedTuple):
    """A request as it was received, except that `path` holds the percent-decoded path parameters."""

    path: Mapping[str, str]
    query: str | bytes
    header: Callable[[str], str | None]  # by lower-case name
    content_type: str | None
    body: bytes


class Invalid(Exception):
    """A request that is not valid, described as FastAPI would.

    422 with `violations` (type, loc, msg, input, and ctx if there is one; secrets masked), or 400 or 413 with `detail`.
    """

    def __init__(
        self, status: int, *, detail: str = "", violations: list[Violation] | None = None, sent: Any = None
    ) -> None:
        """`sent` is the parsed body, if it could be parsed."""
        super().__init__(detail or f"violations: {len(violations or ())}")
        self.status = status
        self.detail = detail
        self.violations = violations or []
        self.sent = sent

    @property
    def reason(self) -> str:
        """One line: location and message of the first few violations."""
        listed = [_shortened(_line(each)) for each in self.violations[:_MAX_LISTED]]
        more = len(self.violations) - len(listed)
        return self.detail or "; ".join(listed) + (f"; and {more} more" if more else "")


def _line(violation: Violation) -> str:
    line = f"{'.'.join(map(str, violation['loc']))}: {violation['msg']}"
    # The message of a body that is not JSON does not say what the decoder has found; its context does.
    return f"{line}: {violation['ctx']['error']}" if violation["type"] == "json_invalid" else line


def _shortened(line: str) -> str:
    return line if len(line) <= _MAX_LINE else f"{line[: _MAX_LINE - 3]}..."


_MAX_LINE = 300
_MAX_LISTED = 5
