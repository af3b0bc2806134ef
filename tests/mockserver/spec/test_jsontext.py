"""JSON text comes back as it was sent, and what it cannot say does not break it."""

import json
import math
import sys
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.spec import jsontext, render_json
from mockserver.spec.jsontext import MAX_NESTING, parse_json

_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(_values)
def test_what_is_rendered_reads_as_the_same_value_of_the_same_types(value):
    assert repr(parse_json(render_json(value), allow_constants=False)) == repr((value, True))


@given(st.text(st.characters(), max_size=5))
def test_lone_surrogates_come_back(text):
    assert parse_json(render_json([text, {text: 1}]), allow_constants=False)[0] == [text, {text: 1}]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, 2.0, "é😀"]}, '{"a":[1,2.0,"é😀"]}'),
        ("é\ud800", '"\\u00e9\\ud800"'),
        ([math.nan, {"a": -math.inf}, (1.5,)], '[null,{"a":null},[1.5]]'),
        ([math.inf, "\ud800"], '[null,"\\ud800"]'),
        (-(10**4000), "-1" + "0" * 4000),
        (-0.0, "-0.0"),
        (1e300, "1e+300"),
    ],
)
def test_rendering_is_compact_utf_8_and_never_fails_for_json_values(value, text):
    assert render_json(value) == text.encode()


def test_what_is_no_json_value_is_a_type_error():
    with pytest.raises(TypeError):
        render_json({"a": object()})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"])
def test_every_encoding_of_json_is_read(encoding):
    assert parse_json('{"a": "é"}'.encode(encoding), allow_constants=False) == ({"a": "é"}, True)


def test_numbers_that_are_not_finite_are_told_apart():
    assert parse_json(b"[1e400, 1.5]", allow_constants=False) == ([math.inf, 1.5], False)
    assert parse_json(b"[-Infinity, 1e400]", allow_constants=True) == ([-math.inf, math.inf], False)
    value, finite = parse_json(b"NaN", allow_constants=True)
    assert math.isnan(value)
    assert not finite
    for text in (b"[1e400, NaN]", b"[NaN, 1e400]", b"Infinity"):
        with pytest.raises(json.JSONDecodeError, match="Expecting value"):
            parse_json(text, allow_constants=False)


def test_nesting_is_bounded_whatever_holds_what():
    def nested(depth: int, opening: bytes, closing: bytes) -> bytes:
        return opening * depth + b"1" + closing * depth

    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        value, finite = parse_json(nested(MAX_NESTING, opening, closing), allow_constants=False)
        assert finite
        assert render_json(value) == nested(MAX_NESTING, opening, closing)
        with pytest.raises(RecursionError):
            parse_json(nested(MAX_NESTING + 1, opening, closing), allow_constants=False)


def test_many_brackets_side_by_side_or_in_text_are_not_deep():
    assert len(parse_json(b"[" + b"[]," * 1000 + b"[]]", allow_constants=False)[0]) == 1001
    assert parse_json(b'"' + b"[" * 1000 + b'"', allow_constants=False)[0] == "[" * 1000


def test_other_threads_run_between_the_integers_of_a_large_text():
    """Each takes long to read, and what is C from one end to the other would hold all of them up for their sum."""
    body = b"[%b]" % b",".join([b"9" * 4_000] * 500)
    turns, over = 0, threading.Event()

    def count_turns():
        nonlocal turns
        while not over.is_set():
            turns += 1
            time.sleep(0)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    other = threading.Thread(target=count_turns)
    other.start()
    try:
        before = turns
        parse_json(body, allow_constants=False)
        after = turns
    finally:
        over.set()
        sys.setswitchinterval(interval)
        other.join()
    assert after - before >= 5  # on a busy machine the other thread gets few of the 500 turns; without the fix, none


def test_a_panic_for_want_of_memory_is_a_memory_error(monkeypatch):
    class PanicException(BaseException):
        """As pydantic-core raises it."""

    def panic(value: object, **how: object) -> bytes:
        raise PanicException("PyObject pointer is null")

    monkeypatch.setattr(jsontext, "to_json", panic)

    with pytest.raises(MemoryError):
        render_json({})
