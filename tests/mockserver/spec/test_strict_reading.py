"""Strict reads JSON bodies by the letter of the document, and is otherwise lax: same words, same values."""

import json
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given, settings

from mockserver.spec import Invalid, Operation, RawRequest, compile_operations, load
from tests.mockserver.spec import requests
from tests.mockserver.spec.inline import body_operation, sent
from tests.mockserver.spec.requests import UUID, bulk


def field(schema: dict[str, Any], value: bytes, *, coercion: Any = "strict") -> Any:
    """What the field reads as, or the violation's type."""
    operation = body_operation({"type": "object", "properties": {"a": schema}}, coercion=coercion)
    try:
        return operation.decode(sent(b'{"a": %s}' % value)).body["a"]
    except Invalid as invalid:
        [violation] = invalid.violations
        return violation["type"]


INTEGER = {"type": "integer"}
NUMBER = {"type": "number"}
BOOLEAN = {"type": "boolean"}
ID = {"type": "string", "format": "uuid"}
MOMENT = {"type": "string", "format": "date-time"}
DAY = {"type": "string", "format": "date"}


@pytest.mark.parametrize(
    ("schema", "value", "strict", "lax"),
    [
        (INTEGER, b"5", 5, 5),
        (INTEGER, b"5.0", 5, 5),
        (INTEGER, b"-0.0", 0, 0),
        (INTEGER, b"1e2", 100, 100),
        (INTEGER, b"1" + b"0" * 299, 10**299, 10**299),
        (INTEGER, b'"5"', "int_type", 5),
        (INTEGER, b"true", "int_type", 1),
        (INTEGER, b'"x"', "int_parsing", "int_parsing"),
        (INTEGER, b"5.5", "int_from_float", "int_from_float"),
        (INTEGER, b"null", "int_type", "int_type"),
        (INTEGER, b"1e400", "finite_number", "finite_number"),
        (INTEGER | {"minimum": 7}, b'"5"', "greater_than_equal", "greater_than_equal"),
        (NUMBER, b"5", 5.0, 5.0),
        (NUMBER, b"5.5", 5.5, 5.5),
        (NUMBER, b'"5.5"', "float_type", 5.5),
        (NUMBER, b"true", "float_type", 1.0),
        (NUMBER, b'"x"', "float_parsing", "float_parsing"),
        (NUMBER, b"-1e400", "finite_number", "finite_number"),
        (BOOLEAN, b"true", True, True),
        (BOOLEAN, b"1", "bool_type", True),
        (BOOLEAN, b"0.0", "bool_type", False),
        (BOOLEAN, b'"off"', "bool_type", False),
        (BOOLEAN, b'"x"', "bool_parsing", "bool_parsing"),
        (BOOLEAN, b"2", "bool_parsing", "bool_parsing"),
        (BOOLEAN, b"[]", "bool_type", "bool_type"),
        (ID, f'"{UUID}"'.encode(), UUID, UUID),
        (ID, f'"{UUID.upper()}"'.encode(), UUID, UUID),
        (ID, ('"{' + UUID + '}"').encode(), "uuid_parsing", UUID),
        (ID, f'"urn:uuid:{UUID}"'.encode(), "uuid_parsing", UUID),
        (ID, f'"{UUID.replace("-", "")}"'.encode(), "uuid_parsing", UUID),
        (ID, b'"x"', "uuid_parsing", "uuid_parsing"),
        (ID, b"5", "uuid_type", "uuid_type"),
        (MOMENT, b'"x"', "datetime_from_date_parsing", "datetime_from_date_parsing"),
        (MOMENT, b"[]", "datetime_type", "datetime_type"),
        (DAY, b'"2024-02-29"', "2024-02-29", "2024-02-29"),
        (DAY, b'"2024-02-29T00:00:00Z"', "date_from_datetime_parsing", "2024-02-29"),
        (DAY, b"0", "date_from_datetime_parsing", "1970-01-01"),
        (DAY, b'"2023-02-29"', "date_from_datetime_parsing", "date_from_datetime_parsing"),
        ({"type": "string"}, b"5", "string_type", "string_type"),
        ({"type": "string"}, b'"\\ud800"', "\ud800", "\ud800"),
        ({"enum": ["a", "b"]}, b'"b"', "b", "b"),
        ({"enum": ["a", "b"]}, b'"c"', "literal_error", "literal_error"),
        ({"const": 3}, b"3", 3, 3),
        ({"const": 3}, b"4", "literal_error", "literal_error"),
    ],
)
def test_each_boundary_value_is_read_strictly(schema, value, strict, lax):
    for coercion, expected in (("strict", strict), ("lax", lax)):
        found = field(schema, value, coercion=coercion)
        assert (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-01T10:00:00Z", "2024-01-01T10:00:00+00:00"),
        ("2024-01-01t10:00:00.25z", "2024-01-01T10:00:00.250000+00:00"),
        ("2024-01-01T10:00:00-02:30", "2024-01-01T10:00:00-02:30"),
    ],
)
def test_an_rfc_3339_date_time_is_an_aware_moment(text, moment):
    assert field(MOMENT, json.dumps(text).encode()).isoformat() == moment
    assert field(MOMENT, json.dumps(text).encode(), coercion="lax").isoformat() == moment


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ('"2024-01-01T10:00:00"', "2024-01-01T10:00:00+00:00"),
        ('"2024-01-01"', "2024-01-01T00:00:00+00:00"),
        ('"2024-01-01 10:00:00Z"', "2024-01-01T10:00:00+00:00"),
        ("1704103200", "2024-01-01T10:00:00+00:00"),
    ],
)
def test_other_date_times_are_read_in_lax_only_and_the_naive_as_utc(value, moment):
    assert field(MOMENT, value.encode()) == "datetime_parsing"
    assert field(MOMENT, value.encode(), coercion="lax").isoformat() == moment


