"""Twice the input takes twice the work: what is done in Python is counted line by line, so no clock is asked.

What is done in C takes one look at its input: the JSON parser, the searches for a byte, and regular expressions whose
repetitions are possessive or cannot begin where they went on before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.resources import files
from types import FrameType
from typing import Any

import pytest

from mockserver.http11.body import ChunkedBody
from mockserver.http11.errors import RequestError
from mockserver.http11.head import HeadReader
from mockserver.prefer import read_preferences
from mockserver.spec import Invalid, RawRequest, compile_operations, load
from mockserver.spec.jsontext import parse_json

_OPERATIONS = {
    coercion: compile_operations(load(files("openapi") / "cyberdesk.yaml"), coercion=coercion)  # type: ignore[arg-type]
    for coercion in ("strict", "lax")
}
_W = b"10000000-0000-4000-8000-000000000001"


def lines_run(work: Callable[[], object]) -> int:
    count = 0

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def prefer(text: str) -> Callable[[], object]:
    return lambda: read_preferences(text, "", "create_run")


def head(stream: bytes, size: int) -> Callable[[], object]:
    def read() -> None:
        reader = HeadReader(max_target_bytes=1 << 30, max_header_bytes=1 << 30)
        try:
            for start in range(0, len(stream), size):
                reader.feed(stream[start : start + size])
        except RequestError:
            pass

    return read


def chunked(stream: bytes, size: int) -> Callable[[], object]:
    def read() -> None:
        reader = ChunkedBody(max_trailer_bytes=1 << 30)
        for start in range(0, len(stream), size):
            reader.feed(stream[start : start + size])

    return read


def decode(body: bytes, operation: str = "bulk_create_runs", coercion: str = "strict", media_type: str = "json") -> Any:
    def read() -> None:
        raw = RawRequest({"run_id": _W.decode()}, "", {}.get, f"application/{media_type}", body)
        with suppress(Invalid):
            _OPERATIONS[coercion][operation].decode(raw)

    return read


def constants(body: bytes) -> Callable[[], object]:
    def read() -> None:
        with suppress(ValueError):
            parse_json(body, allow_constants=False)

    return read


_VALID = b'{"workflow_id":"' + _W + b'","count":1,"input_values":%b}'

WORK: dict[str, Callable[[int], Callable[[], object]]] = {
    "Prefer: blanks": lambda n: prefer("a" + " " * n + "b" + " " * n + '"'),
    "Prefer: one long word": lambda n: prefer("a" * n + '"'),
    "Prefer: quotes": lambda n: prefer('"' * n),
    "Prefer: backslashes": lambda n: prefer('a="' + "\\" * n),
    "Prefer: commas": lambda n: prefer("," * n),
    "Prefer: parameters": lambda n: prefer("a" + ";b=c" * n),
    "Prefer: preferences": lambda n: prefer(",".join(f"p{i}=v" for i in range(n))),
    "head: one header": lambda n: head(b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"b" * 10 * n + b"\r\n\r\n", 100),
    "head: many headers": lambda n: head(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * n + b"\r\n", 100),
    "head: byte by byte": lambda n: head(b"GET /" + b"a" * n + b" HTTP/1.1\r\nHost: a\r\n\r\n", 1),
    "body: small chunks": lambda n: chunked(b"1\r\na\r\n" * n + b"0\r\n\r\n", 1_000),
    "body: byte by byte": lambda n: chunked(b"1\r\na\r\n" * n + b"0\r\n\r\n", 1),
    "body: one line of trailers": lambda n: chunked(b"0\r\nA: " + b"b" * n, 10),
    "constants: strings": lambda n: constants(b"[1e400," + b'"NaN",' * n + b"NaN]"),
    "constants: one string": lambda n: constants(b'[1e400,"' + b"\\n" * n + b'",NaN]'),
    "JSON: depth": lambda n: constants(b"[" * 200 + b"[],".join([b""] * n) + b"1" + b"]" * 200),
    "violations: a list": lambda n: decode(_VALID[:-20] + b',"pool_ids":[' + b"1," * n + b"1]}"),
    "violations: texts in a list": lambda n: decode(b'{"pool_ids":[' + b'"x",' * n + b"1]}", coercion="lax"),
    "violations: steps": lambda n: decode(b'{"steps":[' + b"{}," * n + b"{}]}", "create_run_chain"),
    "violations: infinities": lambda n: decode(_VALID % (b'{"a":[' + b"1e400," * n + b"1]}")),
    "violations: deep infinities": lambda n: decode(
        _VALID % (b'{"a":' + b"[" * 99 + b"1e400," * n + b"1" + b"]" * 99 + b"}")
    ),
    "echo: names": lambda n: decode(b"{" + b",".join(b'"name%d":1' % i for i in range(n)) + b"}"),
    "echo: names like a secret": lambda n: decode(b"{" + b",".join(b'"sen%d":1' % i for i in range(n)) + b"}"),
    "echo: a text like a secret": lambda n: decode(b"sen-" * n, media_type="xml"),
    "echo: escapes": lambda n: decode(b"%25" * n, media_type="xml"),
    "echo: texts": lambda n: decode(b'{"a":[' + b'"x=1",' * n + b"1]}"),
}


@pytest.mark.parametrize("name", WORK)
def test_twice_the_input_takes_no_more_than_twice_the_work(name: str):
    make = WORK[name]
    make(10)()  # what is compiled or imported the first time is not counted
    small, large = (lines_run(make(size)) for size in (800, 1_600))
    assert large <= 2.1 * small + 200, (small, large)
