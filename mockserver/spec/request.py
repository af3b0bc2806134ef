"""A request before it is read by its operation, and the refusal of one."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from mockserver.spec.violations import Violation


class RawRequest(NamedTuple):
    """A request as it came, but for its path: `path` holds the percent-decoded path parameters."""

    path: Mapping[str, str]
    query: str | bytes
    header: Callable[[str], str | None]  # by lower-case name
    content_type: str | None
    body: bytes


class Invalid(Exception):
    """A request that the document refuses, as FastAPI would say it.

    422 with `violations` (type, loc, msg, input, ctx where there is one; secrets masked), or 400 or 413 with `detail`.
    """

    def __init__(
        self, status: int, *, detail: str = "", violations: list[Violation] | None = None, sent: Any = None
    ) -> None:
        """`sent` is the JSON of the body, where it could be read."""
        super().__init__(detail or f"{len(violations or ())} violations")
        self.status = status
        self.detail = detail
        self.violations = violations or []
        self.sent = sent

    @property
    def reason(self) -> str:
        """In one line: where and what, of the first few violations."""
        told = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}"[:300] for each in self.violations[:_MOST_TOLD]]
        more = len(self.violations) - len(told)
        return self.detail or "; ".join(told) + (f"; and {more} more" if more else "")


_MOST_TOLD = 5
