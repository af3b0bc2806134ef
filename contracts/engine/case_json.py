"""Writes a case as JSON text, and reads it back as an equal case with the same types.

Dataclasses, tuples and values that JSON does not have become objects with a member that begins with `$`.
"""

import contextlib
import dataclasses
import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from contracts.core.findings import Reproduction
from contracts.engine.case import changed_fields
from contracts.openapi.schemas import UNREAD

_TYPE: Final = "$type"
_TUPLE: Final = "$tuple"
_OBJECT: Final = "$object"
_FLOAT: Final = "$float"
_INTEGER: Final = "$integer"
_LONG: Final = 10**4000
"""Python refuses to convert longer integers from and to decimal digits."""
_ENCODED_UNREAD: Final = {"$unread": True}


def reproduction_of(scenario: str, case: Any, beside: Iterable[tuple[str, Any]]) -> Iterator[Reproduction]:
    """Yield the reproduction by a case; nothing if the case is nested too deeply to be written as JSON."""
    with contextlib.suppress(RecursionError):
        others = tuple(Reproduction(name, case_to_json(other)) for name, other in beside)
        yield Reproduction(scenario, case_to_json(case), others)


class UnreadableCase(ValueError):
    """The text is not a case of this version. The message is one line."""


def case_to_json(case: Any) -> str:
    return json.dumps(_encoded(case), ensure_ascii=False)


def case_from_json(text: str) -> Any:
    """Raises UnreadableCase."""
    try:
        return _decoded(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UnreadableCase(f"the case is not one of this version ({error})") from error


def _encoded(value: Any) -> Any:
    if value is UNREAD:
        return _ENCODED_UNREAD
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        name = f"{type(value).__module__}.{type(value).__qualname__}"
        return {_TYPE: name, **{field: _encoded(inner) for field, inner in changed_fields(value).items()}}
    if isinstance(value, Mapping):
        if any(key.startswith("$") for key in value):
            return {_OBJECT: [[key, _encoded(inner)] for key, inner in value.items()]}
        return {key: _encoded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_encoded(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {_FLOAT: repr(value)}
    if isinstance(value, int) and abs(value) >= _LONG:
        return {_INTEGER: hex(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return {_TUPLE: [_encoded(inner) for inner in value]}
    raise TypeError(f"{type(value).__name__} is not part of a case")


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    if value == _ENCODED_UNREAD:
        return UNREAD
    if _TUPLE in value:
        return tuple(_decoded(inner) for inner in value[_TUPLE])
    if _OBJECT in value:
        return {key: _decoded(inner) for key, inner in value[_OBJECT]}
    if _FLOAT in value:
        return float(value[_FLOAT])
    if _INTEGER in value:
        return int(value[_INTEGER], 16)
    if _TYPE in value:
        fields = {name: _decoded(inner) for name, inner in value.items() if name != _TYPE}
        return _case_type(value[_TYPE])(**fields)
    return {key: _decoded(inner) for key, inner in value.items()}


def _case_type(name: str) -> Any:
    """Return the class with that name: only a frozen dataclass in a loaded module of this package, since the text may
    come from anyone.
    """
    module, _, qualname = name.rpartition(".")
    found = getattr(sys.modules.get(module), qualname, None) if module.startswith("contracts.") else None
    parameters = getattr(found, "__dataclass_params__", None)
    if not isinstance(found, type) or parameters is None or not parameters.frozen or found.__module__ != module:
        raise UnreadableCase(f"there is no case {name!r}")
    return found
