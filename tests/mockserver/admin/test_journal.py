"""The journal: what clients have sent and were answered, in order, with the reasons of refusals."""

from __future__ import annotations

import asyncio
import base64
import threading
from typing import Any

import pytest

from mockserver import masking
from mockserver.request_lint import texts_of_numbers
from mockserver.spec import Invalid, Masker
from tests.mockserver.admin.control import START, ControlledMock, controlled_mock
from tests.mockserver.inprocess import ENDS_AT_ONCE, SUCCEEDS, unknown_id


def test_an_entry_holds_the_whole_exchange():
    mock = controlled_mock()
    answer = mock.post(
        "/v1/runs?a=1&b=2&b=3&c=", {"workflow_id": SUCCEEDS}, headers={"X-Mine": "one"}, key="k-1", prefer="delay=0"
    )

    [entry] = mock.requests()

    assert {name: entry[name] for name in ("seq", "method", "path", "status", "operation", "valid", "reason")} == {
        "seq": 1,
        "method": "POST",
        "path": "/v1/runs",
        "status": 201,
        "operation": "create_run",
        "valid": True,
        "reason": None,
    }
    assert entry["at"] == "2025-03-04T09:00:02.000000Z"
    assert entry["query"] == {"a": "1", "b": ["2", "3"], "c": ""}
    assert entry["headers"]["x-mine"] == "one"
    assert entry["headers"]["idempotency-key"] == "k-1"
    assert entry["body"] == {"workflow_id": SUCCEEDS}
    assert entry["organization"] == answer.json()["organization_id"]
    assert entry["answer"]["body"]["id"] == answer.json()["id"]
    assert entry["answer"]["headers"]["content-type"] == "application/json"
    assert (entry["answer"]["bytes"], entry["answer"]["truncated"]) == (len(answer.content), False)
    assert 0 <= entry["duration_ms"] < 60_000
    assert mock.asked("/requests/1") == entry


@pytest.mark.parametrize("by_a_fault", [False, True])
def test_an_answer_to_head_has_no_body(by_a_fault: bool):
    mock = controlled_mock()
    if by_a_fault:
        mock.fault(match="*", answer={"status": 200, "body": {"id": 1}})
    answer = mock.request("HEAD", "/v1/machines")

    [entry] = mock.requests()

    assert (answer.content, entry["answer"]["body"], entry["answer"]["bytes"]) == (b"", None, 0)
    assert int(entry["answer"]["headers"]["content-length"]) == int(answer.headers["content-length"]) > 0


def test_a_large_body_is_masked_in_another_thread_while_other_requests_are_answered(monkeypatch):
    threads = set()
    masked = Masker.masked

    def recorded(self: Masker, value: Any) -> Any:
        threads.add(threading.current_thread())
        return masked(self, value)

    monkeypatch.setattr(Masker, "masked", recorded)
    mock = controlled_mock()
    values = {"text": "x" * 100_000}
    mock.post("/v1/runs", {"workflow_id": SUCCEEDS, "input_values": values})

    [entry] = mock.requests()

    assert entry["body"]["input_values"] == values
    assert threads
    assert threading.main_thread() not in threads


def test_the_names_of_many_headers_are_searched_for_secrets_in_another_thread(monkeypatch: pytest.MonkeyPatch):
    threads = set()
    is_secret = masking._is_secret

    def recorded(name: str) -> bool:
        if name.startswith("x-mine"):
            threads.add(threading.current_thread())
        return is_secret(name)

    monkeypatch.setattr(masking, "_is_secret", recorded)
    mock = controlled_mock()
    mock.get("/v1/runs", headers={f"X-Mine-{number}": "1" for number in range(200)})

    mock.requests()

    assert threads
    assert threading.main_thread() not in threads


