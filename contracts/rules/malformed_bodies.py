"""Bodies that are not JSON, not objects, or not UTF-8."""

import json
from collections.abc import Iterator
from typing import Any, Final

from contracts.data import in_turn, in_turn_by_kind, write_bodies
from contracts.engine import CheckContext
from contracts.oracle.request import read_request
from contracts.rules.writes import WRITES_OF_RUNS, Body, Writes, in_batches, with_sample_ids

_NOT_AN_OBJECT: Final = (
    *("", "null", "[]", '"text"', "5", "true", "[{}]"),
    *(" ", "\n", "false", "0", "1.5", '""', "[1]", "[null]", "[[]]"),
)
_NOT_JSON: Final = (
    *("{", "}", "[", '"', "{'a': 1}", "{a: 1}", "not json", "nul", "undefined", "<xml/>", "a=1&b=2", "{]", ",", ":"),
    "\x00",
)
_NOT_UTF8: Final = (
    *("\xff", "\xfe\xff", "\x80", "\xc0\xaf", "\xc3", "\xed\xa0\x80", '{"a": "\xff"}', '"\xff"', '{"\xe9": 1}'),
)
"""Bytes, written as latin-1 like all texts here."""
_BROKEN_ENDS: Final = (
    *("", ",}", ', "x": "\xff"}', ', "\xff": 1}', ', "x": tru}', ', "x": 01}', ', "x": .5}', ', "x": 1.}'),
    *(', "x": +1}', ', "x": "\\x"}', ', "x": "a\nb"}', ', "x"}', ', "x": }', ", x: 1}", ', "x": "\\u12"}'),
    *(' "x": 1}', ', "x": [1,]}', ', "x": 0x10}', ", // c\n}"),
)
"""Texts that replace the last brace of an object."""


def malformed(body: dict[str, Any]) -> Iterator[str]:
    """Yield texts that are not JSON objects, one of each kind in turn: fixed texts, and mutations of a valid body."""
    good = json.dumps(body, ensure_ascii=False)
    mutations = (
        *(f"[{good}]", json.dumps(good, ensure_ascii=False), good[: len(good) // 2], good[1:]),
        *(good + "x", good + "}", good + good, "x" + good, good.replace('"', "'")),
    )
    broken = (good[:-1] + end for end in _BROKEN_ENDS)
    yield from in_turn(map(iter, (mutations, _NOT_AN_OBJECT, _NOT_JSON, _NOT_UTF8, broken)))


@in_turn_by_kind
def malformed_cases(check: CheckContext) -> Iterator[Writes]:
    for operation in WRITES_OF_RUNS:
        if check.offers(operation):
            yield from malformed_writes(
                operation, write_bodies.minimal(operation) or {"input_values": {"changed": True}}
            )


ONE_TEXT_IN: Final = 3
"""Writes other than the bulk create get one in this many of the malformed texts."""
_EMPTY_ARRAY: Final = "[]"
"""In PHP, an empty object and an empty list are the same value."""


def malformed_writes(operation: str, body: dict[str, Any]) -> Iterator[Writes]:
    """Yield all malformed bodies of a bulk create, and a part of them for each other write, in turn."""
    invalid: list[Body] = []
    texts = [*malformed(body)]
    if operation != "bulk_create_runs":
        texts = [*dict.fromkeys((_EMPTY_ARRAY, *texts[len(operation) % ONE_TEXT_IN :: ONE_TEXT_IN]))]
    for text in texts:
        if operation == "retry_run" and text.strip() in {"", "null"}:
            yield Writes(operation, (Body(text=text),))  # may mean "no changes", so only a 5xx is an error
        elif read_request(operation, with_sample_ids(text).encode("latin-1")).invalid_parts:
            invalid.append(Body(text=text))
    yield from in_batches(operation, invalid, 30)
