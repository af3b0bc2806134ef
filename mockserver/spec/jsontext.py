"""JSON text to values and back. Owns no schema and no HTTP.

Reading is Python's json module, for its words and because it keeps what was sent: integers of any size, lone
surrogates, the last of two equal names. Two kinds of number are told apart that could not be written back: the
literals NaN and Infinity, which JSON does not have, and numbers past the largest double.
Writing is pydantic-core's, five times as fast, and Python's again for what that cannot write.
"""

import json
import math
import re
from json import JSONDecodeError, detect_encoding
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

# Deeper bodies are refused like those too deep for the parser, so that whatever was read can be written again,
# inside an answer and from any depth of the call stack.
MAX_NESTING = 256
MAX_VALUES = 600_000

# Possessive: what has been matched is not looked at again, so that a string costs what its length is worth.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\Z)?', re.DOTALL)
_CONSTANT = re.compile("NaN|-?Infinity")


class TooManyValues(ValueError):
    """What is read of a text can take fifty times its size. So it is refused before it is read."""


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
    """The value, and whether every number in it is finite. The encoding is found as json.loads finds it.

    Raises: json.JSONDecodeError for what is no JSON (NaN and Infinity too, unless `allow_constants`), TooManyValues,
    and for what cannot be read at all ValueError (undecodable bytes, integers of over 4300 digits) or RecursionError.
    """
    if body[:1] == b"{" and body[1:2] != b"\x00" and len(body) <= max_values:
        # Nearly every body: UTF-8, and nothing behind the object. Whatever else it is, what follows finds out.
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
    """Counts what stands before or between values: openings and commas. Raises: TooManyValues."""
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
        # What stands before the constant was read without complaint, so the first one outside a string is it.
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
    # The parser makes exactly dicts and lists, and `is` takes a third of the time of isinstance here.
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
    """Write a value as compact UTF-8 JSON.

    What JSON or UTF-8 cannot hold does not fail: NaN and the infinities become null, and what holds a lone surrogate
    is written in ASCII with escapes. Integers are written in full, however large.

    Raises: TypeError for an object that is no value at all, RecursionError past some 900 levels.
    """
    try:
        return to_json(value, inf_nan_mode="null")
    except PydanticSerializationError:
        return _render_by_hand(value)


def _render_by_hand(value: Any) -> bytes:
    """What pydantic-core gives up on: lone surrogates, great depth."""
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
