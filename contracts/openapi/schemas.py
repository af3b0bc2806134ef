"""Compiles the schemas of the OpenAPI document into functions that read and judge values.

A value in a request is valid, wrong or ambiguous. It is ambiguous if the contract does not determine whether a server
accepts it; the normal value then has the reading of a lenient server, if there is one. An answer has no lenient forms:
`strict` judges it.
"""

import base64
import functools
import importlib.resources
import math
import re
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Final

import yaml

from contracts.core.json_tree import Path


class _Unread(Enum):
    UNREAD = "unread"


UNREAD: Final = _Unread.UNREAD
"""Replaces, in a normal value, a part that is wrong, or that a lenient server may read in an unknown way. Its repr is
the same in every process, since the made-up values of a case depend on the repr of the case.
"""

MAX_DEPTH: Final = 64
MAX_TEXT: Final = 100_000
MAX_DIGITS: Final = 300
MAX_KEYS: Final = 9_999
MAX_BODY_BYTES: Final = 1024 * 1024

_MIN_YEAR: Final = 1
_MAX_YEAR: Final = 9999
"""First and last year of the calendar: in another time zone, their moments may exceed what most date types hold."""
UUID_PATTERN: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
MOMENT_PATTERN: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"
"""The forms in which servers usually write ids and moments, to find them in a text."""
SENSITIVE_FIELDS: Final = ("sensitive_input_values", "sensitive_inputs", "shared_sensitive_inputs")
_UUID: Final = re.compile(UUID_PATTERN)
_RFC3339: Final = re.compile(
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[Tt ]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?"
    r"([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)"
)
_FINER: Final = re.compile(r"\.\d{6}(\d+)")
_DIGITS: Final = re.compile(r"[0-9]{1,300}")
_NUMBERLIKE: Final = re.compile(r"\s*[+-]?[\d_]*\.?[\d_]+\.?([eE][+-]?\d+)?\s*")
_TRUE_TEXTS: Final = frozenset({"1", "true", "t", "yes", "y", "on"})
_FALSE_TEXTS: Final = frozenset({"0", "false", "f", "no", "n", "off"})


@dataclass(frozen=True, slots=True)
class InvalidPart:
    """`kind` is `missing`, `type`, `range`, `form` (text that is not a UUID, for example), `length` or `body`."""

    path: Path
    kind: str

    @property
    def where(self) -> str:
        """The path with `*` for each index, since indexes differ between requests."""
        return ".".join("*" if isinstance(part, int) else part for part in self.path) or "the body"


@dataclass(slots=True)
class Diagnostics:
    """The invalid parts and ambiguities that were found while a value was read."""

    invalid_parts: list[InvalidPart] = field(default_factory=list)
    ambiguities: list[str] = field(default_factory=list)
    places: dict[Path, None] = field(default_factory=dict)
    """The paths of all invalid parts and ambiguities."""
    unknown_properties: list[Path] = field(default_factory=list)
    """The paths of properties that the schema does not have. Servers may ignore or refuse them."""

    def invalid(self, path: Path, kind: str) -> Any:
        self.invalid_parts.append(InvalidPart(path, kind))
        self.places[path] = None
        return UNREAD

    def ambiguity(self, path: Path, what: str, value: Any = UNREAD) -> Any:
        self.ambiguities.append(what)
        self.places[path] = None
        return value


SchemaReader = Callable[[Any, Path, Diagnostics], Any]
"""Returns the normal form of a value and records its invalid parts and ambiguities."""


def is_uuid(value: Any) -> bool:
    """Whether it is a UUID in the form that answers must use: lower case, with dashes."""
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def moment_of(value: Any) -> datetime | None:
    """Parse an RFC 3339 date-time with a time zone; None for anything else, and for a leap second."""
    if not isinstance(value, str) or _RFC3339.fullmatch(value) is None:
        return None
    return _parsed_moment(value)


def exact_moment_of(value: Any) -> tuple[datetime, str] | None:
    """Like `moment_of`, with the digits of the fraction that are finer than microseconds, which datetime leaves out.
    These pairs are ordered as the moments are.
    """
    moment = moment_of(value)
    if moment is None:
        return None
    finer = _FINER.search(value)
    return moment, finer[1].rstrip("0") if finer else ""


@functools.lru_cache(maxsize=4_096)  # runs of one create have the same moments, and are read again and again
def _parsed_moment(value: str) -> datetime | None:
    try:
        return datetime.fromisoformat(value.upper())
    except ValueError:  # 30 February, or a leap second, which datetime cannot represent
        return None


def is_valid_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        return False
    return True


