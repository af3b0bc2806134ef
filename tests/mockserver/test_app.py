"""The mock put together: of the built-in spec, or of another."""

from __future__ import annotations

import base64
import threading
from pathlib import Path
from typing import Any

import pytest

from mockserver import Settings, app, create_app
from mockserver.errors import StartError
from mockserver.spec import Operation
from tests.mockserver.inprocess import SUCCEEDS, Mock

_SPEC = """
openapi: 3.1.0
info: {title: Things, version: "1"}
security: [{bearer: []}]
paths:
  /v1/runs/{run_id}:
    get:
      operationId: get_run
      parameters: [{name: run_id, in: path, required: true, schema: {type: string, format: uuid}}]
      responses:
        "200": {description: A run., content: {application/json: {schema: {type: object}}}}
        "404": {description: None., content: {application/json: {schema: {type: object}}}}
  /v1/things/{size}:
    get:
      operationId: get_thing
      parameters: [{name: size, in: path, required: true, schema: {type: integer}}]
      responses:
        "200":
          description: A thing.
          content:
            application/json:
              schema: {$ref: "#/components/schemas/Thing"}
    delete:
      operationId: drop_thing
      parameters: [{name: size, in: path, required: true, schema: {type: integer}}]
      responses:
        "204": {description: Gone.}
  /v1/notes:
    get:
      operationId: get_note
      security: []
      responses:
        "200":
          description: A note.
          content: {application/json: {schema: {type: object}, example: {text: from the example}}}
components:
  securitySchemes: {bearer: {type: http, scheme: bearer}}
  schemas:
    Thing:
      type: object
      required: [name, size]
      properties: {name: {type: string}, size: {type: integer, minimum: 3, maximum: 9}}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "things.yaml"
    path.write_text(_SPEC, encoding="utf-8")
    return path


def test_an_operation_without_behaviour_answers_from_its_example(spec: Path):
    answer = Mock(spec=spec).get("/v1/notes", token=None)
    assert (answer.status_code, answer.json()) == (200, {"text": "from the example"})


def test_an_operation_without_behaviour_and_example_answers_from_its_schema_each_time_alike(spec: Path):
    mock = Mock(spec=spec)
    answers = [each.get("/v1/things/1") for each in (mock, mock, Mock(spec=spec))]
    thing: dict[str, Any] = answers[0].json()
    assert isinstance(thing["name"], str)
    assert 3 <= thing["size"] <= 9
    assert len({answer.content for answer in answers}) == 1


def test_an_operation_without_behaviour_and_body_answers_without_one(spec: Path):
    answer = Mock(spec=spec).delete("/v1/things/1")
    assert (answer.status_code, answer.content) == (204, b"")


def test_an_operation_without_behaviour_judges_its_requests_too(spec: Path):
    # This spec documents none of the refusals, and a self-check does not ask for them.
    mock = Mock(spec=spec, self_check=True)
    assert mock.get("/v1/things/many").status_code == 422
    assert mock.get("/v1/things/1", token=None).status_code == 401
    assert mock.get("/v1/machines").status_code == 404


def test_an_operation_that_the_mock_knows_behaves_under_another_spec_too(spec: Path):
    assert Mock(spec=spec).get(f"/v1/runs/{SUCCEEDS}").status_code == 404


def test_lists_behave_under_a_spec_that_lets_nobody_page_them(tmp_path: Path):
    path = tmp_path / "short.yaml"
    listing = "{schema: {type: object}}"
    paths = "".join(
        f"""  /v1/{name}:
    get:
      operationId: list_{name.replace("-", "_")}
      responses: {{"200": {{description: some, content: {{application/json: {listing}}}}}}}
"""
        for name in ("runs", "machines", "pools", "workflows", "run-attachments")
    )
    path.write_text(f"openapi: 3.1.0\ninfo: {{title: short, version: '1'}}\npaths:\n{paths}", encoding="utf-8")
    mock = Mock(spec=path)
    for name in ("runs", "machines", "pools", "workflows", "run-attachments"):
        answer = mock.get(f"/v1/{name}")
        assert answer.status_code == 200
        assert answer.json()["limit"] == 100


def test_every_operation_of_the_built_in_spec_but_the_health_check_has_a_behaviour_and_every_behaviour_an_operation():
    assert set(create_app().operations) == {*app.BEHAVIOURS, "health_check"}


def test_a_built_in_spec_without_an_operation_that_has_a_behaviour_stops_the_start(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(app, "BEHAVIOURS", {**app.BEHAVIOURS, "fly": None, "beam": None})
    with pytest.raises(StartError, match="lacks operations that have a behaviour: beam, fly"):
        create_app(Settings())


def test_an_answer_that_does_not_fit_the_spec_is_a_loud_500_when_answers_are_checked(tmp_path: Path):
    path = tmp_path / "narrow.yaml"
    narrow = "{type: object, required: [never], properties: {never: {type: integer}}}"
    path.write_text(_SPEC.replace("{schema: {type: object}, example", f"{{schema: {narrow}, example"), encoding="utf-8")
    answer = Mock(spec=path).get("/v1/notes", fails=True)
    assert answer.status_code == 500
    assert answer.json()["detail"].startswith("self-check: the answer of get_note does not fit the spec")
    assert Mock(spec=path, self_check=False).get("/v1/notes").status_code == 200


@pytest.mark.parametrize(
    ("input_values", "checks"), [({"a": [0] * 600}, True), ({"a": "x" * 10_000}, False)], ids=["checked", "too large"]
)
def test_a_large_answer_is_checked_in_a_thread_without_the_limits_of_requests_unless_it_is_too_large(
    input_values: dict[str, Any], checks: bool, monkeypatch: pytest.MonkeyPatch
):
    threads: list[str] = []

    def recorded(operation: Operation, status: int, content_type: str | None, body: bytes) -> str | None:
        threads.append(threading.current_thread().name.split("_")[0])
        return check_reply(operation, status, content_type, body)

    check_reply = Operation.check_reply
    monkeypatch.setattr(Operation, "check_reply", recorded)

    mock = Mock(self_check=True)
    assert len(mock.create_many(1_000, input_values=input_values)) == 1_000
    assert threads == ["decoder"] * checks


def test_a_file_that_is_too_large_to_check_is_sent_as_without_the_check():
    def downloaded(self_check: bool) -> Any:
        mock = Mock(self_check=self_check)
        content = base64.b64encode(bytes(9 * 2**20)).decode()
        (run,) = mock.create_many(1, file_inputs=[{"filename": "a.bin", "content": content}])
        answer = mock.get(f"/v1/run-attachments/{run['input_attachment_ids'][0]}/download")
        return {name: value for name, value in answer.headers.items() if name != "content-disposition"}

    assert downloaded(True) == downloaded(False)
    assert downloaded(True)["content-length"] == str(9 * 2**20)


def test_a_refusal_that_quotes_a_large_body_more_than_once_is_checked_without_the_limits_of_requests():
    answer = Mock(self_check=True).post("/v1/runs/bulk", {"x": [0] * 590_000})
    assert [each["type"] for each in answer.json()["detail"]] == ["missing", "missing"]