def test_entries_stand_in_the_order_in_which_requests_came_at_the_time_of_the_clock():
    mock = controlled_mock()
    for path in ("/v1/runs", "/v1/machines", "/v1/pools"):
        mock.get(path)
        mock.turn_clock(advance="20m")

    entries = mock.requests()

    assert [each["path"] for each in entries] == ["/v1/runs", "/v1/machines", "/v1/pools"]
    assert [each["seq"] for each in entries] == [1, 2, 3]
    assert [each["at"][11:19] for each in entries] == ["09:00:02", "09:20:02", "09:40:02"]


_REFUSALS: dict[int, tuple[str, str, dict[str, Any], str, bool]] = {
    400: ("GET", "/v1/runs", {"prefer": "code=999"}, "code=999", False),
    401: ("GET", "/v1/runs", {"token": None}, "Authorization", False),
    404: ("GET", f"/v1/runs/{SUCCEEDS}", {}, "not found", True),
    405: ("PUT", "/v1/runs", {}, "Method Not Allowed; allowed: GET, HEAD, OPTIONS, POST", False),
    413: ("POST", "/v1/runs", {"content": b"x" * 2_000}, "larger than 1000 bytes", True),
    422: ("POST", "/v1/runs", {"json": {}}, "workflow_id", False),
}


@pytest.mark.parametrize("status", _REFUSALS)
def test_a_refused_request_says_why(status):
    method, path, how, words, valid = _REFUSALS[status]
    mock = controlled_mock(max_body=1_000)

    answer = mock.request(method, path, **how)

    entry = mock.last_request()
    assert answer.status_code == entry["status"] == status
    assert words in entry["reason"]
    assert entry["valid"] is valid
    assert words in answer.headers["mock-warning"]
    assert entry["answer"]["body"] == answer.json()


@pytest.mark.parametrize(
    ("content_type", "warnings"),
    [
        (
            "application/x-www-form-urlencoded",
            ["Content-Type is application/x-www-form-urlencoded: send application/json"],
        ),
        (None, ["There is no Content-Type: send application/json"]),
        ("application/json; charset=utf-8", []),
    ],
)
def test_a_body_that_is_not_read_as_json_is_refused_with_the_cause_as_a_warning(content_type, warnings):
    mock = controlled_mock()
    headers = {} if content_type is None else {"Content-Type": content_type}

    answer = mock.request("POST", "/v1/runs", content=b'"{}"', headers=headers)

    entry = mock.last_request()
    assert (answer.status_code, entry["warnings"]) == (422, warnings)
    assert answer.json()["detail"][0]["msg"] == "Input should be a valid dictionary or object to extract fields from"
    assert answer.headers["mock-warning"] == " | ".join([*warnings, f"422: {entry['reason']}"])


def test_values_joined_by_commas_are_refused_with_how_to_send_them_as_a_warning():
    mock = controlled_mock()

    answer = mock.get("/v1/runs?fields=error,output_data&limit=1,2")

    entry = mock.last_request()
    assert answer.status_code == 422
    assert entry["warnings"] == ["repeat 'fields' for each value: fields=A&fields=B, not fields=A,B"]
    assert answer.headers["mock-warning"].startswith(f"{entry['warnings'][0]} | 422: query.fields.0: Input should be")


@pytest.mark.parametrize(
    ("count", "warnings"),
    [
        ("5", ["body.count is text: the real server reads it as a number, as --coercion lax does"]),
        ("five", []),
        (True, []),
        (0, []),
    ],
)
def test_a_text_that_the_real_server_reads_as_a_number_is_warned_of(count, warnings):
    mock = controlled_mock()

    answer = mock.post("/v1/runs/bulk", {"workflow_id": SUCCEEDS, "count": count})

    assert answer.status_code == 422
    assert mock.last_request()["warnings"] == warnings
    assert (
        controlled_mock(coercion="lax").post("/v1/runs/bulk", {"workflow_id": SUCCEEDS, "count": "5"}).status_code
        == 201
    )


