"""The fields that a rule is said to judge are those whose change it finds."""

import copy
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from contracts.core.exchange import Answer
from contracts.core.findings import EVERY_FIELD
from contracts.openapi.fields import fields_of_answer
from contracts.openapi.schemas import operations
from contracts.oracle.create import Seen, judge_create
from contracts.oracle.request import read_body
from contracts.rules import REGISTRY

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
WORKFLOW, MACHINE, POOL, OTHER = (f"{digit}0000000-0000-4000-8000-000000000001" for digit in range(1, 5))
BODY = {"workflow_id": WORKFLOW, "input_values": {"a": 1}, "sensitive_input_values": {"s": "secret"}}
RUN: dict[str, Any] = {
    "id": OTHER,
    "workflow_id": WORKFLOW,
    "machine_id": None,
    "user_id": None,
    "organization_id": "org",
    "status": "scheduling",
    "error": None,
    "output_data": None,
    "input_attachment_ids": [],
    "output_attachment_ids": None,
    "run_message_history": None,
    "input_values": {"a": 1},
    "pool_ids": None,
    "sensitive_input_aliases": {"s": "alias"},
    "session_id": None,
    "session_alias": None,
    "release_session_after": None,
    "created_at": NOW.isoformat(),
}
CHANGED: dict[str, Any] = {
    "workflow_id": OTHER,
    "machine_id": OTHER,
    "status": "running",
    "error": ["an error"],
    "output_data": {"a": 1},
    "input_attachment_ids": [OTHER],
    "input_values": {"a": 2},
    "pool_ids": [OTHER],
    "sensitive_input_aliases": {},
    "session_id": OTHER,
    "session_alias": "another",
    "release_session_after": False,
    "created_at": "2020-01-01T00:00:00Z",
}


def rules_that_notice(body: dict[str, Any], change: dict[str, Any], *, single: bool = False) -> set[str]:
    run = copy.deepcopy(RUN) | {key: value for key, value in body.items() if key in ("machine_id", "pool_ids")}
    run |= {key: body[key] for key in ("release_session_after", "session_alias") if key in body}
    run |= change
    operation = "create_run" if single else "bulk_create_runs"
    answered = run if single else {"created_runs": [run, run | {"id": POOL}], "failed_count": 0, "errors": []}
    parsed = read_body(operation, body if single else body | {"count": 2})
    answer = Answer(201, (("content-type", "application/json"),), json.dumps(answered).encode())
    found = judge_create(parsed, answer, now=NOW, seen=Seen(), source=None).violations
    return {violation.rule for violation in found}


def test_the_answer_that_is_changed_is_right():
    assert rules_that_notice(BODY, {}) == set()
    assert rules_that_notice(BODY | {"release_session_after": True}, {}, single=True) == set()


@pytest.mark.parametrize("field", CHANGED)
def test_a_changed_field_of_a_bulk_create_breaks_the_rule_that_judges_it(field):
    # A value that a newer field has by default says nothing about the request of a bulk create.
    body = BODY | ({"machine_id": MACHINE} if field == "machine_id" else {})
    judging = {rule.id for rule in REGISTRY.values() if rule.id.startswith("BULK-") and field in rule.value_fields}
    assert rules_that_notice(body, {field: CHANGED[field]}) == judging


@pytest.mark.parametrize("field", CHANGED)
def test_a_changed_field_of_a_single_create_breaks_the_rule_that_judges_it(field):
    body = BODY | {"release_session_after": True} | ({"machine_id": MACHINE} if field == "machine_id" else {})
    is_judged = field in REGISTRY["CREATE-ANSWER"].value_fields
    assert bool(rules_that_notice(body, {field: CHANGED[field]}, single=True)) is is_judged


def test_an_id_that_is_there_twice_is_noticed():
    assert "id" in REGISTRY["BULK-IDS"].value_fields
    assert rules_that_notice(BODY, {"id": POOL}) == {"BULK-IDS"}


def test_the_rules_name_fields_that_there_are():
    documented = {
        part.rpartition(".")[2].removeprefix("answer ")
        for operation in operations()
        for part in fields_of_answer(operation)
    } | {"url", "expires_in", "usage_metadata"}  # the answers with the first two, and newer servers, have these
    named = {field for rule in REGISTRY.values() for field in rule.value_fields} - {EVERY_FIELD}
    assert named - documented == set()
