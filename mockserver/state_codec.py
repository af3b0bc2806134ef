"""Values of the store as JSON and back, driven by the type annotations of their classes.

NamedTuples and dataclasses become objects, without the fields that have their default. If an annotation allows several
classes, the member `class` names the actual one. Bytes become text, or base64 if they are not UTF-8. Long bytes, and
objects shared between values, are written once into a table and referenced by their index.
"""

from __future__ import annotations

import base64
import dataclasses
import types
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from mockserver.spec import render_json

_MIN_SHARED_BYTES = 200
_MIN_SHARED_LENGTH = 20
"""In characters or items."""
_NO_DEFAULT = object()


class Shared:
    """Marks a type whose values are written once, and referenced by their users: `Annotated[..., Shared]`."""


class SharedIfLong:
    """As Shared, for a text or array that is written in its place if it is short."""


class StateError(ValueError):
    """The message is the JSON pointer of the problem, and what was expected there."""

    def at(self, step: object) -> StateError:
        return StateError(f"/{step}{self.args[0]}")


def _expected(what: str) -> StateError:
    return StateError(f": expected {what}")


@dataclasses.dataclass(frozen=True, eq=False)
class Types:
    """`variants` maps a protocol or base class to its possible classes. A field annotated with a class of `implied` is
    not written: the decoder fills in the value that it was given for this class. `ranges` maps a class to the numbers
    that its attributes may have.
    """

    variants: Mapping[Any, tuple[Any, ...]]
    implied: tuple[Any, ...]
    ranges: Mapping[Any, Mapping[str, range]]
    _writers: dict[Any, _Writer | None] = dataclasses.field(default_factory=dict)
    _fields: dict[Any, Any] = dataclasses.field(default_factory=dict)

    def writer(self, hint: Any) -> _Writer | None:
        """Return what writes the values of an annotation: made once. None if they are JSON already."""
        if hint not in self._writers:
            self._writers[hint] = self._made_writer(hint)
        return self._writers[hint]

    def _made_writer(self, hint: Any) -> _Writer | None:
        origin, args = get_origin(hint), get_args(hint)
        if origin is Annotated:
            share = Encoder.share_if_long if args[1] is SharedIfLong else Encoder.share
            return lambda encoder, value: share(encoder, value, args[0])
        variants = _variants(hint, self)
        if variants is not None:
            return self._writer_of_variant(variants)
        if hint is bytes:
            return Encoder.bytes_json
        if origin is tuple or origin is Sequence:
            return _writer_of_array(self.writer(args[0]))
        if origin is Mapping and args[1] is not Any:
            return _writer_of_object(self.writer(args[1]))
        return Encoder.fields if _is_record(hint) else None

    def _writer_of_variant(self, variants: tuple[Any, ...]) -> _Writer | None:
        if len(variants) == 1:
            only = self.writer(variants[0])
            return only and (lambda encoder, value: None if value is None else only(encoder, value))

        def write(encoder: Encoder, value: Any) -> Any:
            if value is None:
                return None
            if isinstance(value, bytes):
                return encoder.bytes_json(value)
            return {"class": type(value).__name__, **encoder.fields(value)}

        return write

    def fields(self, class_: Any) -> Sequence[tuple[str, _Writer | None, Any]]:
        """Return the name, writer and default of each field of a class that is written."""
        fields: Sequence[tuple[str, _Writer | None, Any]] | None = self._fields.get(class_)
        if fields is None:
            every = record_fields(class_).items()
            fields = [(name, self.writer(hint), default) for name, (hint, default) in every if hint not in self.implied]
            self._fields[class_] = fields
        return fields


def _writer_of_array(item: _Writer | None) -> _Writer:
    if item is None:
        return lambda encoder, value: list(value)
    return lambda encoder, value: [item(encoder, each) for each in value]


def _writer_of_object(item: _Writer | None) -> _Writer:
    if item is None:
        return lambda encoder, value: {str(key): each for key, each in value.items()}
    return lambda encoder, value: {str(key): item(encoder, each) for key, each in value.items()}