def test_what_is_no_text_is_not_made_one_to_see_whether_it_is_a_number():
    class List(list[int]):
        def __str__(self) -> str:
            raise AssertionError("a list of long integers would take seconds")

    violation = {"type": "int_type", "loc": ["body", "count"], "msg": "", "input": List()}

    assert texts_of_numbers(Invalid(422, violations=[violation])) == []


def test_a_reason_that_is_cut_says_so():
    mock = controlled_mock()

    mock.get("/v1/runs?fields=unknown")

    reason = mock.last_request()["reason"]
    assert len(reason) == 300
    assert reason.endswith("...")


def test_a_form_that_is_refused_for_another_reason_is_not_warned_of():
    mock = controlled_mock()
    form = {"content": b"a=1", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}

    assert mock.request("PATCH", "/v1/runs/nonsense", **form).status_code == 422
    assert mock.request("GET", "/v1/runs", params={"limit": "x"}, **form).status_code == 422

    assert [len(each["warnings"]) for each in mock.requests()] == [1, 0]


def test_the_reason_says_why_a_body_is_not_json():
    mock = controlled_mock()

    answer = mock.request("POST", "/v1/runs", content=b"{a: 1}", headers={"Content-Type": "application/json"})

    what = "Expecting property name enclosed in double quotes"
    assert mock.last_request()["reason"] == f"body.1: JSON decode error: {what}"
    [violation] = answer.json()["detail"]
    assert (violation["msg"], violation["ctx"]) == ("JSON decode error", {"error": what})


@pytest.mark.parametrize(
    ("method", "path", "how", "status"),
    [
        ("POST", "/v1/runs", {"token": "sk"}, 401),
        ("POST", "/v1/rums", {}, 404),
        ("PUT", "/v1/runs", {}, 405),
        ("POST", "/v1/runs", {"prefer": "code=999"}, 400),
    ],
)
def test_the_body_of_a_request_that_is_refused_for_another_reason_is_shown(method, path, how, status):
    mock = controlled_mock()
    body = {"workflow_id": SUCCEEDS}

    assert mock.request(method, path, json=body, **how).status_code == status

    assert mock.last_request()["body"] == body


@pytest.mark.parametrize(
    ("comes", "headers", "shown"),
    [
        ("in a later packet", [], {"a": 1}),
        ("never", [], None),
        ("after 100 Continue", [(b"expect", b"100-continue")], None),
    ],
)
def test_a_refusal_waits_a_moment_for_the_body(comes, headers, shown):
    mock = controlled_mock()
    statuses = []

    async def receive() -> Any:
        assert comes != "after 100 Continue", "the client is asked for its body"
        await (asyncio.Event().wait() if comes == "never" else asyncio.sleep(0))
        return {"type": "http.request", "body": b'{"a": 1}'}

    async def send(message: Any) -> None:
        statuses.append(message.get("status"))

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/v1/rums",
        "raw_path": b"/v1/rums",
        "query_string": b"",
        "scheme": "http",
        "headers": [(b"content-type", b"application/json"), (b"content-length", b"8"), *headers],
    }
    mock.run(mock.app(scope, receive, send))

    assert (statuses, mock.last_request()["body"]) == ([404, None], shown)


def test_a_conflict_is_refused_and_the_request_valid():
    mock = controlled_mock()
    run = mock.create()

    assert mock.post(f"/v1/runs/{run['id']}/retry", {}).status_code == 409

    entry = mock.last_request()
    assert (entry["status"], entry["valid"]) == (409, True)
    assert entry["reason"] == entry["answer"]["body"]["detail"]


