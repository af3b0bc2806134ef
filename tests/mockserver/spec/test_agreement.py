"""In lax, ours and FastAPI with pydantic 2 say the same of every request: status, all violations, and values read.

Where they differ on purpose stands in `test_what_differs_…`, each with its reason.
"""

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver.spec import Invalid, Operation, RawRequest, compile_operations, load, render_json
from tests.mockserver.spec import requests
from tests.mockserver.spec.reference import Reference
from tests.mockserver.spec.requests import UUID, bulk

PATHS = {
    "bulk_create_runs": ("POST", "/v1/runs/bulk"),
    "update_run": ("PATCH", "/v1/runs/{run_id}"),
    "retry_run": ("POST", "/v1/runs/{run_id}/retry"),
    "create_run_chain": ("POST", "/v1/runs/chain"),
    "list_runs": ("GET", "/v1/runs"),
}


@pytest.fixture(scope="module")
def operations() -> dict[str, Operation]:
    return compile_operations(load(files("openapi") / "cyberdesk.yaml"), coercion="lax")


@pytest.fixture(scope="module")
def reference() -> Iterator[Reference]:
    server = Reference()
    yield server
    server.close()


def ours(
    operation: Operation,
    *,
    run_id: str = UUID,
    query: bytes = b"",
    headers: dict[str, str] | None = None,
    content_type: str | None = "application/json",
    body: bytes = b"",
) -> tuple[int, Any]:
    """Status, and what was read (by parameter, and body) or the JSON of the refusal."""
    lower = {name.lower(): value for name, value in (headers or {}).items()}
    path = {"run_id": run_id} if "run_id" in operation.path else {}
    try:
        call = operation.decode(RawRequest(path, query, lower.get, content_type, body))
    except Invalid as invalid:
        return invalid.status, json.loads(render_json({"detail": invalid.violations or invalid.detail}))
    read = {**call.path, **call.query, **{name.replace("-", "_"): value for name, value in call.headers.items()}}
    return 200, {**read, "body": call.body, "given": call.sent_fields} if operation.has_body else read


def theirs(reference: Reference, operation_id: str, *, run_id: str = UUID, **request: Any) -> tuple[int, Any]:
    method, path = PATHS[operation_id]
    status, answer = reference.call(method, path.replace("{run_id}", run_id), **request)
    if status != 200:
        return status, json.loads(render_json(answer))
    return 200, {**reference.read, "given": reference.given} if "body" in reference.read else reference.read


def without_absent(value: Any) -> Any:
    """pydantic fills what was not sent with null, ours leaves it out; the API says that is the same."""
    if isinstance(value, dict):
        return {name: without_absent(member) for name, member in value.items() if member is not None}
    return [without_absent(member) for member in value] if isinstance(value, list) else value


def assert_same(operations: dict[str, Operation], reference: Reference, operation_id: str, **request: Any) -> None:
    our_status, our_answer = ours(operations[operation_id], **request)
    their_status, their_answer = theirs(reference, operation_id, **request)
    if our_status == 200:
        our_answer, their_answer = without_absent(our_answer), without_absent(their_answer)
    assert (our_status, our_answer) == (their_status, their_answer)


@pytest.mark.parametrize("body", requests.BULK_BODIES, ids=lambda body: repr(body[:60]))
def test_each_boundary_case_of_a_bulk_create_reads_as_with_fastapi(operations, reference, body):
    assert_same(operations, reference, "bulk_create_runs", body=body)


@pytest.mark.parametrize("body", requests.UPDATE_BODIES, ids=lambda body: repr(body[:60]))
@pytest.mark.parametrize("run_id", [UUID, "x"])
def test_each_boundary_case_of_an_update_reads_as_with_fastapi(operations, reference, body, run_id):
    assert_same(operations, reference, "update_run", body=body, run_id=run_id)


@pytest.mark.parametrize("body", requests.CHAIN_BODIES, ids=lambda body: repr(body[:60]))
def test_each_boundary_case_of_a_chain_reads_as_with_fastapi(operations, reference, body):
    assert_same(operations, reference, "create_run_chain", body=body)


@pytest.mark.parametrize("query", requests.QUERIES, ids=lambda query: repr(query[:60]))
def test_every_query_reads_as_with_fastapi(operations, reference, query):
    assert_same(operations, reference, "list_runs", query=query, content_type=None)


@pytest.mark.parametrize("run_id", requests.IDS)
def test_every_path_value_reads_as_with_fastapi(operations, reference, run_id):
    assert_same(operations, reference, "update_run", run_id=run_id, body=b'{"status": 1}')


