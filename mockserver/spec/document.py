"""Loads an OpenAPI 3.1 document, resolves its references and refuses what this package does not support.

This module owns locations in the document (JSON pointers) and the supported subset of OpenAPI and JSON Schema.
`validation` owns the meaning of schemas.
"""

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mockserver.errors import StartError
from mockserver.spec.aliases import expanded_size

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable  # 10 ms to import, and only its name is needed

_MAX_CHARACTERS = 33_554_432
_MAX_EXPANDED = 2 * _MAX_CHARACTERS

# Keywords whose value is a schema, a list of schemas, or a mapping of names to schemas.
_HOLD_ONE = ("items", "additionalProperties")
_HOLD_LIST = ("anyOf", "oneOf", "allOf")
_HOLD_MAP = ("properties",)

_CONSTRAINTS: Mapping[str, frozenset[str]] = {
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "format"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "format"}),
    "boolean": frozenset(),
    "null": frozenset(),
    "array": frozenset({"items", "minItems", "maxItems"}),
    "object": frozenset({"properties", "required", "additionalProperties", "minProperties", "maxProperties"}),
}
_ANY_CONSTRAINT = frozenset().union(*_CONSTRAINTS.values())
_COMPOSITION = frozenset({"anyOf", "oneOf", "allOf", "$ref"})
_VALUES = frozenset({"enum", "const"})
_ANNOTATIONS = frozenset(
    {
        "title",
        "description",
        "default",
        "example",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
        "externalDocs",
        "discriminator",
        "xml",
        "$comment",
        "contentEncoding",
        "contentMediaType",
    }
)
_COUNTS = frozenset({"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"})
_NUMBERS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
_KEYWORDS = _ANY_CONSTRAINT | _COMPOSITION | _VALUES | _ANNOTATIONS | {"type"}


class SpecError(StartError):
    """A document that cannot be served. The message is one line: file, JSON pointer (if any), what is wrong."""

    def __init__(self, source: str, pointer: str, problem: str) -> None:
        where = f"{source}: #{pointer}" if pointer else source
        super().__init__(f"{where}: {problem}")
        self.source = source
        self.pointer = pointer
        self.problem = problem


def value_at(root: Any, pointer: str) -> Any:
    """Return the value at a JSON pointer (RFC 6901). Raises KeyError if there is none."""
    value = root
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value[name]
        elif isinstance(value, list) and len(name) < 10 and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            raise KeyError(pointer)
    return value


@dataclass(frozen=True, slots=True)
class Document:
    """A loaded document. Methods take and return a location as a pair of a value and its JSON pointer."""

    source: str
    root: dict[str, Any]
    sensitive: frozenset[str] = field(default_factory=frozenset)  # names of properties with `x-sensitive: true`
    enumerations: frozenset[tuple[str, ...]] = field(default_factory=frozenset)  # those of text
    text: str = ""  # the text of the file

    def error(self, pointer: str, problem: str) -> SpecError:
        return SpecError(self.source, pointer, problem)

    def follow(self, value: Any, pointer: str) -> tuple[Any, str]:
        """Follow `$ref`s to their final target. Raises SpecError for a `$ref` that cannot be followed."""
        seen = {pointer}
        while isinstance(value, dict) and "$ref" in value:
            ref, at = value["$ref"], pointer + "/$ref"
            if not isinstance(ref, str) or not ref.startswith("#/"):
                raise self.error(at, f"only references into this document are followed (#/…), not {ref!r}")
            pointer = ref[1:]
            if pointer in seen:
                raise self.error(at, "the reference leads back to itself")
            seen.add(pointer)
            try:
                value = value_at(self.root, pointer)
            except KeyError:
                raise self.error(at, f"#{pointer} does not exist") from None
        return value, pointer


def step(pointer: str, name: str | int) -> str:
    """Return the JSON pointer of a member."""
    return f"{pointer}/{str(name).replace('~', '~0').replace('/', '~1')}"