def test_what_the_api_does_not_have_is_unmatched():
    mock = controlled_mock()
    mock.get("/v1/runs")
    mock.get("/v1/rnus")
    mock.request("PUT", "/v1/runs")
    mock.get(f"/v1/runs/{unknown_id()}")
    mock.get("/v1/runs", token=None)
    mock.request("OPTIONS", "/v1/runs")

    unmatched = mock.asked("/requests/unmatched")

    assert [(each["method"], each["path"], each["status"]) for each in unmatched["items"]] == [
        ("GET", "/v1/rnus", 404),
        ("PUT", "/v1/runs", 405),
    ]
    assert unmatched["total"] == 2
    assert [each["seq"] for each in mock.asked("/requests/unmatched?since=2")["items"]] == [3]
    assert [each["seq"] for each in mock.asked("/requests/unmatched?limit=1")["items"]] == [3]


def test_bodies_that_are_not_json_are_shown_as_text():
    mock = controlled_mock()
    for content in (b"{nonsense", b"\xff\xfe"):
        mock.post("/v1/runs", content=content, headers={"Content-Type": "application/json"})

    assert [each["body"] for each in mock.requests()] == ["{nonsense", "\ufffd\ufffd"]


def test_an_answer_that_is_a_file_is_shown_as_text_and_counted():
    mock = controlled_mock()
    file = {"filename": "a.txt", "content": base64.b64encode(b"Referral").decode()}
    run = mock.create(ENDS_AT_ONCE, file_inputs=[file])
    mock.get(f"/v1/run-attachments/{run['input_attachment_ids'][0]}/download")

    answer = mock.last_request()["answer"]

    assert (answer["body"], answer["bytes"], answer["truncated"]) == ("Referral", 8, False)


def test_of_a_long_answer_the_beginning_is_kept_and_shown_as_json():
    mock = controlled_mock()
    created = mock.create_many(1000)
    mock.get("/v1/runs", params={"limit": 1000})

    bulk, listed = (each["answer"] for each in mock.requests())

    assert (bulk["truncated"], listed["truncated"]) == (True, True)
    shown = bulk["body"]["created_runs"]
    assert 20 < len(shown) < 1000
    assert [run["id"] for run in shown] == [run["id"] for run in created[: len(shown)]]
    assert len(listed["body"]["items"]) > 20


def test_a_long_text_that_is_not_json_is_shown_as_text():
    mock = controlled_mock()
    file = {"filename": "a.txt", "content": base64.b64encode(b"{Referral} " * 10_000).decode()}
    run = mock.create(ENDS_AT_ONCE, file_inputs=[file])
    mock.get(f"/v1/run-attachments/{run['input_attachment_ids'][0]}/download")

    answer = mock.last_request()["answer"]

    assert (answer["body"], answer["truncated"]) == (("{Referral} " * 10_000)[:65_536], True)


def test_of_an_answer_in_parts_the_beginning_is_kept():
    mock = controlled_mock(self_check=False)  # which joins the parts
    mock.create_many(1000, input_values={"text": "x" * 3_000})
    answered = mock.get("/v1/runs", params={"limit": 1000})
    assert "content-length" not in answered.headers

    answer = mock.last_request()["answer"]

    assert answer["truncated"]
    shown = answer["body"]["items"]
    assert 10 < len(shown) < 1000
    assert shown == answered.json()["items"][: len(shown)]


def test_the_bytes_of_an_answer_in_parts_are_counted_while_it_is_sent():
    mock = ControlledMock(self_check=False, store="memory")
    mock.create_many(1000, input_values={"text": "x" * 3_000})
    answered = mock.get("/v1/runs", params={"limit": 1000})
    assert "content-length" not in answered.headers

    answer = mock.last_request()["answer"]

    assert (answer["bytes"], answer["truncated"]) == (len(answered.content), True)


def test_a_short_answer_in_parts_is_kept_whole():
    mock = controlled_mock(self_check=False)
    mock.create_many(200, input_values={"text": "x" * 10_000})
    answered = mock.get("/v1/runs", params={"limit": 200, "fields": "error"})
    assert "content-length" not in answered.headers

    answer = mock.last_request()["answer"]

    assert (answer["body"], answer["truncated"]) == (answered.json(), False)
    assert answer["bytes"] == len(answered.content) < 65_536