@functools.cache
def document() -> dict[str, Any]:
    """The OpenAPI document, which the mock server and the suite share."""
    text = (importlib.resources.files("openapi") / "cyberdesk.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return loaded


@functools.cache
def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = document()["components"]["schemas"][name]
    return found


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """Return what a part of the document refers to, or the part itself if it has no `$ref`."""
    while "$ref" in node:
        found: Any = document()
        for key in node["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        node = found
    return node


@functools.cache
def reader_of(name: str) -> SchemaReader:
    return _compile(schema(name))


@functools.cache
def operations() -> dict[str, tuple[str, str]]:
    """operationId → (method, path template), in the order of the document."""
    return {
        operation["operationId"]: (method.upper(), path)
        for path, item in document()["paths"].items()
        for method, operation in item.items()
        if method in {"get", "post", "put", "patch", "delete"}
    }


def description_of(operation: str) -> dict[str, Any]:
    method, path = operations()[operation]
    found: dict[str, Any] = document()["paths"][path][method.lower()]
    return found


@functools.cache
def responses(operation: str) -> dict[int, Any]:
    return {int(status): resolved(response) for status, response in description_of(operation)["responses"].items()}


def success_status(operation: str) -> int:
    return min(responses(operation))


def success_schema(operation: str) -> dict[str, Any] | None:
    """Return the schema of the JSON that a success has; None if it has no JSON."""
    content = responses(operation)[success_status(operation)].get("content", {})
    return content["application/json"]["schema"] if "application/json" in content else None


@functools.cache
def body_schema(operation: str) -> str | None:
    """Return the name of the component schema of an operation's JSON body; None if it has no body."""
    body = description_of(operation).get("requestBody")
    if body is None:
        return None
    reference: str = body["content"]["application/json"]["schema"]["$ref"]
    return reference.rsplit("/", 1)[-1]


def body_properties(operation: str) -> dict[str, Any]:
    """Return the schema of each member of an operation's JSON body; empty if it has no body."""
    name = body_schema(operation)
    return {} if name is None else schema(name)["properties"]


@functools.cache
def newer_properties() -> frozenset[str]:
    """Return the properties that only newer releases know: others may leave them out, and ignore them in requests."""
    return frozenset(document()["x-newer-properties"])


def every_field() -> list[str]:
    """Return the fields of a run that a list can be asked for on the newest release."""
    return list(schema("RunField")["enum"])


def selectable_fields() -> list[str]:
    """Return the fields of a run that a list can be asked for on every release."""
    return [name for name in every_field() if name not in newer_properties()]


# Compiling


def _compile(spec: dict[str, Any]) -> SchemaReader:
    if "$ref" in spec:
        return reader_of(spec["$ref"].rsplit("/", 1)[-1])
    if "anyOf" in spec:
        inner = [_compile(option) for option in spec["anyOf"] if option.get("type") != "null"]
        one = inner[0] if len(inner) == 1 else _one_of(inner)
        return one if len(inner) == len(spec["anyOf"]) else _nullable(one)
    if "enum" in spec:
        return _enumerated(frozenset(spec["enum"]))
    kind = spec.get("type")
    if kind == "object":
        if "properties" in spec:
            return _record({name: _compile(s) for name, s in spec["properties"].items()}, spec.get("required", []))
        return _of_type(dict)
    if kind == "array":
        return _list(_compile(spec["items"]), spec.get("minItems", 0))
    if kind == "string":
        readers = {"uuid": _read_uuid, "date-time": _read_moment, "byte": _read_base64}
        return readers.get(spec.get("format", ""), _of_type(str))
    if kind == "integer":
        minimum = spec.get("minimum", -math.inf)
        return _integer(spec.get("exclusiveMinimum", minimum - 1), spec.get("maximum", math.inf))
    if kind == "boolean":
        return _read_boolean
    if not spec.keys() - {"description"}:
        return lambda value, path, diagnostics: value
    raise ValueError(f"a schema that contracts.openapi.schemas does not understand: {spec}")


def _nullable(inner: SchemaReader) -> SchemaReader:
    return lambda value, path, diagnostics: None if value is None else inner(value, path, diagnostics)


def _one_of(readers: list[SchemaReader]) -> SchemaReader:
    def read(value: Any, path: Path, diagnostics: Diagnostics) -> Any:
        for reader in readers:
            own = Diagnostics()
            normal = reader(value, path, own)
            if not own.places:
                return normal
        return diagnostics.invalid(path, "type")

    return read


def _enumerated(names: frozenset[str]) -> SchemaReader:
    def read(value: Any, path: Path, diagnostics: Diagnostics) -> Any:
        if not isinstance(value, str):
            return diagnostics.invalid(path, "type")
        return value if value in names else diagnostics.invalid(path, "form")

    return read


def _record(fields: dict[str, SchemaReader], required: list[str]) -> SchemaReader:
    def read(value: Any, path: Path, diagnostics: Diagnostics) -> Any:
        if not isinstance(value, dict):
            return diagnostics.invalid(path, "type")
        for name in required:
            if name not in value:
                diagnostics.invalid((*path, name), "missing")
        diagnostics.unknown_properties += [(*path, name) for name in value if name not in fields]
        return {name: fields[name](v, (*path, name), diagnostics) for name, v in value.items() if name in fields}

    return read


def _list(item: SchemaReader, min_items: int) -> SchemaReader:
    def read(value: Any, path: Path, diagnostics: Diagnostics) -> Any:
        if not isinstance(value, list):
            return diagnostics.invalid(path, "type")
        if len(value) < min_items:
            return diagnostics.invalid(path, "length")
        return [item(v, (*path, index), diagnostics) for index, v in enumerate(value)]

    return read


def _of_type(kind: type) -> SchemaReader:
    return lambda value, path, diagnostics: value if isinstance(value, kind) else diagnostics.invalid(path, "type")


def _read_uuid(value: Any, path: Path, diagnostics: Diagnostics) -> Any:
    if not isinstance(value, str):
        return diagnostics.invalid(path, "type")
    if _UUID.fullmatch(value):
        return value
    try:
        read = uuid.UUID(value)
    except ValueError:
        has_blanks = value.strip(" \t") != value and not value.endswith("\n")
        return diagnostics.ambiguity(path, "a UUID with blanks") if has_blanks else diagnostics.invalid(path, "form")
    return diagnostics.ambiguity(path, "another form of a UUID", str(read))


def _read_moment(value: Any, path: Path, diagnostics: Diagnostics) -> Any:
    if isinstance(value, (bool, list, dict)) or value is None:
        return diagnostics.invalid(path, "type")
    if isinstance(value, (int, float)):
        return diagnostics.ambiguity(path, "a number for a moment")
    moment = moment_of(value)
    if moment is not None and _MIN_YEAR < moment.year < _MAX_YEAR:
        return value
    if moment is not None:
        return diagnostics.ambiguity(path, "a moment at the end of the calendar")
    has_digits = any(c.isdigit() for c in value)
    return diagnostics.ambiguity(path, "a moment in another form") if has_digits else diagnostics.invalid(path, "form")


def _read_base64(value: Any, path: Path, diagnostics: Diagnostics) -> Any:
    if not isinstance(value, str):
        return diagnostics.invalid(path, "type")
    return value if is_valid_base64(value) else diagnostics.ambiguity(path, "content that is not base64")


def _integer(exclusive_minimum: float, maximum: float) -> SchemaReader:
    def is_in_range(number: float) -> bool:
        return exclusive_minimum < number <= maximum

    def read(value: Any, path: Path, diagnostics: Diagnostics) -> Any:
        if isinstance(value, str) and not _DIGITS.fullmatch(value):
            if _NUMBERLIKE.fullmatch(value) and may_be_right(value):
                return diagnostics.ambiguity(path, "text that looks like a number")
            return diagnostics.invalid(path, "type")
        if not isinstance(value, int | str) and not (isinstance(value, float) and value.is_integer()):
            return diagnostics.invalid(path, "type")
        number = int(value)
        if not is_in_range(number):
            return diagnostics.invalid(path, "range")
        return number if type(value) is int else diagnostics.ambiguity(path, "another form of an integer", number)

    def may_be_right(text: str) -> bool:
        try:
            number = float(text)
        except ValueError:
            return True
        return number.is_integer() and is_in_range(number)

    return read


def _read_boolean(value: Any, path: Path, diagnostics: Diagnostics) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)) and value in (0, 1):
        return diagnostics.ambiguity(path, "a number for a boolean", bool(value))
    if isinstance(value, str) and value.strip().lower() in _TRUE_TEXTS | _FALSE_TEXTS:
        text = value.strip().lower()
        return diagnostics.ambiguity(path, "text for a boolean", text in _TRUE_TEXTS)
    return diagnostics.invalid(path, "type")


# Limits of every value


def beyond_limits(value: Any) -> str | None:
    """Describe what in a JSON value exceeds the limits that every server must support; None if nothing does."""
    todo: list[tuple[Iterable[Any], int]] = [((value,), 1)]
    while todo:
        nodes, depth = todo.pop()
        for node in nodes:
            if isinstance(node, str):
                if len(node) > MAX_TEXT:
                    return "a longer text than every server must accept"
                if not node.isascii() and _SURROGATE.search(node):
                    return "a lone surrogate"
            elif isinstance(node, (dict, list)):
                if depth > MAX_DEPTH:
                    return "deeper nesting than every server must accept"
                if len(node) > MAX_KEYS:
                    return "more members than every server must accept"
                todo.append((node, depth + 1))
                if isinstance(node, dict):
                    todo.append((node.values(), depth + 1))
            elif isinstance(node, float):
                if not math.isfinite(node):
                    return "a number that is not finite"
            elif isinstance(node, int) and not -_TOO_LARGE < node < _TOO_LARGE:
                return "an integer with more digits than every server must accept"
    return None


_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_TOO_LARGE: Final = 10**MAX_DIGITS