class Encoder:
    """Encodes the values of one document. `table` holds the shared values.

    If it `keeps_bytes`, the long ones are in the table as they are, for `rendered_bytes`: they are many megabytes.
    """

    def __init__(self, types_: Types, *, keeps_bytes: bool = False) -> None:
        self._types = types_
        self._keeps_bytes = keeps_bytes
        self.table: list[Any] = []
        self._bytes: dict[bytes, int] = {}
        self._objects: dict[int, tuple[int, Any]] = {}  # by id(); holds the object, so that its id is not reused

    def encode(self, value: Any, hint: Any) -> Any:
        writer = self._types.writer(hint)
        return value if writer is None else writer(self, value)

    def fields(self, value: Any) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for name, writer, default in self._types.fields(type(value)):
            each = getattr(value, name)
            if default is _NO_DEFAULT or each != default:
                shown[name] = each if writer is None else writer(self, each)
        return shown

    def bytes_json(self, value: bytes) -> Any:
        if len(value) < _MIN_SHARED_BYTES:
            return _plain(value)
        place = self._bytes.get(value)
        if place is None:
            place = self._bytes[value] = len(self.table)
            self.table.append(value if self._keeps_bytes else _plain(value))
        return {"shared": place}

    def share(self, value: Any, hint: Any) -> Any:
        known = self._objects.get(id(value))
        if known is None:
            shown = self.encode(value, hint)  # may share values in it
            known = self._objects[id(value)] = len(self.table), value
            self.table.append(shown)
        return {"shared": known[0]}

    def share_if_long(self, value: Any, hint: Any) -> Any:
        is_long = value is not None and len(value) >= _MIN_SHARED_LENGTH
        return self.share(value, hint) if is_long else self.encode(value, hint)


_Writer = Callable[[Encoder, Any], Any]


class Decoder:
    """Decodes what an Encoder has written. `implied` maps classes to values. Raises StateError."""

    def __init__(self, types_: Types, table: Sequence[Any], implied: Mapping[Any, Any]) -> None:
        self._types = types_
        self._table = table
        self._implied = implied
        self._decoded: dict[tuple[int, Any], Any] = {}

    def with_implied(self, implied: Mapping[Any, Any]) -> Decoder:
        """Return a decoder that reads the same table."""
        other = Decoder(self._types, self._table, implied)
        other._decoded = self._decoded
        return other

    def decode(self, data: Any, hint: Any) -> Any:
        origin, args = get_origin(hint), get_args(hint)
        if hint is Any:
            return data
        if origin is Annotated:
            if args[1] is SharedIfLong and not isinstance(data, dict):
                return self.decode(data, args[0])
            return self._shared(data, args[0])
        variants = _variants(hint, self._types)
        if variants is not None:
            return self._variant(data, hint, variants)
        if hint is bytes:
            return self._shared(data, bytes) if isinstance(data, dict) and "shared" in data else _bytes_of(data)
        if origin is Literal:
            if data not in args:
                raise _expected(f"one of {', '.join(map(str, args))}")
            return data
        if origin is tuple or origin is Sequence:
            if not isinstance(data, list):
                raise _expected("an array")
            return tuple(self._item(each, args[0], place) for place, each in enumerate(data))
        if origin is Mapping or _is_record(hint):
            if not isinstance(data, dict):
                raise _expected("an object")
            if origin is Mapping:
                return {_key(key, args[0]): self._item(each, args[1], key) for key, each in data.items()}
            return self._record(data, hint)
        kinds = (int, float) if hint is float else hint
        if not isinstance(data, kinds) or isinstance(data, bool) is not (hint is bool):
            raise _expected(_NAMES[hint])
        if isinstance(data, int) and abs(data) > _MAX_INTEGER:
            raise _expected(f"{_NAMES[hint]} of 64 bits")
        return float(data) if hint is float else data

    def _item(self, data: Any, hint: Any, step: object) -> Any:
        try:
            return self.decode(data, hint)
        except StateError as error:
            raise error.at(step) from None

    def _variant(self, data: Any, hint: Any, variants: tuple[Any, ...]) -> Any:
        if data is None and type(None) in get_args(hint):
            return None
        if len(variants) == 1:
            return self.decode(data, variants[0])
        if bytes in variants and (isinstance(data, str) or (isinstance(data, dict) and "class" not in data)):
            return self.decode(data, bytes)
        classes = {each.__name__: each for each in variants if each is not bytes}
        name = data.get("class") if isinstance(data, dict) else None
        if not isinstance(name, str) or name not in classes:
            raise _expected(f"an object whose 'class' is one of {', '.join(classes)}")
        return self._record({key: value for key, value in data.items() if key != "class"}, classes[name])

    def _record(self, data: dict[str, Any], class_: Any) -> Any:
        fields = record_fields(class_)
        unknown = data.keys() - fields.keys()
        if unknown:
            raise StateError(f"/{min(unknown)}: {class_.__name__} has no such member")
        values: dict[str, Any] = {}
        for name, (hint, default) in fields.items():
            if hint in self._implied:
                values[name] = self._implied[hint]
            elif name in data:
                values[name] = self._item(data[name], hint, name)
            elif default is _NO_DEFAULT:
                raise StateError(f"/{name}: {class_.__name__} needs this member")
        record = class_(**values)
        for name, allowed in self._types.ranges.get(class_, _NO_RANGES).items():
            if getattr(record, name) not in allowed:
                raise StateError(f"/{name}: expected a number from {allowed.start} to {allowed.stop - 1}")
        return record

    def _shared(self, data: Any, hint: Any) -> Any:
        place = data.get("shared") if isinstance(data, dict) else None
        if not isinstance(place, int) or isinstance(place, bool) or not 0 <= place < len(self._table):
            raise _expected('{"shared": a place in the table of shared values}')
        key = place, hint
        if key not in self._decoded:
            self._decoded[key] = _OPEN
            self._decoded[key] = self._item(self._table[place], hint, f"shared/{place}")
        if self._decoded[key] is _OPEN:
            raise _expected("a value that does not refer to itself")
        return self._decoded[key]