def test_no_secret_is_shown_of_a_list_that_is_cut_within_it():
    mock = controlled_mock(self_check=False)
    secret = "swordfish" * 20_000
    for _ in range(10):
        mock.create(ENDS_AT_ONCE, input_values={"sensitive_note": secret})
    answered = mock.get("/v1/runs")
    assert len(answered.content) > 1_000_000

    assert "swordfish" not in str(mock.last_request()["answer"])


def test_an_entry_that_is_gone_or_never_was_is_not_found():
    mock = controlled_mock()

    answer = mock.control("GET", "/requests/1")

    assert answer.status_code == 404
    assert "no request 1" in answer.json()["detail"]
    assert mock.control("GET", "/requests/x").status_code == 422


def test_the_journal_is_emptied_and_goes_on_counting():
    mock = controlled_mock()
    mock.get("/v1/runs")

    assert mock.control("DELETE", "/requests").status_code == 204

    assert mock.asked("/requests") == {"items": [], "total": 0, "complete": True}
    mock.get("/v1/runs")
    assert [each["seq"] for each in mock.requests()] == [2]


def test_no_namespace_sees_anothers_requests():
    mock = controlled_mock()
    mock.get("/__ns/a/v1/runs")
    mock.get("/v1/runs")

    assert [each["path"] for each in mock.requests("a")] == ["/__ns/a/v1/runs"]
    assert [each["path"] for each in mock.requests()] == ["/v1/runs"]
    assert mock.requests("b") == []
    mock.control("DELETE", "/requests")
    assert len(mock.requests("a")) == 1


def test_a_request_that_is_being_handled_is_shown_without_an_answer():
    mock = ControlledMock(store="memory")  # a shared journal has answered requests only

    async def both() -> dict[str, Any]:
        import asyncio

        waiting = asyncio.ensure_future(mock.sent("GET", "/v1/runs", prefer="delay=5"))
        await asyncio.sleep(0.05)
        [entry] = (await mock.controlled("GET", "/requests")).json()["items"]
        await mock.controlled("POST", "/clock", {"advance": "5s"})
        assert (await waiting).status_code == 200
        return entry

    entry = mock.run(both())

    assert (entry["status"], entry["duration_ms"], entry["answer"]["body"]) == (None, None, None)
    assert mock.last_request()["status"] == 200


def test_a_client_that_went_away_was_not_answered():
    mock = controlled_mock()

    async def leave() -> None:
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "path": "/v1/runs",
            "raw_path": b"/v1/runs",
            "query_string": b"",
            "scheme": "http",
            "headers": [(b"authorization", b"Bearer test-one"), (b"content-length", b"100")],
        }
        messages = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])

        async def receive() -> Any:
            return next(messages)

        async def send(message: Any) -> None:
            raise AssertionError(message)

        await mock.app(scope, receive, send)

    mock.run(leave())

    entry = mock.last_request()
    assert (entry["status"], entry["operation"]) == (None, "create_run")
    assert entry["duration_ms"] is not None
    assert entry["answer"]["bytes"] == 0


def test_without_room_nothing_is_recorded():
    mock = controlled_mock(journal_bytes=0)
    mock.get("/v1/runs")

    assert mock.asked("/requests") == {"items": [], "total": 0, "complete": True}


def test_a_reset_empties_the_journal_and_counts_from_the_beginning():
    mock = controlled_mock()
    mock.get("/v1/runs")
    mock.get("/__ns/a/v1/runs")

    assert mock.control("POST", "/reset").status_code == 204
    mock.get("/v1/pools")

    assert [(each["seq"], each["path"]) for each in mock.requests()] == [(1, "/v1/pools")]
    assert len(mock.requests("a")) == 1


# --- Warnings

