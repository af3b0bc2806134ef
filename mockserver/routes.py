"""Finds the operation that a request is for."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mockserver.errors import MethodNotAllowed, NoRoute
from mockserver.spec import Operation


class Routes:
    """Maps paths to operations. Concrete paths come before templates: /runs/bulk before /runs/{run_id}."""

    def __init__(self, operations: Mapping[str, Operation], *, first_path_only: bool) -> None:
        """With `first_path_only`, only the first path that matches counts, whatever its methods; else all of them."""
        self._first_path_only = first_path_only
        self._concrete: dict[str, dict[str, Operation]] = {}
        templates: dict[str, dict[str, Operation]] = {}
        for operation in operations.values():
            paths = templates if "{" in operation.path else self._concrete
            paths.setdefault(operation.path, {})[operation.method] = operation
        self._templates = [
            (_pattern(path), by_method)
            for path, by_method in sorted(templates.items(), key=lambda item: _order(item[0]))
        ]

    def find(self, method: str, path: str) -> tuple[Operation, Mapping[str, str]]:
        """`path` is percent-decoded. Raises NotFound, or MethodNotAllowed with a correct `Allow`."""
        by_method = self._concrete.get(path)
        if by_method is not None:
            operation = by_method.get(method)
            if operation is not None:
                return operation, {}
            if self._first_path_only:
                raise _not_allowed(by_method)
        allowed = dict(by_method or {})
        for pattern, methods in self._templates:
            match = pattern.fullmatch(path)
            if match is None:
                continue
            operation = methods.get(method)
            if operation is not None:
                return operation, match.groupdict()
            if self._first_path_only:
                raise _not_allowed(methods)
            allowed.update(methods)
        if allowed:
            raise _not_allowed(allowed)
        raise NoRoute("Not Found")

    def operation_id(self, method: str, path: str) -> str | None:
        """Return None if no operation has this method and path."""
        try:
            return self.find("GET" if method == "HEAD" else method, path)[0].operation_id
        except (NoRoute, MethodNotAllowed):
            return None

    def has_path(self, path: str) -> bool:
        try:
            self.allowed(path)
        except NoRoute:
            return False
        return True

    def allowed(self, path: str) -> list[str]:
        """Return the methods of a path, including OPTIONS, and HEAD if there is GET. Raises NotFound."""
        try:
            self.find("", path)
        except MethodNotAllowed as error:
            return error.headers["Allow"].split(", ")
        raise AssertionError("no operation has the method ''")


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", path)
    return re.compile(
        "".join(f"(?P<{part}>[^/]+)" if place % 2 else re.escape(part) for place, part in enumerate(parts))
    )


def _order(path: str) -> list[str]:
    # "~" sorts after every letter, so that a template comes after the concrete segments.
    return ["~" if segment.startswith("{") else segment for segment in path.split("/")]


def _not_allowed(methods: Mapping[str, Operation]) -> MethodNotAllowed:
    allow = sorted({*methods, "OPTIONS", *(("HEAD",) if "GET" in methods else ())})
    return MethodNotAllowed("Method Not Allowed", {"Allow": ", ".join(allow)})
