"""Bodies that are not JSON, not objects, or not UTF-8."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from contracts.data import write_bodies
from contracts.engine.check_context import CheckContext
from contracts.engine.request_building import encode
from contracts.engine.shrink import Case
from contracts.oracle import read_request
from contracts.rules.request_bodies import (
    OPERATIONS,
    packs,
    sample_text,
)


def broken_texts(body: dict[str, Any]) -> Iterator[bytes]:
    """Yields texts that are not a JSON object: fixed ones, and mutations of the given valid body."""
    good = encode(body)
    yield from (
        b"",
        b" ",
        b"\n",
        b"[]",
        b"null",
        b"true",
        b"false",
        b"5",
        b"0",
        b"1.5",
        b'""',
        b'"text"',
        b"[1]",
        b"[{}]",
        b"[null]",
        b"[[]]",
    )
    yield from (
        b"{",
        b"}",
        b"[",
        b'"',
        b"{'a': 1}",
        b"{a: 1}",
        b"not json",
        b"nul",
        b"undefined",
        b"<xml/>",
        b"a=1&b=2",
        b"{]",
        b",",
        b":",
        b"\x00",
    )
    yield from (
        b"\xff",
        b"\xfe\xff",
        b"\x80",
        b"\xc0\xaf",
        b"\xc3",
        b"\xed\xa0\x80",
        b'{"a": "\xff"}',
        b'"\xff"',
        b'{"\xe9": 1}',
    )
    yield from (
        good[:-1],
        good[1:],
        good + b"x",
        good + b"}",
        good + good,
        b"x" + good,
        b"[" + good + b"]",
        json.dumps(good.decode()).encode(),
    )
    yield from (
        good[:-1] + b",}",
        good.replace(b'"', b"'"),
        good[: len(good) // 2],
        good[:-1] + b', "x": "\xff"}',
        good[:-1] + b', "\xff": 1}',
    )
    yield from (
        good[:-1] + tail
        for tail in (
            b', "x": tru}',
            b', "x": 01}',
            b', "x": .5}',
            b', "x": 1.}',
            b', "x": +1}',
            b', "x": "\\x"}',
            b', "x": "a\nb"}',
            b', "x"}',
            b', "x": }',
            b", x: 1}",
            b', "x": "\\u12"}',
            b' "x": 1}',
            b', "x": [1,]}',
            b', "x": 0x10}',
            b", // c\n}",
        )
    )


def body_cases(check: CheckContext) -> Iterator[Case]:
    for operation in OPERATIONS:
        if check.offers(operation):
            yield from malformed_body_cases(
                operation, write_bodies.minimal(operation) or {"input_values": {"changed": True}}
            )


def malformed_body_cases(operation: str, bare: dict[str, Any]) -> Iterator[Case]:
    items = []
    for raw in broken_texts({"MARK": 0}):
        text = raw.decode("latin-1").replace('"MARK": 0', json.dumps(bare, ensure_ascii=False)[1:-1])
        text = text.replace("'MARK': 0", "'a': 0").replace('\\"MARK\\": 0', '\\"a\\": 0')
        if operation == "retry_run" and text.strip() in {"", "null"}:
            yield {"op": operation, "items": [{"latin": text}]}  # may mean "no changes", so only a 5xx is an error
            continue
        if read_request(operation, sample_text(text).encode("latin-1")).faults:
            items.append({"latin": text})
    for pack in packs(items, 30):
        yield {"op": operation, "items": pack}
