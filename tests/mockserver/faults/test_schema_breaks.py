"""break-schema, for each operation and each way: the answer breaks the schema in the named way, and in no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import jsonschema
import pytest

from mockserver.faults.schema_breaks import HOWS
from tests.documents import api_document
from tests.mockserver.admin.control import ControlledMock, controlled_mock
from tests.mockserver.inprocess import FRONT_DESK_1, FRONT_DESKS, SUCCEEDS, TAKES_TWENTY_MINUTES

_DOCUMENT = api_document()


def _operations() -> dict[str, dict[str, Any]]:
    """By operationId: method, path, and the schema of the answer of success where it is JSON."""
    found = {}
    for path, item in _DOCUMENT["paths"].items():
        for method, operation in item.items():
            if "operationId" in operation:
                response = next(
                    value for status, value in operation["responses"].items() if str(status).startswith("2")
                )
                schema = response.get("content", {}).get("application/json", {}).get("schema")
                found[operation["operationId"]] = {"method": method.upper(), "path": path, "schema": schema}
    return found


_OPERATIONS = {name: each for name, each in _operations().items() if each["schema"]}


def _asked(mock: ControlledMock, name: str) -> Callable[[], httpx.Response]:
    """What sends a request of the operation that succeeds, and has something in its answer."""
    file = {"filename": "a.txt", "content": "YQ=="}
    run = mock.create(TAKES_TWENTY_MINUTES, file_inputs=[file])
    attachment_id = run["input_attachment_ids"][0]
    ended = mock.create(SUCCEEDS)
    mock.turn_clock(advance="2m")
    assert mock.status(ended["id"]) == "success"
    method, path = _OPERATIONS[name]["method"], _OPERATIONS[name]["path"]
    ids = {
        "run_id": ended["id"] if name == "retry_run" else run["id"],
        "attachment_id": attachment_id,
        "machine_id": FRONT_DESK_1,
        "pool_id": FRONT_DESKS,
        "workflow_id": SUCCEEDS,
    }
    bodies: dict[str, Any] = {
        "create_run": {"workflow_id": SUCCEEDS},
        "bulk_create_runs": {"workflow_id": SUCCEEDS, "count": 2},
        "create_run_chain": {"steps": [{"workflow_id": SUCCEEDS}]},
        "update_run": {"error": ["x"]},
        "retry_run": {},
        "create_pool": {"name": "new"},
        "add_machine_to_pool": {"machine_ids": [FRONT_DESK_1]},
        "create_workflow": {"name": "new", "main_prompt": "Do it"},
    }
    how = {"json": bodies[name]} if name in bodies else {}
    return lambda: mock.request(method, path.format(**ids), **how)


def _errors(name: str, value: Any) -> list[jsonschema.ValidationError]:
    schema = {**_OPERATIONS[name]["schema"], "components": _DOCUMENT["components"]}
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    return list(jsonschema.Draft202012Validator(schema, format_checker=checker).iter_errors(value))


def _leaves(error: jsonschema.ValidationError) -> list[jsonschema.ValidationError]:
    """What is wrong inside an anyOf, in its closest branch."""
    if not error.context:
        return [error]
    return [leaf for each in error.context for leaf in _leaves(each)]


_BREAKS: dict[str, Callable[[jsonschema.ValidationError], bool]] = {
    "missing-field": lambda error: error.validator == "required",
    "wrong-type": lambda error: error.validator == "type" and error.instance is not None,
    "unknown-status": lambda error: error.validator in ("enum", "const") and error.path[-1] == "status",
    "bad-date": lambda error: error.validator == "format" and error.validator_value == "date-time",
    "extra-null": lambda error: error.validator == "type" and error.instance is None,
}


def _has(name: str, how: str, value: Any) -> bool:
    """Whether the answer has a field that can be broken so."""
    text = json.dumps(value)
    if how == "unknown-status":
        # That of health_check may be any text.
        return '"status"' in text and name != "health_check"
    if how == "bad-date":
        return any(f'"{field}": "2' in text for field in ("created_at", "started_at", "ended_at", "last_seen"))
    return True


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", _OPERATIONS)
def test_the_answer_breaks_the_schema_in_the_named_way_and_in_one_place_only(name, how):
    sound = _asked(controlled_mock(), name)().json()
    mock = controlled_mock()
    ask = _asked(mock, name)
    mock.fault(match=name, fault="break-schema", how=how)

    answer = ask()

    assert 200 <= answer.status_code < 300, answer.text
    value = answer.json()
    assert int(answer.headers["content-length"]) == len(answer.content)
    errors = _errors(name, value)
    if name != "get_run_attachment_download_url":  # whose signatures differ
        assert (value == sound) is not (_has(name, how, sound) or (name, how) == ("health_check", "unknown-status"))
    if not _has(name, how, sound):
        assert errors == []
        return
    assert len(errors) == 1, [error.message for error in errors]
    [error] = errors
    assert any(_BREAKS[how](leaf) for leaf in _leaves(error)), (error.message, list(error.path))


@pytest.mark.parametrize("name", _OPERATIONS)
def test_without_the_fault_the_answer_fits(name):
    mock = controlled_mock()

    answer = _asked(mock, name)()

    assert _errors(name, answer.json()) == []
