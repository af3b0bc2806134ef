"""The document of the control API: valid, complete, and true, as schemathesis finds."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.documents import control_document
from tests.mockserver.admin.control import ControlledMock, controlled_mock
from tests.processes import serving

_MAX_EXAMPLES = 5


def _operations() -> dict[str, dict[str, Any]]:
    return {
        operation["operationId"]: operation
        for item in control_document()["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict)
    }


def test_it_is_a_valid_openapi_document():
    OpenAPIV31SpecValidator(control_document()).validate()


def test_it_is_served_as_it_stands():
    mock = controlled_mock()

    assert mock.get("/__admin/openapi.json", token=None).json() == json.loads(json.dumps(control_document()))
    assert mock.request("HEAD", "/__ns/a/__admin/openapi.json", token=None).status_code == 200


def test_each_operation_says_who_is_refused_and_what_is_too_large():
    for name, operation in _operations().items():
        wanted = {"401", "403"} | ({"400", "413", "422"} if "requestBody" in operation else set())
        assert wanted <= operation["responses"].keys(), name


def test_each_operation_has_a_summary_of_its_own_and_a_tag_that_is_described():
    operations = _operations()
    tags = {tag["name"] for tag in control_document()["tags"]}

    assert len({operation["summary"] for operation in operations.values()}) == len(operations)
    assert all(set(operation["tags"]) <= tags for operation in operations.values())


def test_each_schema_is_used():
    text = json.dumps(control_document())

    unused = [name for name in control_document()["components"]["schemas"] if f'schemas/{name}"' not in text]
    assert unused == []


@pytest.mark.matrix
def test_schemathesis_finds_nothing(tmp_path: Path):
    """With every check but positive_data_acceptance: no schema says that an operationId exists, that the moments of a
    run stand in order, or that an id is not in use yet. `watch` is left out since it does not end.
    """
    with serving("--log-level", "warning") as (_, url):
        report = _run(f"{url}/__admin/openapi.json", url, tmp_path)

    assert (report["failures"], report["errors"]) == ([], []), report["printed"]
    assert (report["exit_code"], report["complete"]) == (0, True)
    assert report["operations"]["tested"] == len(_operations()) - 1
    assert report["test_cases"]["generated"] > 500
    print("schemathesis: seed {seed}, {test_cases[generated]} cases, 0 failures".format(**report))


def _run(document_url: str, url: str, folder: Path) -> Any:
    (folder / "schemathesis.toml").touch()  # so that none of a folder further up is taken
    command = [sys.executable, "-m", "schemathesis.cli", "run", document_url, "--url", url]
    command += ["--checks", "all", "--continue-on-failure", "--seed", "1"]
    command += ["--max-examples", str(_MAX_EXAMPLES), "--exclude-checks", "positive_data_acceptance"]
    command += ["--exclude-operation-id", "watch", "--generation-database", "none"]
    command += ["--report", "json", "--report-json-path", "report.json", "--no-color"]
    done = subprocess.run(command, cwd=folder, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert (folder / "report.json").exists(), done.stdout + done.stderr
    return {**json.loads((folder / "report.json").read_text()), "printed": done.stdout}


def test_no_word_stands_where_a_term_of_the_field_would():
    """Descriptions that a reader would have to guess at, as they once stood here."""
    guesses = re.compile(
        r"\b(It is\.|None is left|slip of the pen|There is no such thing|They are there|All of them\.)"
    )

    assert guesses.findall(json.dumps(control_document())) == []


def test_a_body_is_json_whatever_its_content_type_says():
    mock = ControlledMock()

    answer = mock.request(
        "POST",
        "/__admin/clock",
        content=b'{"advance": 1}',
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )

    assert answer.json()["now"] == "2025-03-04T09:00:03.000000Z"


def test_a_wrong_path_or_method_is_answered_with_what_there_is():
    mock = ControlledMock()

    assert mock.control("GET", "/nope").json() == {
        "detail": "The control API has no path /__admin/nope; /__admin/openapi.json lists them"
    }
    refused = mock.control("PUT", "/clock")
    assert refused.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    assert refused.json() == {"detail": "PUT is not allowed here; allowed: GET, HEAD, OPTIONS, POST"}
