"""Every answer is judged by the documented form of its operation and status, under the rule that asks for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contracts.core.exchange import TOKEN, Answer, Request
from contracts.openapi.schemas import document, operations, responses, success_schema, success_status
from contracts.oracle.answer import universal_violations
from contracts.oracle.answer_schema import answer_violations, has_documented_form, is_run
from tests.contracts.oracle.test_oracle import JSON, M, P, W, answer, run_of

ATTACHMENT = {
    "id": W,
    "run_id": M,
    "filename": "a.txt",
    "content_type": "text/plain",
    "attachment_type": "input",
    "size_bytes": 1,
    "storage_path": "a",
    "created_at": "2026-01-02T03:04:05Z",
}


def broken(operation: str | None, told: Answer) -> list[tuple[str, str]]:
    return [(violation.rule, violation.cause) for violation in answer_violations(operation, told)]


def test_a_body_that_cannot_be_parsed_is_said_to_be_no_json() -> None:
    (wrong, *_) = answer_violations("get_run", answer(b'{"id": ', 200, JSON))

    assert wrong.got == 'application/json that is not valid JSON: {"id": '


def page(*items: Any, **more: Any) -> dict[str, Any]:
    return {"items": [*items], "total": len(items), "skip": 0, "limit": 100} | more


def examples() -> list[Any]:
    found = []
    for operation in operations():
        for status, response in responses(operation).items():
            for media in response.get("content", {}).values():
                for name, example in media.get("examples", {}).items():
                    found.append(pytest.param(operation, status, example["value"], id=f"{operation}-{status}-{name}"))
    return found


@pytest.mark.parametrize(("operation", "status", "body"), examples())
def test_every_example_of_the_document_is_right(operation: str, status: int, body: Any) -> None:
    assert not broken(operation, answer(body, status))


@pytest.mark.parametrize("operation", operations())
def test_every_field_of_every_success_is_judged(operation: str) -> None:
    if success_schema(operation) is None:
        return
    schemas = document()["components"]["schemas"]
    content = responses(operation)[success_status(operation)]["content"]["application/json"]
    component = schemas[content["schema"]["$ref"].rsplit("/", 1)[-1]]
    body = next(iter(content["examples"].values()))["value"]
    for name in component["properties"]:
        wrong = answer(body | {name: {"of": "no"} if name != "output_data" else 5}, success_status(operation))
        free = (
            any(each.get("type") == "object" for each in component["properties"][name].get("anyOf", ()))
            and name != "output_data"
        )
        assert bool(broken(operation, wrong)) is not free, name
        if name in component["required"]:
            missing = answer({key: body[key] for key in body if key != name}, success_status(operation))
            assert len(broken(operation, missing)) == 1


@pytest.mark.parametrize(
    ("operation", "body", "rule", "place"),
    [
        ("bulk_create_runs", {"created_runs": [run_of(id="x")]}, "BULK-IDS", "created_runs.[].id"),
        ("bulk_create_runs", {"created_runs": [run_of(id=W.upper())]}, "BULK-IDS", "created_runs.[].id"),
        ("bulk_create_runs", {"created_runs": [run_of(status=5)]}, "BULK-INITIAL", "created_runs.[].status"),
        (
            "bulk_create_runs",
            {"created_runs": [run_of(created_at="2026-01-02T03:04:05")]},
            "BULK-INITIAL",
            "created_runs.[].created_at",
        ),
        ("bulk_create_runs", {"created_runs": [run_of(), 5]}, "BULK-STATUS", "created_runs.[]"),
        ("bulk_create_runs", {"created_runs": [run_of(user_id=5)]}, "BULK-STATUS", "created_runs.[].user_id"),
        ("bulk_create_runs", {"created_runs": [], "failed_count": "0"}, "BULK-STATUS", "failed_count"),
        ("bulk_create_runs", {"created_runs": [], "errors": [5]}, "BULK-STATUS", "errors.[]"),
        ("bulk_create_runs", {"created_runs": "x"}, "BULK-STATUS", "created_runs"),
        ("bulk_create_runs", {}, "BULK-STATUS", "created_runs"),
        ("create_run", run_of(id="x"), "CREATE-ANSWER", "id"),
        ("get_run", run_of(started_at=1_700_000_000), "READ-BACK", "started_at"),
        ("get_run", run_of(included=[{"type": "machine"}]), "READ-BACK", "included"),
        ("update_run", run_of(error="x"), "UPDATE-PARTIAL", "error"),
        ("retry_run", run_of(session_id="x"), "RETRY-RULES", "session_id"),
        ("list_runs", page(run_of(), run_of(pool_ids="x")), "READ-BACK", "items.[].pool_ids"),
        ("list_runs", page(total="x"), "LIST-PAGE", "total"),
        ("create_run_chain", {"session_id": W, "run_ids": [W, "x"]}, "CHAIN-RULES", "run_ids.[]"),
        ("get_run_attachment", ATTACHMENT | {"size_bytes": -1}, "ATTACHMENTS", "size_bytes"),
        ("list_run_attachments", page(ATTACHMENT | {"run_id": "x"}), "ATTACHMENTS", "items.[].run_id"),
        ("get_run_attachment_download_url", {"url": "x", "expires_in": "300"}, "ATTACHMENTS", "expires_in"),
        ("health_check", {"status": 1}, "HTTP-SCHEMA", "status"),
        ("health_check", {}, "HTTP-SCHEMA", "status"),
    ],
)
def test_a_wrong_part_breaks_the_rule_of_its_operation(operation: str, body: Any, rule: str, place: str) -> None:
    told = answer(body, success_status(operation))

    assert broken(operation, told) == [(rule, f"{place} of {operation} is not of its schema")]


def test_a_field_that_is_wrong_in_many_items_is_one_violation_about_the_first() -> None:
    (violation,) = answer_violations("list_runs", answer(page(*(run_of(n, error="x") for n in range(9))), 200))

    assert violation.got == 'items.0.error "x"'
    assert violation.about == run_of(0)["id"]


def test_a_missing_field_is_described_as_missing() -> None:
    body = {name: value for name, value in run_of().items() if name != "status"}

    assert [violation.got for violation in answer_violations("get_run", answer(body, 200))] == ["no status"]


@pytest.mark.parametrize(
    ("operation", "told", "cause"),
    [
        ("get_run", answer(run_of(), 201), "another status from get_run"),
        ("get_run", answer([], 200), "no object from get_run"),
        ("get_run", answer(b"x", 200), "no JSON from get_run"),
        ("get_run", answer({}, 200, ()), "another content type from get_run"),
        ("get_run", answer({}, 200, (("content-type", "application/hal+json"),)), "another content type from get_run"),
        ("delete_run", answer({}, 200), "another status from delete_run"),
        ("download_run_attachment", answer(b"a", 206, ()), "another status from download_run_attachment"),
        ("get_run", answer({}, 206, (("content-range", "bytes 0-1/9"),)), "another status from get_run"),
        ("list_machines", answer([], 200), "no object from list_machines"),
    ],
)
def test_a_success_of_another_form_is_not_judged_further(operation: str, told: Answer, cause: str) -> None:
    assert [found for _, found in broken(operation, told)] == [cause]
    assert not has_documented_form(operation, told)


def test_the_form_of_an_answer_to_a_malformed_url_is_not_judged() -> None:
    refused = answer(b"Bad Request", 400, (("content-type", "text/plain"),))
    for path, is_judged in (("/v1/runs/%zz", False), ("/v1/runs?search=%", False), ("/v1/runs/%2F", True)):
        assert bool([*universal_violations("get_run", Request("GET", path), refused, [])]) is is_judged
    assert [*universal_violations("get_run", Request("GET", "/v1/runs/%zz"), answer({}, 500), [])]


@pytest.mark.parametrize(("status", "rules"), [(200, []), (422, []), (500, ["NO-5XX"])])
def test_the_form_of_an_answer_is_not_judged_that_is_nested_too_deeply_to_be_read(
    status: int, rules: list[str]
) -> None:
    told = answer(b'{"detail": "x", "input_values": {"a": %b}}' % (b"[" * 5000 + b"]" * 5000), status, JSON)

    request = Request("GET", f"/v1/runs/{W}", (("Authorization", TOKEN),))

    assert [found.rule for found in universal_violations("get_run", request, told, [], judges_form=False)] == rules
    assert list(universal_violations("get_run", request, told, []))


def test_an_error_may_be_of_any_type_of_json() -> None:
    for content_type, is_right in (("application/problem+json", True), ("text/html", False)):
        told = answer({"detail": "Run not found"}, 404, (("content-type", content_type),))
        assert (not list(answer_violations("get_run", told))) is is_right


def test_a_body_that_cannot_be_decoded_is_named_by_its_coding() -> None:
    headers = (("content-type", "application/json"), ("content-encoding", "gzip"))
    (violation,) = answer_violations("get_run", answer(b"\x1f\x8b\x08", 200, headers))

    assert violation.got == "application/json in gzip, which cannot be decoded"


@pytest.mark.parametrize(
    ("operation", "told"),
    [
        ("get_run", answer(run_of(of_later={"a": 1}), 200)),
        ("delete_run", answer(b"", 204, ())),
        ("download_run_attachment", answer(b"\xff", 200, ())),
        ("download_run_attachment", answer(b"\xff", 206, (("content-range", "bytes 0-0/9"),))),
        ("list_runs", answer(page(limit=100.0), 200)),
        ("get_run", answer(b"", 304, ())),
        (None, answer("anything", 200)),
    ],
)
def test_additional_properties_and_undocumented_answers_are_allowed(operation: str | None, told: Answer) -> None:
    assert not broken(operation, told)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("started_at", 1_700_000_000),
        ("ended_at", "yesterday at 5"),
        ("ended_at", "2026-01-02T03:04:05"),
        ("user_id", M.upper()),
        ("release_session_after", "yes"),
        ("release_session_after", 1),
        ("pool_ids", [P[0], P[1].upper()]),
    ],
)
def test_a_form_that_only_requests_may_have_is_wrong_in_an_answer(name: str, value: Any) -> None:
    assert not is_run(run_of() | {name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("started_at", None),
        ("ended_at", "2026-01-02t03:04:05.123456789-08:00"),
        ("ended_at", "0001-01-01T00:00:00Z"),
        ("ended_at", "2016-12-31T23:59:60Z"),
    ],
)
def test_every_documented_form_is_right_in_an_answer(name: str, value: Any) -> None:
    assert is_run(run_of() | {name: value})
    assert not is_run(value)


@pytest.mark.parametrize(
    ("detail", "status", "violations"),
    [
        ("no", 404, []),
        ("no", 422, []),
        ([{"loc": ["body"], "msg": "no", "type": "value_error", "input": 1, "ctx": {}}], 422, []),
        ([{"loc": ["body"], "msg": "no", "type": "value_error"}], 400, []),
        ({"code": 5}, 404, [("HTTP-ERROR-JSON", "detail of a 404 is not of its schema")]),
        (5, 409, [("HTTP-ERROR-JSON", "detail of a 409 is not of its schema")]),
        (["no"], 404, [("HTTP-ERROR-JSON", "detail.[] of a 404 is not of its schema")]),
        (["no"], 422, [("REQ-ERROR", "detail.[] of a 422 is not of its schema")]),
        ([{"loc": ["body"], "type": "x"}], 422, [("REQ-ERROR", "detail.[].msg of a 422 is not of its schema")]),
        (
            [{"loc": "body", "msg": "", "type": "x"}],
            422,
            [("REQ-ERROR", "detail.[].loc of a 422 is not of its schema")],
        ),
        ({"code": 5}, 403, []),
        ({"code": 5}, 418, []),
        ([], 422, [("HTTP-ERROR-JSON", "422: no detail")]),
    ],
)
def test_the_detail_of_a_documented_error_is_a_text_or_a_list_of_errors(
    detail: Any, status: int, violations: list[tuple[str, str]]
) -> None:
    assert broken("retry_run", answer({"detail": detail, "request_id": "r-1"}, status)) == violations


@pytest.mark.parametrize(
    ("path", "token", "body", "is_judged"),
    [
        (f"/v1/runs/{W}", TOKEN, {}, True),
        ("/v1/runs/search", TOKEN, {}, False),
        (f"/v1/runs/{W}", "Bearer nobody", {}, False),
        (f"/v1/runs/{W}", TOKEN, {"error": "x"}, False),
    ],
)
def test_the_success_of_a_request_that_is_not_of_the_documented_form_is_not_judged(
    path: str, token: str, body: Any, is_judged: bool
) -> None:
    request = Request("PATCH", path, (*JSON, ("Authorization", token)), json.dumps(body).encode())

    assert bool([*universal_violations("update_run", request, answer({}, 200), [])]) == is_judged