_BODY = {"workflow_id": SUCCEEDS}
_ODD: dict[str, tuple[dict[str, Any], str]] = {
    "body key": ({"json": {**_BODY, "sesion_id": "x"}}, "'sesion_id'; did you mean 'session_id'?"),
    "query name": ({"json": _BODY, "params": {"limt": 1}}, "create_run has no query parameter 'limt'"),
    "header": ({"json": _BODY, "headers": {"Idempotency_Key": "k"}}, "'idempotency_key' is not read; did you mean"),
    "preference": ({"json": _BODY, "prefer": "outcom=error"}, "outcom"),
}


@pytest.mark.parametrize("what", _ODD)
def test_a_careful_reader_warns_of(what):
    how, words = _ODD[what]
    mock = controlled_mock()

    answer = mock.request("POST", "/v1/runs", **how)

    entry = mock.last_request()
    assert answer.status_code == 201
    [warning] = entry["warnings"]
    assert words in warning
    assert answer.headers["mock-warning"] == warning
    assert (entry["valid"], entry["reason"]) == (True, None)


def test_of_many_unusual_headers_a_hundred_are_compared_with_those_that_are_read():
    mock = controlled_mock()
    mock.get("/v1/runs", headers={f"Idempotency_Key{number}": "1" for number in range(1_000)})

    assert len(mock.last_request()["warnings"]) == 100


def test_a_request_without_fault_is_not_warned_of():
    mock = controlled_mock()
    answers = [
        mock.post("/v1/runs", _BODY, key="k", prefer="outcome=error"),
        mock.get("/v1/runs", params={"limit": 5, "search": "x"}, headers={"X-Request-Id": "1", "User-Agent": "me"}),
    ]

    assert [each["warnings"] for each in mock.requests()] == [[], []]
    assert not [answer for answer in answers if "mock-warning" in answer.headers]


def test_warnings_stand_beside_the_reason_of_a_refusal():
    mock = controlled_mock()
    answer = mock.post("/v1/runs", {"workflow_ids": SUCCEEDS})

    entry = mock.last_request()
    assert "workflow_id" in entry["reason"]
    assert ["did you mean 'workflow_id'" in each for each in entry["warnings"]] == [True]
    assert answer.headers["mock-warning"].count(" | ") >= 1


def test_no_warnings_leaves_the_header_out_and_the_journal_as_it_is():
    mock = controlled_mock(warnings=False)
    answers = [mock.post("/v1/runs", {**_BODY, "sesion_id": 1}), mock.get("/v1/runs", token=None)]

    assert not [answer for answer in answers if "mock-warning" in answer.headers]
    odd, refused = mock.requests()
    assert odd["warnings"]
    assert refused["reason"]


@pytest.mark.parametrize(
    "name", ["a\r\nSet-Cookie: x=1", "a\nb", "\x00\x1b[31m", "zwei Zeilen", "é\u2028x", "x" * 5_000]
)
def test_what_a_client_sends_cannot_add_headers_through_a_warning(name):
    mock = controlled_mock()

    answer = mock.post("/v1/runs", {**_BODY, name: 1})

    refused = mock.get("/v1/runs", params={"__code": name})

    assert (answer.status_code, refused.status_code) == (201, 400)
    for each in (answer, refused):
        warning = each.headers["mock-warning"]
        assert warning.isascii()
        assert warning.isprintable()
        assert len(warning) <= 2_000
        assert "set-cookie" not in each.headers


def test_pages_may_read_the_warning():
    answer = controlled_mock().get("/v1/runs", headers={"Origin": "http://localhost:3000"})

    assert "Mock-Warning" in answer.headers["access-control-expose-headers"]


def test_the_time_of_an_entry_is_that_of_its_namespace():
    mock = controlled_mock()
    mock.turn_clock("a", freeze="2030-01-01T00:00:00Z")
    mock.get("/__ns/a/v1/runs")
    mock.get("/v1/runs")

    assert mock.last_request(namespace="a")["at"] == "2030-01-01T00:00:00.000000Z"
    assert mock.last_request()["at"] == START.replace("Z", ".000000Z")
