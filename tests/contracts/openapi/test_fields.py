"""The parts of an operation that a rule can judge."""

import pytest

from contracts.openapi.fields import fields_of_answer, fields_of_body, parts_of, present, unreadable_parameter
from contracts.openapi.schemas import operations


def test_the_parts_of_a_create_are_its_statuses_header_body_and_answer():
    parts = parts_of("bulk_create_runs")
    assert [part for part in parts if part.startswith(("status", "header", "query"))] == [
        *("status 201", "status 400", "status 401", "status 404", "status 409", "status 413", "status 422"),
        *("status 429", "header Idempotency-Key"),
    ]
    assert "body file_inputs[].content" in parts
    assert "answer created_runs[].input_values" in parts
    assert "answer failed_count" in parts


def test_a_list_has_its_parameters_and_the_fields_of_its_items():
    parts = parts_of("list_runs")
    assert {"query skip", "query status", "answer items[].id", "answer total"} <= set(parts)
    assert fields_of_body("list_runs") == ()


@pytest.mark.parametrize("operation", operations())
def test_each_operation_has_parts_and_each_only_once(operation):
    parts = parts_of(operation)
    assert any(part.startswith("status 2") for part in parts)
    assert len(parts) == len(set(parts))


@pytest.mark.parametrize(
    ("part", "body", "is_there"),
    [
        ("answer total", {"total": None}, True),
        ("answer total", {"items": []}, False),
        ("answer total", ["total"], False),
        ("answer items[].id", {"items": [{"a": 1}, {}, {"id": 1}]}, True),
        ("answer items[].id", {"items": []}, False),
        ("answer items[].id", {"items": {"id": 1}}, False),
        ("answer items[].machine.name", {"items": [{"machine": None}]}, False),
        ("answer items[].pools[].id", {"items": [{"pools": [{"id": 1}]}]}, True),
        ("answer [].id", [{"id": 1}], True),
    ],
)
def test_a_field_is_there_if_the_first_or_the_last_item_has_it(part, body, is_there):
    assert present((part,), body) == [part] * is_there


def test_all_fields_of_a_body_are_found_at_once():
    found = present(fields_of_answer("list_pools"), {"items": [{"id": 1, "other": 2}], "total": 0})
    assert found == ["answer items", "answer items[].id", "answer total"]


def test_the_document_describes_one_header():
    headers = {part for operation in operations() for part in parts_of(operation) if part.startswith("header ")}
    assert headers == {"header Idempotency-Key"}


def test_an_answer_without_json_has_no_fields():
    assert fields_of_answer("download_run_attachment") == ()


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ([("created_at_from", "2026-11-26t09:00:00z"), ("created_at_to", "2026-11-26 09:00:00+05:30")], None),
        ([("workflow_id", "0B0E1B9C0D6E4B1F8F0A2F6F3B1C0D11"), ("status", "running"), ("limit", "many")], None),
        ([("search", "yesterday at 5"), ("created_at_from", "yesterday at 5")], "created_at_from"),
        ([("session_id", "None")], "session_id"),
        ([("status", "asleep")], "status"),
    ],
)
def test_a_parameter_is_readable_in_any_notation_of_its_type(query: list[tuple[str, str]], name: str | None) -> None:
    assert unreadable_parameter("list_runs", query) == name
