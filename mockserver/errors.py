"""The exceptions that several modules raise or handle, as one tree. Others are in the module that raises them.

    MockServerError
    ├── StartError          the server cannot start: a line for each problem, exit code 2
    │   ├── SpecError       the OpenAPI document (file and JSON pointer; raised by mockserver.spec)
    │   └── WorldError      the world file (file and JSON pointer)
    ├── ControlError        MockServer or its fixture cannot do what a test asks for
    ├── VersionConflict     a unit of the store has changed since it was loaded; the request is retried
    └── HTTPError           an answer with {"detail": "..."}
        ├── Redirect 307, BadRequest 400, Unauthorized 401, Forbidden 403, NotFound 404 (NoRoute),
        ├── MethodNotAllowed 405, Conflict 409 (TooManyConflicts), TooLarge 413, Unprocessable 422, TooManyRequests 429,
        └── NotSupported 501, Unavailable 503

Violations of the spec are `mockserver.spec.Invalid`, which has a list and not a single message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

_MAX_PROBLEMS = 50


class MockServerError(Exception):
    pass


class StartError(MockServerError):
    """The server cannot start. The message says where and why, in one line for each problem."""

    @classmethod
    def of_all(cls, problems: list[str]) -> Self:
        """Name the first problems of a file, and how many others there are."""
        others = len(problems) - _MAX_PROBLEMS
        return cls("\n".join(problems[:_MAX_PROBLEMS] + ([f"and {others} more problems"] if others > 0 else [])))


class WorldError(StartError):
    pass


class ControlError(MockServerError):
    """The mock cannot do what a test asks for. `status` is that of the control API's answer, if there was one."""

    def __init__(self, status: int | None, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class VersionConflict(MockServerError):
    pass


class HTTPError(MockServerError):
    status = 500

    def __init__(self, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers: dict[str, str] = dict(headers or {})


class Redirect(HTTPError):
    status = 307


class BadRequest(HTTPError):
    status = 400


class Unauthorized(HTTPError):
    status = 401

    def __init__(self, detail: str) -> None:
        super().__init__(detail, {"WWW-Authenticate": "Bearer"})


class Forbidden(HTTPError):
    status = 403


class NotFound(HTTPError):
    status = 404


class NoRoute(NotFound):
    """No operation has this path."""


class MethodNotAllowed(HTTPError):
    status = 405


class Conflict(HTTPError):
    """The request conflicts with the current state."""

    status = 409


class TooManyConflicts(Conflict):
    """Every attempt to handle a request has ended in a VersionConflict."""

    def __init__(self) -> None:
        super().__init__("Too many concurrent changes; try again")


class TooLarge(HTTPError):
    status = 413


class Unprocessable(HTTPError):
    """A request to the control API is well-formed, but its content makes no sense."""

    status = 422


class TooManyRequests(HTTPError):
    status = 429


class NotSupported(HTTPError):
    """The mock cannot do this in the environment in which it runs."""

    status = 501


class Unavailable(HTTPError):
    """A limit of the server has been reached."""

    status = 503
