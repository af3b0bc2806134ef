"""A body costs what its size is worth: what is too much of it is refused before it is read, or counted and not told."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import SchemaValidator, ValidationError, core_schema

from mockserver.spec import Invalid, Operation
from mockserver.spec.jsontext import TooManyValues, parse_json
from mockserver.spec.violations import MAX_VIOLATIONS
from tests.mockserver.spec.inline import body_operation, sent

NUMBERS = body_operation({"type": "array", "items": {"type": "integer"}})
SHORT = body_operation({"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 500})
MAPPED = body_operation({"type": "object", "additionalProperties": {"type": "integer"}})
ROWS = body_operation({"type": "array", "items": {"type": "array", "items": {"type": "integer"}}})
FREE = body_operation({"type": "object", "additionalProperties": True})


def violations(operation: Operation, body: Any) -> list[dict[str, Any]]:
    try:
        operation.decode(sent(json.dumps(body).encode()))
    except Invalid as invalid:
        return invalid.violations
    return []


def of_pydantic(value: list[Any]) -> list[dict[str, Any]]:
    """What a list without any bound says."""
    try:
        SchemaValidator(core_schema.list_schema(core_schema.int_schema(strict=True))).validate_python(value)
    except ValidationError as error:
        return [
            {"type": each["type"], "loc": ["body", *each["loc"]], "msg": each["msg"], "input": each["input"]}
            for each in error.errors(include_url=False)
        ]
    return []


@given(st.lists(st.booleans(), max_size=2_000) | st.integers(0, 3_000).map(lambda size: [False] * size))
def test_of_many_violations_the_first_are_told_as_ever_and_the_rest_counted(fits: list[bool]):
    value = [1 if each else None for each in fits]
    expected = of_pydantic(value)
    found = violations(NUMBERS, value)
    assert found[:MAX_VIOLATIONS] == expected[:MAX_VIOLATIONS]
    if len(expected) <= MAX_VIOLATIONS:
        assert len(found) == len(expected)
    else:
        more = len(expected) - MAX_VIOLATIONS
        assert found[MAX_VIOLATIONS:] == [
            {
                "type": "too_many_violations",
                "loc": ["body"],
                "msg": f"{more} more violations are not listed",
                "input": None,
                "ctx": {"omitted": more},
            }
        ]


def counted(found: list[dict[str, Any]]) -> int:
    return sum(each["ctx"]["omitted"] if each["type"] == "too_many_violations" else 1 for each in found)


@pytest.mark.parametrize(
    ("operation", "body", "count"),
    [
        (NUMBERS, [None] * 10_000, 10_000),
        (MAPPED, {str(number): None for number in range(10_000)}, 10_000),
        (ROWS, [[None] * 300] * 300, 90_000),
        (ROWS, [[None] * 3_000, [None], 1, [None] * 3_000], 6_002),
        (FREE, {"a": [math.inf] * 10_000}, 10_000),
        (FREE, {str(number): {"a": [1.0, [math.inf]]} for number in range(1_000)}, 1_000),
    ],
)
def test_every_violation_is_counted_wherever_it_stands(operation: Operation, body: Any, count: int):
    text = json.dumps(body).replace("Infinity", "1e400").encode()
    with pytest.raises(Invalid) as caught:
        operation.decode(sent(text))
    assert len(caught.value.violations) == MAX_VIOLATIONS + 1
    assert counted(caught.value.violations) == count


def test_a_long_list_or_map_that_is_valid_is_read_whole():
    assert NUMBERS.decode(sent(json.dumps([*range(1_000), 1.0]).encode())).body == [*range(1_000), 1]
    many = {str(number): number for number in range(1_000)}
    assert MAPPED.decode(sent(json.dumps({**many, "last": 1.0}).encode())).body == {**many, "last": 1}


def test_the_bounds_of_a_long_list_hold():
    assert violations(SHORT, [1] * 500 + [1.0]) == [
        {
            "type": "too_long",
            "loc": ["body"],
            "msg": "List should have at most 500 items after validation, not 501",
            "input": [1] * 500 + [1.0],
            "ctx": {"field_type": "List", "max_length": 500, "actual_length": 501},
        }
    ]
    assert [each["type"] for each in violations(SHORT, [1.0])] == ["too_short"]
    assert [each["loc"] for each in violations(SHORT, [1] * 499 + ["x"])] == [["body", 499]]


def test_where_a_number_is_not_finite_is_told_at_any_depth():
    value = [[{"a": 1.5, "b": [[], math.inf]}], -math.inf, {"c": {}}, 1]
    text = json.dumps({"x": value, "y": 1}).replace("Infinity", "1e400").encode()
    with pytest.raises(Invalid) as caught:
        FREE.decode(sent(text))
    assert [each["loc"] for each in caught.value.violations] == [["body", "x", 0, 0, "b", 1], ["body", "x", 1]]


# --- How many values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("[1,2,3,4]", 5),
        ('{"a":1,"b":[2,3]}', 5),
        ("[[],[],{},{}]", 9),
        ('["a,b,c,[{","d"]', 3),
        (r'["\",\\",",,,,"]', 3),
        ('{"a,[":"\\u002c,","b":{}}', 4),
    ],
)
def test_a_body_with_more_values_than_it_may_hold_is_not_read(text: str, values: int):
    # Openings and commas are counted, so an empty list or object counts for two values.
    spaced = text + " " * 20
    assert parse_json(spaced.encode(), allow_constants=False, max_values=values)[0] == json.loads(text)
    for encoding in ("utf-8", "utf-16"):
        with pytest.raises(TooManyValues):
            parse_json(spaced.encode(encoding), allow_constants=False, max_values=values - 2)


@given(st.text(st.sampled_from('",\\[{}]a'), max_size=40), st.integers(0, 10))
def test_values_are_counted_in_whatever_is_no_json(text: str, most: int):
    try:
        json.loads(text)
        is_json = True
    except json.JSONDecodeError:
        is_json = False
    try:
        parse_json(text.encode() + b" " * 20, allow_constants=False, max_values=most)
        assert is_json
    except TooManyValues:
        assert text.count(",") + text.count("[") + text.count("{") >= most
    except json.JSONDecodeError:
        assert not is_json


def test_too_many_values_are_a_413():
    with pytest.raises(Invalid) as caught:
        NUMBERS.decode(sent(b"[" + b"[]," * 600_000 + b"1]"))
    assert caught.value.status == 413
    assert caught.value.detail == "The body holds more than 600000 values"


@pytest.mark.parametrize("text", [b'[1e400,"' + b"\\n" * 50_000 + b'",NaN]', b'["NaN\\"NaN",1e400,-Infinity]'])
def test_the_first_constant_outside_a_string_is_where_reading_ends(text: bytes):
    with pytest.raises(json.JSONDecodeError) as caught:
        parse_json(text, allow_constants=False)
    assert text[caught.value.pos :] in (b"NaN]", b"-Infinity]")


@pytest.mark.parametrize(("size", "error"), [(299, "too_short"), (300, None), (600, None), (601, "too_long")])
@pytest.mark.parametrize("keyword", ["integer", "date-time"])
def test_the_bounds_of_a_map_count_all_of_its_members(size: int, error: str | None, keyword: str):
    member = {"type": "integer"} if keyword == "integer" else {"type": "string", "format": keyword}
    mapped = body_operation(
        {"type": "object", "additionalProperties": member, "minProperties": 300, "maxProperties": 600}
    )
    value = 1 if keyword == "integer" else "2025-03-04T09:00:00Z"
    found = violations(mapped, {str(number): value for number in range(size)})
    assert [each["type"] for each in found] == ([] if error is None else [error])


def test_the_members_of_a_large_map_are_all_read_where_one_is_wrong():
    mapped = body_operation({"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 300})
    found = violations(mapped, {str(number): None if number == 400 else number for number in range(500)})
    assert [each["loc"] for each in found] == [["body", "400"]]
