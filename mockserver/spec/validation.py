"""Compiles JSON Schema to pydantic-core validators, for their error messages, lenient conversions and speed.

A schema is compiled in up to three modes. `quick` accepts the usual form of each value, almost entirely in compiled
code, and its errors are never shown. `lax` converts like FastAPI with pydantic 2 and has its error messages. `strict`
is `lax`, but also refuses what the schema does not literally allow. A value that `quick` accepts, the others accept
too, with the same result. So they run only when `quick` refuses, and most requests never call into Python.

Values: UUIDs become lower-case text with dashes, enums stay text, date-times become aware datetimes, free-form objects
stay as sent. Objects with properties keep the fields that were sent and gain defaults for the others; unknown fields
are dropped unless `additionalProperties` allows them.
"""

import math
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from enum import Enum
from itertools import islice
from operator import attrgetter
from typing import Any, Literal, cast

from pydantic_core import (
    CoreSchema,
    ErrorDetails,
    InitErrorDetails,
    PydanticKnownError,
    SchemaError,
    SchemaValidator,
    ValidationError,
    core_schema,
)

from mockserver.spec.document import Document, step, types_of
from mockserver.spec.violations import Violations

Mode = Literal["quick", "quick-text", "lax", "strict", "strict-text"]

# The modes that check the format of text strictly. In "strict-text" (query, path, header) numbers are text anyway.
_STRICT_FORMATS: tuple[Mode, ...] = ("strict", "strict-text")

