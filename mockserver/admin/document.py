"""The OpenAPI document of the control API, compiled once for all mocks of the process."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from mockserver.spec import Bounds, Document, Operation, compile_operations, load

_MAX_VALUES = 20_000_000
"""High, because a state may be large. Its sender is trusted: they could do worse than block the mock."""


@cache
def document() -> Document:
    return load(files("mockserver.admin") / "openapi.yaml")


@cache
def operations() -> Mapping[str, Operation]:
    return compile_operations(document(), coercion="strict", bounds=Bounds(values=_MAX_VALUES))
