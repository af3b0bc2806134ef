"""The operations of a document, compiled once: what they take, what they answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from mockserver.spec.document import Document

Coercion = Literal["strict", "lax"]


class HeaderLookup(Protocol):
    """By lower-case header name. A dict will do."""

    def get(self, name: str, /) -> str | None: ...


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request as it came, but for its path: `path` holds the percent-decoded path parameters."""

    path: Mapping[str, str]
    query: str | bytes
    headers: HeaderLookup
    content_type: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Call:
    """A request that is valid, in Python values.

    `query`, `headers` (lower-case names) and an object as `body` hold what was sent and the defaults of what was not;
    what has no default and was not sent is absent. UUIDs are lower-case text with dashes, enums plain text,
    date-times aware datetimes. `given` names the top-level body fields that were sent.
    An optional body that was left out reads as an empty object where the schema takes one.
    """

    operation: "Operation"
    path: dict[str, Any]
    query: dict[str, Any]
    headers: dict[str, Any]
    body: Any
    given: frozenset[str]


class Invalid(Exception):
    """A request that the document refuses, as FastAPI would say it.

    422 with `violations` (type, loc, msg, input, ctx where there is one; secrets masked), or 400 with `detail` alone.
    """

    def __init__(self, status: int, *, detail: str = "", violations: list[dict[str, Any]] | None = None) -> None:
        super().__init__(detail or f"{len(violations or ())} violations")
        self.status = status
        self.detail = detail
        self.violations = violations or []


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    place: Literal["path", "query", "header"]
    required: bool
    schema: Any


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    description: str
    content_type: str | None  # None: no body
    schema: Any
    examples: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Operation:
    operation_id: str
    method: str  # upper case
    path: str  # the template: /v1/runs/{run_id}
    path_segments: tuple[str, ...]  # ("v1", "runs", "{run_id}")
    tag: str
    secured: bool
    parameters: tuple[Parameter, ...]
    has_body: bool
    body_required: bool
    success_status: int
    responses: dict[int, Response]
    extensions: dict[str, Any]  # what begins with x-

    def decode(self, raw: RawRequest) -> Call:
        """Raises: Invalid with all violations at once, in the order path, query, header, body."""
        raise NotImplementedError

    def check_reply(self, status: int, content_type: str | None, body: bytes) -> str | None:
        """What the document does not allow in this reply, or None. Extra properties are allowed."""
        raise NotImplementedError

    def example_names(self, status: int) -> tuple[str, ...]:
        """Names of the examples of a status; `default` stands for a single unnamed one."""
        raise NotImplementedError

    def example(self, status: int, name: str | None = None) -> Any:
        """The named example, or the first. Raises: KeyError when there is no such status or example."""
        raise NotImplementedError


def compile_operations(document: Document, *, coercion: Coercion) -> dict[str, Operation]:
    """By operationId, in the order of the document. Raises: SpecError."""
    raise NotImplementedError
