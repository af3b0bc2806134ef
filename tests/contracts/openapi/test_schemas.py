"""What a value of the document's schemas may be, what it must not be, and what is in doubt."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.data.json_values import nested
from contracts.openapi.schemas import (
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_KEYS,
    MAX_TEXT,
    UNREAD,
    Diagnostics,
    InvalidPart,
    beyond_limits,
    body_schema,
    is_uuid,
    is_valid_base64,
    moment_of,
    reader_of,
)

W = "3c90c3cc-0d44-4b50-8888-8dd25736052a"


def read(schema: str, **fields: Any) -> tuple[Any, Diagnostics]:
    diagnostics = Diagnostics()
    return reader_of(schema)(fields, (), diagnostics), diagnostics


@pytest.mark.parametrize(
    "form", [W.upper(), W.replace("-", ""), "{" + W + "}", f"urn:uuid:{W}", W.replace("-", "").upper()]
)
def test_another_form_of_a_uuid_is_in_doubt_and_read(form: str) -> None:
    value, diagnostics = read("RunCreate", workflow_id=form)

    assert value["workflow_id"] == W
    assert diagnostics.ambiguities
    assert not diagnostics.invalid_parts
    assert not is_uuid(form)


@pytest.mark.parametrize("wrong", ["", "x", W[:-1], W + "0", W[:-1] + "g", f"{W}\n", 5, None, [], {}, True])
def test_a_text_that_is_not_a_uuid_is_a_fault(wrong: Any) -> None:
    assert read("RunCreate", workflow_id=wrong)[1].invalid_parts


def test_a_uuid_with_blanks_is_in_doubt() -> None:
    value, diagnostics = read("RunCreate", workflow_id=f" {W} ")

    assert value["workflow_id"] is UNREAD
    assert (bool(diagnostics.ambiguities), diagnostics.invalid_parts) == (True, [])


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
def test_a_moment_at_the_ends_of_the_calendar_is_in_doubt(moment: str) -> None:
    _, diagnostics = read("RunUpdate", started_at=moment)

    assert (bool(diagnostics.ambiguities), diagnostics.invalid_parts) == (True, [])


@pytest.mark.parametrize(
    ("count", "number"), [("5", 5), (5.0, 5), (True, 1), ("0005", 5), (1000.0, 1000), ("1000", 1000)]
)
def test_a_lenient_form_of_an_integer_is_in_doubt_and_read(count: Any, number: int) -> None:
    value, diagnostics = read("RunBulkCreate", workflow_id=W, count=count)

    assert value["count"] == number
    assert diagnostics.ambiguities
    assert not diagnostics.invalid_parts


@pytest.mark.parametrize("count", ["1e2", "5.0", " 5", "+5", "1_0", "1__."])
def test_a_text_that_looks_like_a_number_is_in_doubt_and_not_read(count: str) -> None:
    value, diagnostics = read("RunBulkCreate", workflow_id=W, count=count)

    assert value["count"] is UNREAD
    assert (bool(diagnostics.ambiguities), diagnostics.invalid_parts) == (True, [])


@pytest.mark.parametrize(
    "count", ["1.5", "1001.0", "-1", "x", "", "1e9", 1.5, float("nan"), float("inf"), 1001, 0, "0", False, [5]]
)
def test_a_value_that_is_not_an_integer_in_range_is_a_fault(count: Any) -> None:
    assert read("RunBulkCreate", workflow_id=W, count=count)[1].invalid_parts


@pytest.mark.parametrize(("flag", "means"), [(1, True), (0, False), (1.0, True), ("yes", True), (" OFF ", False)])
def test_a_lenient_form_of_a_boolean_is_in_doubt_and_read(flag: Any, means: bool) -> None:
    value, diagnostics = read("RunCreate", workflow_id=W, start_session=flag)

    assert value["start_session"] is means
    assert diagnostics.ambiguities


@pytest.mark.parametrize("flag", ["maybe", 2, -1, 0.5, [], {}, ""])
def test_a_value_that_is_not_a_boolean_is_a_fault(flag: Any) -> None:
    assert read("RunCreate", workflow_id=W, start_session=flag)[1].invalid_parts


@pytest.mark.parametrize(
    ("moment", "is_invalid", "ambiguity"),
    [
        ("2025-01-02T03:04:05Z", False, False),
        ("2025-01-02t03:04:05.123456789+05:30", False, False),
        ("2025-02-30T00:00:00Z", False, True),
        ("2025-01-02", False, True),
        (1735786800, False, True),
        ("some day", True, False),
        (True, True, False),
        ([], True, False),
    ],
)
def test_moments_are_rfc_3339(moment: Any, is_invalid: bool, ambiguity: bool) -> None:
    _, diagnostics = read("RunUpdate", started_at=moment)

    assert (bool(diagnostics.invalid_parts), bool(diagnostics.ambiguities)) == (is_invalid, ambiguity)


def test_a_moment_is_recognised_in_any_time_zone() -> None:
    assert moment_of("2025-01-02T03:04:05Z") == moment_of("2025-01-02T08:34:05.000+05:30")
    assert moment_of("2025-02-30T00:00:00Z") is None
    assert moment_of("2025-01-02T03:04:05") is None
    assert moment_of(5) is None


@pytest.mark.parametrize("wrong", ["SUCCESS", "canceled", "", 5, []])
def test_a_status_is_one_of_the_documented_words(wrong: Any) -> None:
    assert read("RunUpdate", status=wrong)[1].invalid_parts


def test_the_place_of_a_fault_does_not_contain_indexes() -> None:
    _, diagnostics = read("WorkflowChainCreate", steps=[{"workflow_id": W}, {"workflow_id": W, "inputs": 5}])

    assert diagnostics.invalid_parts == [InvalidPart(("steps", 1, "inputs"), "type")]
    assert diagnostics.invalid_parts[0].where == "steps.*.inputs"
    assert InvalidPart((), "body").where == "the body"


def test_a_list_has_as_many_items_as_it_must() -> None:
    assert read("WorkflowChainCreate", steps=[])[1].invalid_parts == [InvalidPart(("steps",), "length")]
    assert read("WorkflowChainCreate", steps={})[1].invalid_parts == [InvalidPart(("steps",), "type")]


@pytest.mark.parametrize(("text", "is_valid"), [("", True), ("YQ==", True), ("YQ", False), ("!", False), ("é", False)])
def test_base64_is_distinguished_from_other_text(text: str, is_valid: bool) -> None:
    assert is_valid_base64(text) == is_valid


@pytest.mark.parametrize(
    "value",
    [
        "x" * (MAX_TEXT + 1),
        "\ud800",
        {"\udfff": 1},
        nested(MAX_DEPTH + 1),
        nested(MAX_DEPTH + 1, kind="list"),
        list(range(MAX_KEYS + 1)),
        [float("nan")],
        {"a": -float("inf")},
        10**MAX_DIGITS,
        -(10**MAX_DIGITS),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_beyond_the_limits_no_server_has_to_go(value: Any) -> None:
    assert beyond_limits(value)


@pytest.mark.parametrize(
    "value",
    [
        "😀" * MAX_TEXT,
        nested(MAX_DEPTH),
        list(range(MAX_KEYS)),
        1.7976931348623157e308,
        10**MAX_DIGITS - 1,
        None,
        True,
    ],
    ids=lambda value: repr(value)[:20],
)
def test_up_to_the_limits_every_server_has_to_go(value: Any) -> None:
    assert beyond_limits(value) is None


def test_only_writes_have_bodies() -> None:
    assert body_schema("bulk_create_runs") == "RunBulkCreate"
    assert body_schema("get_run") is None