_OPEN = object()
"""What stands for a shared value while it is decoded."""
_NO_RANGES: Mapping[str, range] = {}
_MAX_INTEGER = (1 << 63) - 1
_MAX_KEY_DIGITS = 18
_NAMES: dict[Any, str] = {int: "an integer", float: "a number", str: "a string", bool: "true or false"}


def _key(text: str, hint: Any) -> Any:
    if hint is str:
        return text
    if not text.isascii() or not text.isdecimal() or len(text) > _MAX_KEY_DIGITS:
        raise StateError(f"/{text}: expected an integer as the name")
    return int(text)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _plain(value: bytes) -> Any:
    return value.decode() if _is_utf8(value) else {"base64": base64.b64encode(value).decode()}


def rendered_bytes(value: bytes) -> Iterator[bytes]:
    """Yield the JSON of long bytes, in parts that are made one by one. Nothing else is kept in between."""
    parts = (value[start : start + _PART_BYTES] for start in range(0, len(value), _PART_BYTES))
    if _is_utf8(value):
        decoder = getincrementaldecoder("utf-8")()
        yield b'"'
        yield from (render_json(decoder.decode(part))[1:-1] for part in parts)
        yield b'"'
    else:
        yield b'{"base64":"'
        yield from map(base64.b64encode, parts)
        yield b'"}'


_PART_BYTES = 49_152
"""A multiple of 3, so that base64 has no padding between two parts."""


def _bytes_of(data: Any) -> bytes:
    try:
        return data.encode() if isinstance(data, str) else base64.b64decode(data["base64"], validate=True)
    except (KeyError, TypeError, ValueError):
        raise _expected('a string, or {"base64": "..."}') from None


def _variants(hint: Any, types_: Types) -> tuple[Any, ...] | None:
    """Return the classes that an annotation allows besides None; None if it is not a choice."""
    if hint in types_.variants:
        return types_.variants[hint]
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(
            each for arg in get_args(hint) if arg is not type(None) for each in types_.variants.get(arg, (arg,))
        )
    return None


def _is_record(hint: Any) -> bool:
    return dataclasses.is_dataclass(hint) or hasattr(hint, "_fields")


@cache
def record_fields(class_: Any) -> Mapping[str, tuple[Any, Any]]:
    """Return the annotation and the default of each field of a NamedTuple or dataclass."""
    hints = get_type_hints(class_, include_extras=True)
    if not dataclasses.is_dataclass(class_):
        defaults = class_._field_defaults
        return {name: (hints[name], defaults.get(name, _NO_DEFAULT)) for name in class_._fields}
    fields: dict[str, tuple[Any, Any]] = {}
    for field in dataclasses.fields(class_):
        default: Any = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        fields[field.name] = hints[field.name], _NO_DEFAULT if default is dataclasses.MISSING else default
    return fields