def load(path: "str | os.PathLike[str] | Traversable") -> Document:
    """Read a YAML or JSON document.

    Checks references and the keywords of schemas; `compile_operations` checks the rest.

    Raises SpecError if the file is missing, is not YAML or JSON, or is not OpenAPI 3.1 that this package supports.
    """
    source = os.fspath(path) if isinstance(path, (str, os.PathLike)) else str(path)
    place = Path(path) if isinstance(path, (str, os.PathLike)) else path
    name = place.name or source
    try:
        with place.open(encoding="utf-8") as file:
            # Not all of it: a device such as /dev/zero has no end.
            text = file.read(_MAX_CHARACTERS + 1)
    except OSError as error:
        raise SpecError(source, "", f"cannot read the OpenAPI document: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SpecError(name, "", f"is not UTF-8 text: {error.reason} at byte {error.start}") from error
    if len(text) > _MAX_CHARACTERS:
        raise SpecError(source, "", f"an OpenAPI document has {_MAX_CHARACTERS} characters at most")
    try:
        root = _from_json(text, name) if text.lstrip().startswith("{") else _from_yaml(text, name)
        if expanded_size(root) > _MAX_EXPANDED:
            what = f"with its aliases written out it has more than {_MAX_EXPANDED} characters; use fewer, or $ref"
            raise SpecError(name, "", what)
    except RecursionError as error:
        raise SpecError(name, "", "is nested too deeply") from error
    except ValueError as error:
        # Python reads no integer of more than 4300 digits.
        raise SpecError(name, "", f"cannot read a number: {error}") from error
    return from_value(root, name, text)


def from_value(root: Any, source: str, text: str = "") -> Document:
    """Make a document from a parsed value. Errors name it by `source`. Raises SpecError."""
    if not isinstance(root, dict):
        raise SpecError(source, "", "an OpenAPI document is a mapping")
    if "openapi" not in root:
        raise SpecError(
            source, "", "the key `openapi` is missing; an OpenAPI 3.1 document begins with `openapi: 3.1.0`"
        )
    version = root["openapi"]
    if not isinstance(version, str) or re.fullmatch(r"3\.1\.\d+", version) is None:
        raise SpecError(source, "/openapi", f"OpenAPI 3.1 is supported, this is {version!r}")
    if not isinstance(root.get("paths"), dict):
        raise SpecError(source, "/paths", "missing: a mapping of paths to their operations")
    document = Document(source, root)
    enumerations: set[tuple[str, ...]] = set()
    sensitive = frozenset(_check_schemas(document, enumerations))
    return Document(source, root, sensitive, frozenset(enumerations), text)


# --- Supported schemas ------------------------------------------------------------------------------------------------


def _check_schemas(document: Document, enumerations: set[tuple[str, ...]]) -> Iterator[str]:
    """Refuse unsupported keywords in every schema of the document; yield the names of sensitive properties.

    Adds the enumerations of text to `enumerations`.
    """
    pending: list[tuple[Any, str, bool]] = [(document.root, "", False)]
    while pending:
        value, pointer, is_schema = pending.pop()
        if is_schema:
            yield from _check_schema(document, value, pointer, pending)
            values = value.get("enum", ()) if isinstance(value, dict) else ()
            if values and all(isinstance(each, str) for each in values):
                enumerations.add(tuple(values))
        elif isinstance(value, dict):
            if "$ref" in value:
                document.follow(value, pointer)
            schemas_by_name = pointer == "/components/schemas"
            for name, member in value.items():
                if name not in ("example", "examples") and not name.startswith("x-"):
                    pending.append((member, step(pointer, name), name == "schema" or schemas_by_name))
        elif isinstance(value, list):
            pending.extend((member, step(pointer, index), False) for index, member in enumerate(value))


def _check_schema(document: Document, schema: Any, pointer: str, pending: list[tuple[Any, str, bool]]) -> Iterator[str]:
    if isinstance(schema, bool):
        if not schema:
            raise document.error(pointer, "the schema false is not supported")
        return
    if not isinstance(schema, dict):
        raise document.error(pointer, f"a schema is a mapping, not {schema!r}")
    for keyword in schema:
        if keyword == "nullable":
            what = "exists only in OpenAPI 3.0; in 3.1 write anyOf with {type: 'null'}"
            raise document.error(step(pointer, keyword), what)
        if keyword not in _KEYWORDS and not keyword.startswith("x-"):
            raise document.error(step(pointer, keyword), "this keyword is not supported")
    _check_combination(document, schema, pointer)
    _, target = document.follow(schema, pointer)
    if target != pointer and not target.startswith("/components/schemas/"):
        raise document.error(step(pointer, "$ref"), "a schema is referred to under #/components/schemas/ only")
    for keyword in _HOLD_ONE:
        member = schema.get(keyword, True)
        if not isinstance(member, bool):
            pending.append((member, step(pointer, keyword), True))
    for keyword in _HOLD_LIST:
        members = schema.get(keyword, [])
        if not isinstance(members, list) or (keyword in schema and not members):
            raise document.error(step(pointer, keyword), "a list of schemas")
        if keyword == "allOf" and len(members) > 1:
            raise document.error(step(pointer, keyword), "more than one schema to merge is not supported")
        pending.extend((member, step(step(pointer, keyword), index), True) for index, member in enumerate(members))
    for keyword in _HOLD_MAP:
        members = schema.get(keyword, {})
        if not isinstance(members, dict):
            raise document.error(step(pointer, keyword), "a mapping of names to schemas")
        for name, member in members.items():
            if isinstance(member, dict) and member.get("x-sensitive") is True:
                yield name
            pending.append((member, step(step(pointer, keyword), name), True))


def _check_combination(document: Document, schema: dict[str, Any], pointer: str) -> None:
    """Refuse a constraint that does not apply to the type of the schema, so that none is silently ignored."""
    compositions = sorted(_COMPOSITION & schema.keys())
    constraining = sorted((_ANY_CONSTRAINT | _VALUES | {"type"}) & schema.keys())
    if len(compositions) > 1 or (compositions and constraining):
        kept, other = compositions[0], (compositions[1:] + constraining)[0]
        raise document.error(step(pointer, other), f"is not supported beside {kept}")
    for keyword in constraining:
        expected = _wrong_value(keyword, schema[keyword])
        if expected:
            raise document.error(step(pointer, keyword), f"{expected}, not {schema[keyword]!r}")
    kinds = types_of(schema)
    allowed = frozenset().union(*(_CONSTRAINTS[kind] for kind in kinds))
    for keyword in constraining:
        if keyword in _ANY_CONSTRAINT and keyword not in allowed:
            what = f"type {' or '.join(kinds)}" if kinds else "a schema without a type"
            raise document.error(step(pointer, keyword), f"does not apply to {what}")
        if keyword in ("minProperties", "maxProperties") and schema.get("properties"):
            raise document.error(step(pointer, keyword), "is not supported beside properties")
        if "integer" in kinds and keyword in _NUMBERS and not isinstance(schema[keyword], int):
            raise document.error(step(pointer, keyword), "bounds of an integer are integers")
    properties = schema.get("properties", {})
    for name in schema.get("required", ()) if isinstance(properties, dict) else ():
        if name not in properties:
            raise document.error(step(pointer, "required"), f"{name!r} is not one of the properties")


def _wrong_value(keyword: str, value: Any) -> str | None:
    """Return what the keyword expects if the value is not valid for it, else None."""
    if keyword in _COUNTS:
        return None if _is_number(value, int) and value >= 0 else "a count"
    if keyword in _NUMBERS:
        fits = _is_number(value, int, float) and (keyword != "multipleOf" or value > 0)
        return None if fits else "a number above 0" if keyword == "multipleOf" else "a number"
    if keyword in ("pattern", "format"):
        return None if isinstance(value, str) else "text"
    if keyword == "required":
        return None if isinstance(value, list) and all(isinstance(name, str) for name in value) else "property names"
    if keyword == "type":
        kinds = value if isinstance(value, list) else [value]
        known = kinds and all(isinstance(kind, str) and kind in _CONSTRAINTS for kind in kinds)
        return None if known else f"one or more of {', '.join(_CONSTRAINTS)}"
    if keyword in _VALUES:
        values = value if keyword == "enum" else [value]
        plain = isinstance(values, list) and values and all(isinstance(one, (str, int, type(None))) for one in values)
        return None if plain else "text, integers, booleans or null" + (" in a list" if keyword == "enum" else "")
    return None


def _is_number(value: Any, *kinds: type) -> bool:
    return type(value) in kinds and (type(value) is int or math.isfinite(value))


def types_of(schema: dict[str, Any]) -> tuple[str, ...]:
    """Return the types that a schema names, or an empty tuple if it names none."""
    named = schema.get("type", [])
    return tuple(named) if isinstance(named, list) else (named,)


# --- Parsing ----------------------------------------------------------------------------------------------------------


def _from_json(text: str, source: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise SpecError(source, "", f"line {error.lineno}, column {error.colno}: {error.msg}") from error


# Plain scalars follow YAML 1.2's core schema. PyYAML's own constructors follow YAML 1.1: `on` would become a boolean,
# and a date-time would not stay text. Building values from the parser's events is also more than twice as fast as its
# constructors (2025-11: 7 ms against 19 ms for 2600 lines).
_WORDS: dict[str, bool | None] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_MAYBE_NUMBER = frozenset("+-.0123456789")


def _from_yaml(text: str, source: str) -> Any:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    events: Iterator[Any] = iter(yaml.parse(text, Loader=loader))
    anchors: dict[str, Any] = {}

    def problem(event: Any, what: str) -> SpecError:
        return SpecError(source, "", f"line {event.start_mark.line + 1}, column {event.start_mark.column + 1}: {what}")

    def build(event: Any) -> Any:
        kind = type(event)
        if kind is not yaml.AliasEvent and event.tag is not None and event.tag != "!":
            raise problem(event, f"the tag {event.tag} is not supported")
        value: Any
        if kind is yaml.ScalarEvent:
            value = _scalar(event.value) if event.implicit[0] else event.value
        elif kind is yaml.MappingStartEvent:
            value = {}
            while type(key_event := next(events)) is not yaml.MappingEndEvent:
                if type(key_event) is not yaml.ScalarEvent:
                    raise problem(key_event, "a name must be text")
                key = key_event.value
                if key in value:
                    raise problem(key_event, f"duplicate key {key!r}")
                if key == "<<":
                    raise problem(key_event, "merge keys are not supported")
                value[key] = build(next(events))
        elif kind is yaml.SequenceStartEvent:
            value = []
            while type(item_event := next(events)) is not yaml.SequenceEndEvent:
                value.append(build(item_event))
        else:  # an alias
            if event.anchor not in anchors:
                raise problem(event, f"there is no anchor {event.anchor!r} before this")
            return anchors[event.anchor]
        if event.anchor is not None:
            anchors[event.anchor] = value
        return value

    try:
        first = next(
            event for event in events if not isinstance(event, (yaml.StreamStartEvent, yaml.DocumentStartEvent))
        )
        if isinstance(first, yaml.StreamEndEvent):
            return None
        return build(first)
    except yaml.MarkedYAMLError as error:
        where = (
            ""
            if error.problem_mark is None
            else f"line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}: "
        )
        raise SpecError(source, "", f"{where}{error.problem}") from error
    except yaml.YAMLError as error:
        raise SpecError(source, "", " ".join(str(error).split())) from error


def _scalar(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in _MAYBE_NUMBER:
        if _INT.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
    return text
