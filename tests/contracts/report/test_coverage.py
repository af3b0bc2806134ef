"""`contracts rules --coverage`: what is not checked stands out."""

import dataclasses
import json

import click

from contracts.cli.coverage import recorded_coverage
from contracts.openapi.fields import parts_of
from contracts.openapi.schemas import operations
from contracts.report.coverage import coverage_of, render_coverage
from contracts.rules import REGISTRY

RECORDED = {
    "get_pool": {
        "status 200": {"NO-5XX": 1200, "READ-BACK": 3},
        "answer id": {"HTTP-SCHEMA": 7},
        "answer name": {"HTTP-SCHEMA": 7},
    }
}


def of_get_pool(value_fields=None):
    return [one for one in coverage_of(RECORDED, value_fields or {"READ-BACK": ("id",)}) if one.operation == "get_pool"]


def test_every_part_of_the_document_is_listed_once():
    listed = [(one.operation, one.part) for one in coverage_of({}, {})]
    assert listed == [(operation, part) for operation in operations() for part in parts_of(operation)]
    assert not any(one.is_checked for one in coverage_of({}, {}))


def test_a_status_that_the_document_does_not_have_is_listed_if_it_was_met():
    recorded = {"health_check": {"status 418": {"NO-5XX": 1}, "status 404": {"NO-5XX": 1}}}
    parts = [one.part for one in coverage_of(recorded, {}) if one.operation == "health_check"]
    assert parts == [*(f"status {status}" for status in (200, 400, 404, 418, 429)), "answer status"]


def test_a_field_is_judged_by_its_schema_and_by_the_rules_of_its_value():
    by_part = {one.part: one for one in of_get_pool()}
    assert by_part["answer id"].rules == {"READ-BACK": 3}
    assert by_part["answer id"].form_rules == {"HTTP-SCHEMA": 7}
    assert by_part["answer name"].is_form_only
    assert not by_part["answer organization_id"].is_checked
    assert by_part["status 200"].rules == {"NO-5XX": 1200, "READ-BACK": 3}


def test_a_rule_of_whole_answers_judges_every_field_that_was_there():
    by_part = {one.part: one for one in of_get_pool({"READ-BACK": ("*",)})}
    assert by_part["answer name"].rules == {"READ-BACK": 3}
    assert not by_part["answer organization_id"].rules


def test_unchecked_parts_come_first():
    lines = [click.unstyle(line) for line in render_coverage(of_get_pool(), has_counts=True)]
    heading = "Not checked (no rule judges the field or parameter; no answer had the status)"
    assert lines[0] == f"{heading}: {len(parts_of('get_pool')) - 3}"
    assert lines[1].startswith("  get_pool: status 400, status 401, ")
    assert lines[3:5] == ["Checked by schema only: no rule judges the value: 1", "  get_pool: answer name"]
    rows = [line.split(maxsplit=2) for line in lines if line.startswith(("  status 200", "  answer id"))]
    assert [row[2] for row in rows] == ["NO-5XX 1,200, READ-BACK 3", "READ-BACK 3"]
    assert lines[-1] == f"3 of {len(parts_of('get_pool'))} parts are checked."


def test_without_counts_the_rules_alone_are_shown():
    lines = [click.unstyle(line) for line in render_coverage(of_get_pool(), has_counts=False)]
    assert any(line.endswith("  NO-5XX, READ-BACK") for line in lines)


def test_it_is_json_too():
    [first, *_] = json.loads(json.dumps(list(map(dataclasses.asdict, of_get_pool()))))
    assert first == {
        "operation": "get_pool",
        "part": "status 200",
        "rules": {"NO-5XX": 1200, "READ-BACK": 3},
        "form_rules": {},
    }


def test_the_measured_coverage_names_existing_operations_and_rules():
    recorded = recorded_coverage()
    assert set(recorded) == set(operations())
    assert {rule for parts in recorded.values() for rules in parts.values() for rule in rules} <= set(REGISTRY)
    for operation, parts in recorded.items():
        assert {part for part in parts if not part.startswith("status ")} <= set(parts_of(operation))


def test_it_claims_no_more_than_it_counts():
    [line, *_] = [click.unstyle(line) for line in render_coverage([], has_counts=False)]
    assert line == "Every status, parameter and field of the document is checked."