@pytest.mark.parametrize("content_type", requests.CONTENT_TYPES)
@pytest.mark.parametrize("body", [bulk(), b"abc", b"", "é".encode()])
def test_every_content_type_is_taken_as_with_fastapi(operations, reference, content_type, body):
    assert_same(operations, reference, "bulk_create_runs", content_type=content_type, body=body)


@pytest.mark.parametrize("key", ["a", "", "k" * 255, "k" * 256, "é"])
@pytest.mark.parametrize("body", [bulk(), b"{}"])
def test_every_header_value_reads_as_with_fastapi(operations, reference, key, body):
    assert_same(operations, reference, "bulk_create_runs", headers={"Idempotency-Key": key}, body=body)


@pytest.mark.parametrize(
    ("operation_id", "bodies"),
    [
        ("bulk_create_runs", requests.bulk_bodies),
        ("update_run", requests.update_bodies),
        ("create_run_chain", requests.chain_bodies),
        ("retry_run", requests.retry_bodies),
        ("bulk_create_runs", requests.junk),
    ],
)
def test_every_generated_body_reads_as_with_fastapi(operations, reference, operation_id, bodies):
    @settings(max_examples=50)
    @given(bodies)
    def law(body):
        assert_same(operations, reference, operation_id, body=json.dumps(body).encode())

    law()


@settings(max_examples=100)
@given(requests.bulk_bodies, st.integers(0, 10_000), st.integers(0, 255))
def test_every_damaged_body_reads_as_with_fastapi(operations, reference, body, at, byte):
    assert_same(operations, reference, "bulk_create_runs", body=requests.damaged(json.dumps(body).encode(), at, byte))


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(["limit", "skip", "fields", "status", "search"]), st.text(max_size=4))))
def test_every_generated_query_reads_as_with_fastapi(operations, reference, pairs):
    from urllib.parse import urlencode

    query = urlencode([(name, value.encode("utf-8", "surrogatepass")) for name, value in pairs]).encode()
    assert_same(operations, reference, "list_runs", query=query, content_type=None)


# --- What differs, and why --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e400"])
def test_what_differs_free_form_numbers_that_are_not_finite_are_refused_since_json_cannot_say_them(
    operations, reference, number
):
    body = b'{"workflow_id": "%s", "count": 1, "input_values": {"a": [%s]}}' % (UUID.encode(), number.encode())

    assert theirs(reference, "bulk_create_runs", body=body)[0] == 200
    status, answer = ours(operations["bulk_create_runs"], body=body)
    assert (status, answer["detail"][0]["type"], answer["detail"][0]["loc"]) == (
        422,
        "finite_number",
        ["body", "input_values", "a", 0],
    )


def test_what_differs_nesting_past_256_is_refused_early_so_that_what_was_read_can_always_be_written(
    operations, reference
):
    def nested(depth):
        return b'{"workflow_id": "%s", "count": 1, "input_values": {"a": %s%s}}' % (
            UUID.encode(),
            b"[" * depth,
            b"]" * depth,
        )

    assert_same(operations, reference, "bulk_create_runs", body=nested(254))
    assert theirs(reference, "bulk_create_runs", body=nested(255))[0] == 200
    assert ours(operations["bulk_create_runs"], body=nested(255)) == (
        400,
        {"detail": "There was an error parsing the body"},
    )


def test_what_differs_bytes_that_are_no_text_are_echoed_with_replacements_where_fastapi_fails(operations, reference):
    assert theirs(reference, "bulk_create_runs", content_type="text/plain", body=b"a\xff")[0] == 500
    status, answer = ours(operations["bulk_create_runs"], content_type="text/plain", body=b"a\xff")
    assert (status, answer["detail"][0]["input"]) == (422, "a\ufffd")


def test_what_differs_secrets_are_masked_in_what_is_echoed(operations, reference):
    body = json.dumps({"count": 1, "sensitive_input_values": {"pin": "correct-horse"}}).encode()

    assert theirs(reference, "bulk_create_runs", body=body)[1]["detail"][0]["input"]["sensitive_input_values"] == {
        "pin": "correct-horse"
    }
    _, answer = ours(operations["bulk_create_runs"], body=body)
    assert answer["detail"][0] == {
        "type": "missing",
        "loc": ["body", "workflow_id"],
        "msg": "Field required",
        "input": {"count": 1, "sensitive_input_values": "**********"},
    }
