"""Parses and renders JSON text. Knows no schemas and no HTTP.

Python's json module parses, for its error messages and because it keeps what was sent: integers of any size, lone
surrogates, the last of two equal names. Two kinds of numbers that could not be rendered again are detected: the
literals NaN and Infinity, which JSON does not have, and numbers past the largest double.
pydantic-core renders, five times as fast as json; json renders what pydantic-core cannot.
"""

import json
import math
import re
from json import JSONDecodeError, detect_encoding
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

# Deeper bodies are refused like those that are too deep for the parser, so that everything that was parsed can be
# rendered again, inside an answer and at any depth of the call stack.
MAX_NESTING = 256
MAX_VALUES = 600_000

# Possessive quantifiers do not backtrack, so matching takes time in proportion to the length of the string.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\Z)?', re.DOTALL)
_CONSTANT = re.compile("NaN|-?Infinity")


class TooManyValues(ValueError):
    """The text has too many values. Parsed values can take fifty times the size of the text: refused before parsing."""


class _NotFinite(Exception):
    pass


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _NotFinite
    return number


def _refuse_constant(_name: str) -> float:
    raise _NotFinite


def _integer(text: str) -> int:
    """In Python, so that other threads get their turn between two integers: one of 4300 digits takes some 50 µs."""
    return int(text)


_decoder = json.JSONDecoder(parse_float=_finite, parse_constant=_refuse_constant)
_decode = _decoder.decode
_decode_from_start = _decoder.raw_decode
_decode_large = json.JSONDecoder(parse_float=_finite, parse_constant=_refuse_constant, parse_int=_integer).decode
_decode_without_constants = json.JSONDecoder(parse_constant=_refuse_constant).decode
_decode_anything = json.JSONDecoder().decode


def parse_json(
    body: bytes, *, allow_constants: bool, max_nesting: int = MAX_NESTING, max_values: int = MAX_VALUES
) -> tuple[Any, bool]:
    """Return the value, and whether every number in it is finite. Detects the encoding like json.loads.

    Raises json.JSONDecodeError for a body that is not JSON (also NaN and Infinity, unless `allow_constants`);
    TooManyValues; ValueError for undecodable bytes and integers of over 4300 digits; RecursionError for deep nesting.
    """
    if body[:1] == b"{" and body[1:2] != b"\x00" and len(body) <= max_values:
        # Fast path for nearly every body: UTF-8, with nothing after the object. The code below handles all others.
        try:
            text = body.decode()
            value, end = _decode_from_start(text)
        except (ValueError, _NotFinite):
            pass
        else:
            if end == len(text):
                return _not_too_deep(value, text, max_nesting), True
    text = body.decode(detect_encoding(body), "surrogatepass")
    decode = _decode
    if len(text) > max_values:
        _refuse_too_many_values(text, max_values)
        decode = _decode_large
    finite = True
    try:
        value = decode(text)
    except _NotFinite:
        finite = False
        value = _decode_anything(text) if allow_constants else _decode_overflowing(text)
    return _not_too_deep(value, text, max_nesting), finite


def _refuse_too_many_values(text: str, most: int) -> None:
    """Count the opening brackets and commas outside of strings. Raises TooManyValues."""
    if _openings_and_commas(text, 0, len(text)) < most:
        return
    count, end = 0, 0
    for string in _STRING.finditer(text):
        count += _openings_and_commas(text, end, string.start())
        if count >= most:
            break
        end = string.end()
    else:
        count += _openings_and_commas(text, end, len(text))
    if count >= most:
        raise TooManyValues(f"more than {most} values")


def _openings_and_commas(text: str, start: int, stop: int) -> int:
    return text.count(",", start, stop) + text.count("[", start, stop) + text.count("{", start, stop)


def _not_too_deep(value: Any, text: str, most: int) -> Any:
    if text.count("[") + text.count("{") > most and _is_deeper(value, most):
        raise RecursionError(f"nested deeper than {most}")
    return value


def _decode_overflowing(text: str) -> Any:
    try:
        return _decode_without_constants(text)
    except _NotFinite:
        # The text before the constant was parsed without error, so the error is at the first one outside a string.
        raise JSONDecodeError("Expecting value", text, _first_constant(text)) from None


def _first_constant(text: str) -> int:
    end = 0
    for string in _STRING.finditer(text):
        found = _CONSTANT.search(text, end, string.start())
        if found is not None:
            return found.start()
        end = string.end()
    found = _CONSTANT.search(text, end)
    assert found is not None, "there is one"
    return found.start()


def _is_deeper(value: Any, most: int) -> bool:
    # The parser makes exact dicts and lists, and `type() is` takes a third of the time of isinstance here.
    level = [value] if type(value) is dict or type(value) is list else []
    for _ in range(most):
        level = [
            member
            for holder in level
            for member in (holder.values() if type(holder) is dict else holder)
            if type(member) is dict or type(member) is list
        ]
        if not level:
            return False
    return True


_write = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_write_ascii = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode


def render_json(value: Any) -> bytes:
    """Render a value as compact UTF-8 JSON.

    NaN and the infinities become null. A value with a lone surrogate is rendered in ASCII with escapes. Integers are
    written in full, however large.

    Raises TypeError for an object that is not a JSON value, RecursionError past about 900 levels, MemoryError.
    """
    try:
        return to_json(value, inf_nan_mode="null")
    except PydanticSerializationError:
        return _render_with_json(value)
    except BaseException as error:
        # Without memory pydantic-core panics, and that is not an Exception.
        if type(error).__name__ == "PanicException":
            raise MemoryError from error
        raise


def _render_with_json(value: Any) -> bytes:
    """Render what pydantic-core cannot: lone surrogates and deep nesting."""
    try:
        text = _write(value)
    except ValueError:
        value = _without_infinities(value)
        text = _write(value)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _write_ascii(value).encode()


def _without_infinities(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _without_infinities(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_infinities(member) for member in value]
    return value