_CANONICAL_UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_DASHED_UUID = re.compile("[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_RFC_3339_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ABSENT: Any = object()

_ENUM_KINDS: dict[type, Literal["str", "int"]] = {str: "str", int: "int"}
_NUMBER_BOUNDS = {
    "minimum": "ge",
    "maximum": "le",
    "exclusiveMinimum": "gt",
    "exclusiveMaximum": "lt",
    "multipleOf": "multiple_of",
}


class Reader:
    """The validators of one schema. The quick one is compiled at start-up, the exact one on first use."""

    __slots__ = ("_build_exact", "_exact", "_quick")

    def __init__(self, quick: SchemaValidator, build_exact: Callable[[], SchemaValidator]) -> None:
        self._quick = quick.validate_python
        self._build_exact = build_exact
        self._exact: Callable[..., Any] | None = None

    def read(self, value: Any, violations: Violations) -> Any:
        """Validate and convert a value. Violations that the error leaves out are counted in `violations`.

        Raises pydantic_core.ValidationError, always from the exact validator.
        """
        try:
            return self._quick(value)
        except ValidationError:
            return self.read_exactly(value, violations)

    def read_exactly(self, value: Any, violations: Violations) -> Any:
        """Like `read`, without the quick validator: it does not refuse non-finite numbers in free-form values."""
        if self._exact is None:
            self._exact = self._build_exact().validate_python
        return self._exact(value, from_attributes=True, context=violations)


def compile_reader(
    document: Document, schema: Any, pointer: str, *, mode: Literal["lax", "strict"], text: bool
) -> Reader:
    """`text`: the values are query, path or header text, not JSON. Raises SpecError."""
    exact: Mode = "strict-text" if text and mode == "strict" else mode
    return Reader(
        validator(document, schema, pointer, "quick-text" if text else "quick"),
        lambda: validator(document, schema, pointer, exact),
    )


def validator(document: Document, schema: Any, pointer: str, mode: Mode) -> SchemaValidator:
    """Raises SpecError."""
    compiler = _Compiler(document, mode)
    try:
        compiled = compiler.compile(schema, pointer)
        if compiler.definitions:
            compiled = core_schema.definitions_schema(compiled, list(compiler.definitions.values()))
        return SchemaValidator(compiled)
    except RecursionError as error:
        raise document.error(pointer, "is nested too deeply") from error
    except SchemaError as error:
        raise document.error(pointer, " ".join(str(error).split())) from error


class _Compiler:
    def __init__(self, document: Document, mode: Mode) -> None:
        self._document = document
        self._mode = mode
        self._quick = mode in ("quick", "quick-text")
        self._open: set[str] = set()
        self._recursive: set[str] = set()
        self.definitions: dict[str, CoreSchema] = {}

    def compile(self, schema: Any, pointer: str) -> CoreSchema:
        if schema is True or schema == {}:
            return self._anything()
        if "$ref" in schema:
            return self._reference(schema, pointer)
        if "allOf" in schema:
            return self.compile(schema["allOf"][0], f"{pointer}/allOf/0")
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                return self._choice(
                    [(choice, f"{pointer}/{keyword}/{index}") for index, choice in enumerate(schema[keyword])]
                )
        if "enum" in schema:
            return self._one_of(schema["enum"], named=_is_component(pointer))
        if "const" in schema:
            return self._one_of([schema["const"]], named=False)
        kinds = types_of(schema)
        if not kinds:
            return self._anything()
        if len(kinds) > 1:
            return self._choice([({**schema, "type": kind}, pointer) for kind in kinds])
        return self._of_kind(kinds[0], schema, pointer)

    def _of_kind(self, kind: str, schema: dict[str, Any], pointer: str) -> CoreSchema:
        if kind == "string":
            return self._string(schema, pointer)
        if kind == "integer":
            return self._integer(schema)
        if kind == "number":
            return self._number(schema)
        if kind == "boolean":
            return self._boolean()
        if kind == "array":
            return self._array(schema, pointer)
        if kind == "object":
            return self._fields(schema, pointer) if schema.get("properties") else self._map(schema, pointer)
        return core_schema.none_schema()

    # --- Composite schemas

    def _reference(self, schema: dict[str, Any], pointer: str) -> CoreSchema:
        target, pointer = self._document.follow(schema, pointer)
        if pointer in self._open:
            self._recursive.add(pointer)
        if pointer in self._recursive:
            return core_schema.definition_reference_schema(pointer)
        self._open.add(pointer)
        compiled = self.compile(target, pointer)
        self._open.remove(pointer)
        if pointer not in self._recursive:
            return compiled
        self.definitions[pointer] = {**compiled, "ref": pointer}
        return core_schema.definition_reference_schema(pointer)

    def _choice(self, choices: list[tuple[Any, str]]) -> CoreSchema:
        others = [(choice, pointer) for choice, pointer in choices if not _is_null(choice)]
        if len(others) == 1:
            compiled = self.compile(*others[0])
        else:
            compiled = (
                core_schema.union_schema(
                    [(self.compile(choice, pointer), _label(choice)) for choice, pointer in others]
                )
                if others
                else core_schema.none_schema()
            )
        return compiled if len(others) == len(choices) else core_schema.nullable_schema(compiled)

    def _fields(self, schema: dict[str, Any], pointer: str) -> CoreSchema:
        required = frozenset(schema.get("required", ()))
        others = schema.get("additionalProperties")
        behaviour: Literal["ignore", "allow", "forbid"] = (
            "ignore" if others is None else "forbid" if others is False else "allow"
        )
        others_schema = self.compile(others, f"{pointer}/additionalProperties") if behaviour == "allow" else None
        members = {
            name: (self.compile(member, step(f"{pointer}/properties", name)), self._default(member, name in required))
            for name, member in schema["properties"].items()
        }
        if self._quick:
            return core_schema.typed_dict_schema(
                {
                    name: core_schema.typed_dict_field(
                        member if default is _ABSENT else core_schema.with_default_schema(member, default=default),
                        required=name in required,
                    )
                    for name, (member, default) in members.items()
                },
                extra_behavior=behaviour,
                extras_schema=others_schema,
            )
        fields = core_schema.model_fields_schema(
            {
                name: core_schema.model_field(
                    member if name in required else core_schema.with_default_schema(member, default=default)
                )
                for name, (member, default) in members.items()
            },
            extra_behavior=behaviour,
            extras_schema=others_schema,
        )
        return core_schema.no_info_after_validator_function(_given_fields, fields)

    def _default(self, member: Any, required: bool) -> Any:
        if required or not isinstance(member, dict):
            return _ABSENT
        return member.get("default", _ABSENT)

    def _array(self, schema: dict[str, Any], pointer: str) -> CoreSchema:
        items = self.compile(schema.get("items", True), f"{pointer}/items")
        fewest, most = schema.get("minItems"), schema.get("maxItems")
        if self._quick:
            return core_schema.list_schema(items, min_length=fewest, max_length=most, fail_fast=True)
        read = core_schema.with_info_wrap_validator_function(_read_chunked, core_schema.list_schema(items))
        if fewest is None and most is None:
            return read
        anything = core_schema.any_schema()
        too_many = core_schema.list_schema(anything, max_length=most)
        too_few = core_schema.list_schema(anything, min_length=fewest)
        return core_schema.chain_schema([too_many, read, too_few])

    def _map(self, schema: dict[str, Any], pointer: str) -> CoreSchema:
        values = schema.get("additionalProperties", True)
        free = values in (True, False, {})
        member = core_schema.any_schema() if free else self.compile(values, f"{pointer}/additionalProperties")
        fewest, most = schema.get("minProperties"), 0 if values is False else schema.get("maxProperties")
        counted = core_schema.dict_schema(core_schema.str_schema(), member, min_length=fewest, max_length=most)
        if self._quick:
            return counted
        if free:
            return core_schema.with_info_after_validator_function(_refuse_infinities, counted)
        read = core_schema.with_info_wrap_validator_function(
            _read_chunked, core_schema.dict_schema(core_schema.str_schema(), member)
        )
        if fewest is None and most is None:
            return read
        anything = core_schema.dict_schema(core_schema.str_schema(), min_length=fewest, max_length=most)
        return core_schema.chain_schema([anything, read])

    # --- Leaf schemas

    def _anything(self) -> CoreSchema:
        if self._quick:
            return core_schema.any_schema()
        return core_schema.with_info_after_validator_function(_refuse_infinities, core_schema.any_schema())

    def _one_of(self, values: list[Any], *, named: bool) -> CoreSchema:
        if not named or self._quick:
            return core_schema.literal_schema(values)
        # pydantic makes an Enum of a named enumeration: other error messages, and other results for unusual text.
        kind = type(values[0]) if all(type(value) is type(values[0]) for value in values) else object
        make: Any = Enum  # type checkers do not accept an Enum with members from run time
        members = make("Members", [(f"member_{i}", value) for i, value in enumerate(values)])
        return core_schema.no_info_after_validator_function(
            attrgetter("value"), core_schema.enum_schema(members, list(members), sub_type=_ENUM_KINDS.get(kind))
        )

    def _string(self, schema: dict[str, Any], pointer: str) -> CoreSchema:
        form = schema.get("format")
        if form in ("uuid", "date-time", "date"):
            beside = sorted({"minLength", "maxLength", "pattern"} & schema.keys())
            if beside:
                raise self._document.error(step(pointer, beside[0]), f"is not supported beside format {form}")
        if form == "uuid":
            return self._uuid()
        if form == "date-time":
            return self._moment()
        if form == "date":
            return self._day()
        return core_schema.str_schema(
            strict=self._quick,
            min_length=schema.get("minLength"),
            max_length=schema.get("maxLength"),
            pattern=schema.get("pattern"),
        )

    def _uuid(self) -> CoreSchema:
        if self._quick:
            return core_schema.str_schema(strict=True, pattern=_CANONICAL_UUID)
        lax = core_schema.no_info_after_validator_function(str, core_schema.uuid_schema())
        return self._checked_lax(
            lax,
            _is_text_of(_DASHED_UUID),
            "uuid_parsing",
            "expected 8-4-4-4-12 hexadecimal digits",
            modes=_STRICT_FORMATS,
        )

    def _moment(self) -> CoreSchema:
        lax = core_schema.no_info_after_validator_function(_in_utc_if_naive, core_schema.datetime_schema())
        return self._checked_lax(
            lax,
            _is_text_of(_RFC_3339),
            "datetime_parsing",
            "expected an RFC 3339 date-time with a time zone",
            modes=(*_STRICT_FORMATS, "quick", "quick-text"),
        )

    def _day(self) -> CoreSchema:
        lax = core_schema.no_info_after_validator_function(date.isoformat, core_schema.date_schema())
        return self._checked_lax(
            lax,
            _is_text_of(_RFC_3339_DATE),
            "date_from_datetime_parsing",
            "expected an RFC 3339 full-date",
            modes=(*_STRICT_FORMATS, "quick", "quick-text"),
        )

    def _integer(self, schema: dict[str, Any]) -> CoreSchema:
        bounds = _bounds(schema)
        if self._mode == "quick":
            return core_schema.int_schema(strict=True, **bounds)
        return self._checked_lax(core_schema.int_schema(**bounds), is_number, "int_type")

    def _number(self, schema: dict[str, Any]) -> CoreSchema:
        bounds = _bounds(schema)
        if self._mode == "quick":
            return core_schema.float_schema(strict=True, allow_inf_nan=False, **bounds)
        return self._checked_lax(core_schema.float_schema(allow_inf_nan=False, **bounds), is_number, "float_type")

    def _boolean(self) -> CoreSchema:
        if self._mode == "quick":
            return core_schema.bool_schema(strict=True)
        return self._checked_lax(core_schema.bool_schema(), _is_boolean, "bool_type")

    def _checked_lax(
        self,
        lax: CoreSchema,
        fits: Callable[[Any], bool],
        error_type: Any,
        reason: str = "",
        *,
        modes: tuple[Mode, ...] = ("strict",),
    ) -> CoreSchema:
        """The lax schema; in `modes` it then also refuses values for which `fits` is false. Lax errors come first."""
        if self._mode not in modes:
            return lax

        def read(value: Any, read_leniently: core_schema.ValidatorFunctionWrapHandler) -> Any:
            result = read_leniently(value)
            if fits(value):
                return result
            raise PydanticKnownError(error_type, {"error": reason} if reason else None)

        return core_schema.no_info_wrap_validator_function(read, lax)


def _bounds(schema: dict[str, Any]) -> dict[str, Any]:
    return {ours: schema[keyword] for keyword, ours in _NUMBER_BOUNDS.items() if keyword in schema}


def _is_component(pointer: str) -> bool:
    return pointer.startswith("/components/schemas/") and pointer.count("/") == 3


def _is_null(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "null"


_LABELS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "array": "list", "object": "dict"}


def _label(schema: Any) -> str:
    """The label of a choice in the `loc` of errors."""
    if not isinstance(schema, dict):
        return "any"
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    return _LABELS.get(next(iter(types_of(schema)), ""), "any")


# --- Conversions and checks that pydantic-core lacks ------------------------------------------------------------------


def _given_fields(read: tuple[dict[str, Any], dict[str, Any] | None, set[str]]) -> dict[str, Any]:
    fields, others, _ = read
    given = {name: value for name, value in fields.items() if value is not _ABSENT}
    return given if others is None else {**given, **others}


def _in_utc_if_naive(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def is_number(value: Any) -> bool:
    """Whether a value is a number in JSON. A boolean is not one, although it is an `int` in Python."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool)


def _is_text_of(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


_CHUNK_ITEMS = 256
"""Items per chunk of a list or map. pydantic-core reports every violation in a chunk, and each one costs time."""


def _read_chunked(value: Any, read: core_schema.ValidatorFunctionWrapHandler, info: core_schema.ValidationInfo) -> Any:
    """Validate a long list or map in chunks, and keep only as many violations as there is room for."""
    if type(value) not in (list, dict) or len(value) <= _CHUNK_ITEMS:
        return read(value)
    violations = cast(Violations, info.context)
    result: Any = type(value)()
    details: list[InitErrorDetails] = []
    for start in range(0, len(value), _CHUNK_ITEMS):
        try:
            if type(value) is list:
                result += read(value[start : start + _CHUNK_ITEMS])
            else:
                result.update(read(dict(islice(value.items(), start, start + _CHUNK_ITEMS))))
        except ValidationError as error:
            # Keep at least one, even without room: without it the list would count as valid.
            room = max(1, violations.room) - len(details)
            kept = error.errors(include_url=False)[:room] if room > 0 else []
            violations.omit(error.error_count() - len(kept))
            details += [_with_offset(line, start if type(value) is list else 0) for line in kept]
    if details:
        raise ValidationError.from_exception_data("a long list", details)
    return result


def _with_offset(line: ErrorDetails, start: int) -> InitErrorDetails:
    first, *others = line["loc"]
    loc = (first + start if isinstance(first, int) else first, *others)
    moved: InitErrorDetails = {"type": line["type"], "loc": loc, "input": line["input"]}
    if "ctx" in line:
        moved["ctx"] = line["ctx"]
    return moved


def _refuse_infinities(value: Any, info: core_schema.ValidationInfo) -> Any:
    """Refuse non-finite numbers: free-form values are returned as sent, and JSON cannot represent these."""
    violations = cast(Violations, info.context)
    details: list[InitErrorDetails] = []
    room = max(1, violations.room)
    for loc, number in _infinities(value):
        if len(details) < room:
            details.append({"type": "finite_number", "loc": loc, "input": number})
        else:
            violations.omit(1)
    if details:
        raise ValidationError.from_exception_data("free-form", details)
    return value


def _infinities(value: Any) -> Iterator[tuple[tuple[str | int, ...], float]]:
    """Yield location and value of each non-finite number. The location is built only for these."""
    if isinstance(value, float) and not math.isfinite(value):
        yield (), value
    path: list[str | int] = []
    open_ = [_members(value)]
    while open_:
        for name, member in open_[-1]:
            if isinstance(member, float):
                if not math.isfinite(member):
                    yield (*path, name), member
            elif isinstance(member, dict | list):
                path.append(name)
                open_.append(_members(member))
                break
        else:
            open_.pop()
            if path:
                path.pop()


def _members(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        return iter(value.items())
    return enumerate(value) if isinstance(value, list) else iter(())
