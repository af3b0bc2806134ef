"""The OpenAPI document of the control API, compiled once for all mocks of the process."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from mockserver.spec import Bounds, Call, Document, Invalid, Operation, RawRequest, compile_operations, load
from mockserver.suggestions import suggestion

_MAX_VALUES = 20_000_000
"""High, because a state may be large. Its sender is trusted: they could do worse than block the mock."""


@cache
def document() -> Document:
    return load(files("mockserver.admin") / "openapi.yaml")


@cache
def operations() -> Mapping[str, Operation]:
    return compile_operations(document(), coercion="strict", bounds=Bounds(values=_MAX_VALUES))


def decode(operation: Operation, raw: RawRequest) -> Call:
    """Validate and decode a request. Raises Invalid, which suggests what to write in place of an unknown key."""
    try:
        return operation.decode(raw)
    except Invalid as invalid:
        for each in invalid.violations:
            if each["type"] == "extra_forbidden":
                each["msg"] += f"; {suggestion(str(each['loc'][-1]), _keys(operation, len(each['loc'])))}"
        raise


def _keys(operation: Operation, depth: int) -> list[str]:
    """The keys of an object in a body. Only the seeds of runs have objects that are not the body itself."""
    if operation.known_fields:
        return sorted(operation.known_fields)
    return list(document().root["components"]["schemas"]["Seed" if depth == 3 else "SeedOutput"]["properties"])