@pytest.fixture(scope="module")
def bulk_create() -> dict[str, Operation]:
    document = load(files("openapi") / "cyberdesk.yaml")
    return {way: compile_operations(document, coercion=way)["bulk_create_runs"] for way in ("strict", "lax")}


@pytest.mark.parametrize(
    ("body", "position"),
    [
        (b"NaN", 0),
        (b'{"count": NaN}', 10),
        (b'{"count": -Infinity}', 10),
        (b'{"a": "NaN \\" Infinity", "b": [1e400, Infinity]}', 38),
        (b'{"a": Infinity, "b": NaN, x', 6),
    ],
)
def test_strict_takes_nan_and_infinity_for_no_json_where_they_stand(bulk_create, body, position):
    with pytest.raises(Invalid) as caught:
        bulk_create["strict"].decode(sent(body))

    assert caught.value.violations == [
        {
            "type": "json_invalid",
            "loc": ["body", position],
            "msg": "JSON decode error",
            "input": {},
            "ctx": {"error": "Expecting value"},
        }
    ]


@pytest.mark.parametrize("way", ["strict", "lax"])
def test_a_number_past_the_largest_double_is_refused_where_it_stands_in_a_free_form_value(bulk_create, way):
    body = b'{"workflow_id": "%s", "count": 1, "input_values": {"a": {"b": [1.5, -1e400]}, "c": 1e400}}' % UUID.encode()

    with pytest.raises(Invalid) as caught:
        bulk_create[way].decode(sent(body))

    assert [violation["loc"] for violation in caught.value.violations] == [
        ["body", "input_values", "a", "b", 1],
        ["body", "input_values", "c"],
    ]
    assert {violation["type"] for violation in caught.value.violations} == {"finite_number"}


@pytest.mark.parametrize("way", ["strict", "lax"])
def test_a_number_past_the_largest_double_in_a_field_that_is_ignored_does_no_harm(bulk_create, way):
    body = b'{"workflow_id": "%s", "count": 1, "unknown": 1e400}' % UUID.encode()

    assert bulk_create[way].decode(sent(body)).body["count"] == 1


def outcome(operation: Operation, body: bytes) -> Any:
    try:
        call = operation.decode(sent(body))
    except Invalid as invalid:
        return invalid.status, invalid.violations or invalid.detail
    return call.body, call.sent_fields


def assert_strict_is_lax_and_more(operations: dict[str, Operation], body: bytes) -> None:
    strict, lax = outcome(operations["strict"], body), outcome(operations["lax"], body)
    if strict[0] != 422:
        assert strict == lax
    elif lax[0] == 422:
        for violation in lax[1]:
            assert violation in strict[1]
    else:
        for violation in strict[1]:
            assert violation["type"] in {"int_type", "bool_type", "uuid_parsing", "json_invalid"}


@pytest.mark.parametrize(
    "body",
    [body for body in requests.BULK_BODIES if b"NaN" not in body and b"Infinity" not in body],
    ids=lambda body: repr(body[:60]),
)
def test_strict_refuses_all_that_lax_refuses_in_the_same_words_and_reads_the_rest_alike(bulk_create, body):
    assert_strict_is_lax_and_more(bulk_create, body)


@settings(max_examples=300)
@given(requests.bulk_bodies)
def test_strict_is_lax_and_more_for_generated_bodies(bulk_create, body):
    assert_strict_is_lax_and_more(bulk_create, json.dumps(body).encode())


def test_boundary_cases_have_bodies_that_only_strict_refuses(bulk_create):
    refused = [
        body
        for body in (bulk(count="5"), bulk(count=True), bulk(start_session=1), bulk(workflow_id="{" + UUID + "}"))
        if outcome(bulk_create["strict"], body)[0] == 422 and outcome(bulk_create["lax"], body)[0] != 422
    ]

    assert len(refused) == 4


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        (b"workflow_id=" + UUID.replace("-", "").encode(), "uuid_parsing"),
        (b"created_at_from=0.5", "datetime_parsing"),
        (b"created_at_from=2024-01-01", "datetime_parsing"),
        (b"limit=5.0&deep_search=on&workflow_id=" + UUID.upper().encode(), None),
        (b"created_at_from=2024-01-01T00:00:00Z", None),
    ],
)
def test_query_text_keeps_its_format_in_strict_while_numbers_and_booleans_are_text_anyway(query, problem):
    document = load(files("openapi") / "cyberdesk.yaml")
    request = RawRequest({}, query, {}.get, None, b"")
    strict, lax = (compile_operations(document, coercion=way)["list_runs"] for way in ("strict", "lax"))

    assert lax.decode(request).query["limit"] in (5, 100)
    if problem is None:
        assert strict.decode(request)[2] == lax.decode(request)[2]
    else:
        with pytest.raises(Invalid) as caught:
            strict.decode(request)
        assert [violation["type"] for violation in caught.value.violations] == [problem]
