"""What the oracle makes of requests and answers, apart from any server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.core.exchange import Answer, Request
from contracts.oracle.answer import universal_violations
from contracts.oracle.create import Seen, alias_difference, judge_create
from contracts.oracle.refusal import (
    acceptance_of_invalid,
    error_violations,
    parameter_error_violations,
    refusal_of_valid,
    status_violations,
)
from contracts.oracle.request import ParsedRequest, is_plain_filename, read_body, read_raw_body
from contracts.oracle.run import (
    can_follow,
    changed_field,
    difference,
    gains_inputs,
    input_difference,
    stable_fields,
    status_contradiction,
    step_violation,
)
from contracts.oracle.violation import Violation, excerpt

W = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
M = "6f1c9a2e-3b4d-4c5e-8f60-718293a4b5c6"
P = ("0b5e1d3a-7c1f-4a59-9f00-1d2c3b4a5f60", "1b5e1d3a-7c1f-4a59-9f00-1d2c3b4a5f61")
S = "5e551011-0000-4000-8000-000000000001"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
JSON = (("Content-Type", "application/json"),)
FILE = {"filename": "a.txt", "content": "YQ=="}


def run_of(number: int = 0, **fields: Any) -> dict[str, Any]:
    empty = ("user_id", "organization_id", "error", "output_data", "input_attachment_ids", "output_attachment_ids")
    more = ("run_message_history", "input_values", "pool_ids", "sensitive_input_aliases", "session_id")
    last = ("session_alias", "release_session_after")
    return {
        **dict.fromkeys((*empty, *more, *last)),
        "workflow_id": W,
        "machine_id": None,
        "id": f"{number:08x}-0000-4000-8000-000000000000",
        "status": "scheduling",
        "created_at": NOW.isoformat().replace("+00:00", "Z"),
        **fields,
    }


def answer(body: Any, status: int = 201, headers: Sequence[tuple[str, str]] = JSON) -> Answer:
    return Answer(status, tuple(headers), body if isinstance(body, bytes) else json.dumps(body).encode())


def bulk(runs: Sequence[Any], **more: Any) -> Answer:
    return answer({"created_runs": list(runs), "failed_count": 0, "errors": []} | more)


def reading_of(**fields: Any) -> ParsedRequest:
    return read_body("bulk_create_runs", {"workflow_id": W, "count": 1} | fields)


def broken_by(parsed: ParsedRequest, told: Answer, seen: Seen | None = None) -> list[tuple[str, str]]:
    judgement = judge_create(parsed, told, now=NOW, seen=seen or Seen())
    return [(violation.rule, violation.cause) for violation in judgement.violations]


class TestRequests:
    @pytest.mark.parametrize("count", [1, 2, 1000])
    def test_a_count_in_range_is_valid(self, count: int) -> None:
        assert reading_of(count=count).is_valid

    @pytest.mark.parametrize("count", [0, -1, 1001, 1.5, None, "x", [], {}, "1001", 10**30, float("inf")])
    def test_a_count_out_of_range_is_invalid(self, count: Any) -> None:
        assert reading_of(count=count).invalid_parts

    @pytest.mark.parametrize("count", ["5", 5.0, True])
    def test_a_count_that_may_be_read_leniently_is_in_doubt(self, count: Any) -> None:
        parsed = reading_of(count=count)

        assert not parsed.invalid_parts
        assert not parsed.is_valid
        assert parsed.given("count") in {5, 1}

    @pytest.mark.parametrize(
        ("raw", "content_type", "is_invalid", "ambiguity"),
        [
            (b"", "application/json", True, ""),
            (b"{", "application/json", True, ""),
            (b"[]", "application/json", True, ""),
            (b"null", "application/json", True, ""),
            (b"\xff", "application/json", True, ""),
            (b"{}", "text/plain", False, "another content type"),
            (b"{}", None, False, "another content type"),
            (b'{"a": 1, "a": 2}', "application/json", False, "duplicate keys"),
            (b"\xef\xbb\xbf{}", "application/json", False, "another encoding"),
            ("{}".encode("utf-16"), "application/json", False, "another encoding"),
            (b"[" * 100_000, "application/json", False, "deeper nesting"),
            (b'{"a": ' + b"9" * 5000 + b"}", "application/json", False, "too many digits"),
            (b'{"a": 0.' + b"1" * 5000 + b"}", "application/json", False, "more digits than every server"),
            (b" " * (1024 * 1024 + 1), "application/json", False, "larger"),
        ],
    )
    def test_bytes_are_read_as_the_contract_does(
        self, raw: bytes, content_type: str | None, is_invalid: bool, ambiguity: str
    ) -> None:
        parsed = read_raw_body("bulk_create_runs", raw, content_type)

        assert bool(parsed.invalid_parts) == is_invalid
        assert any(ambiguity in found for found in parsed.ambiguities) == bool(ambiguity)

    @pytest.mark.parametrize("raw", [b"", b"null"])
    def test_a_retry_needs_no_body(self, raw: bytes) -> None:
        parsed = read_raw_body("retry_run", raw)

        assert not parsed.invalid_parts
        assert parsed.ambiguities

    @pytest.mark.parametrize(
        ("operation", "body"),
        [
            ("update_run", {"status": "success"}),
            ("update_run", {"error": None}),
            ("update_run", {"output_attachment_ids": [W]}),
            ("create_run_chain", {"steps": [{"workflow_id": W, "inputs": {"a": {"$ref": "b.outputs"}}}]}),
            ("create_run", {"workflow_id": W, "input_values": {"a": 1}, "sensitive_input_values": {"a": "x"}}),
            (
                "create_run_chain",
                {"steps": [{"workflow_id": W, "inputs": {"a": 1}}], "shared_sensitive_inputs": {"a": "x"}},
            ),
            (
                "create_run_chain",
                {"steps": [{"workflow_id": W, "sensitive_inputs": {"a": "x"}}], "shared_inputs": {"a": 1}},
            ),
            ("create_run", {"workflow_id": W, "file_inputs": [FILE | {"filename": "a/b"}]}),
            ("create_run", {"workflow_id": W, "file_inputs": [FILE | {"content": "!"}]}),
            ("create_pool", {"name": " "}),
            ("create_workflow", {"main_prompt": "x", "input_schema": "{}"}),
            ("add_machine_to_pool", {"machine_ids": [M]}),
            ("create_run", {"workflow_id": W.upper()}),
        ],
    )
    def test_undetermined_values_are_ambiguous(self, operation: str, body: Any) -> None:
        parsed = read_body(operation, body)

        assert not parsed.invalid_parts
        assert not parsed.is_valid

    def test_whether_the_flag_of_a_workflow_may_be_null_is_not_determined(self) -> None:
        parsed = read_body("create_workflow", {"main_prompt": "a", "is_webhooks_enabled": None})

        assert not parsed.is_valid
        assert not parsed.is_invalid

    @pytest.mark.parametrize(
        ("operation", "body"),
        [
            ("create_pool", {"name": "x", "description": None}),
            ("create_workflow", {"main_prompt": "x", "name": None}),
            ("update_run", {}),
        ],
    )
    def test_the_other_writes_have_valid_bodies(self, operation: str, body: Any) -> None:
        assert read_body(operation, body).is_valid

    @pytest.mark.parametrize("name", ["", "a/b", "a\\b", "a\n", "x" * 256, "é" * 200, "a:b"])
    def test_an_unusual_file_name_is_not_plain(self, name: str) -> None:
        assert not is_plain_filename(name)


class TestBlame:
    @pytest.mark.parametrize(
        ("body", "rule"),
        [
            ({}, "REQ-COUNT"),
            ({"count": 1000, "input_values": {"a": 1}}, "REQ-COUNT"),
            ({"machine_id": None}, "REQ-NULL"),
            ({"input_values": {}}, "REQ-NULL"),
            ({"file_inputs": [FILE]}, "REQ-FILES"),
            ({"file_inputs": [FILE | {"filename": "é.txt"}]}, "REQ-ACCEPT"),
            ({"file_inputs": [FILE, FILE | {"content": ""}]}, "REQ-ACCEPT"),
            ({"file_inputs": [FILE | {"target_path": None}]}, "REQ-NULL"),
            ({"input_values": {"a": "\x00"}}, "REQ-ACCEPT"),
            ({"count": 3, "input_values": {"a": 1}}, "REQ-ACCEPT"),
        ],
    )
    def test_the_rule_that_a_refused_valid_request_breaks_depends_on_its_fields(self, body: Any, rule: str) -> None:
        assert refusal_of_valid(reading_of(**body), answer({"detail": "no"}, 422)).rule == rule

    def test_null_in_a_step_is_blamed_as_null(self) -> None:
        parsed = read_body("create_run_chain", {"steps": [{"workflow_id": W}, {"workflow_id": W, "inputs": None}]})

        assert refusal_of_valid(parsed, answer({"detail": "no"}, 422)).rule == "REQ-NULL"

    @pytest.mark.parametrize(
        ("body", "rule"),
        [
            ({"count": 0}, "REQ-COUNT"),
            ({"workflow_id": "x"}, "REQ-WORKFLOW"),
            ({"file_inputs": [FILE, {"filename": "b"}]}, "REQ-FILES"),
            ({"file_inputs": [FILE | {"content": None}]}, "REQ-TYPES"),
            ({"pool_ids": [P[0], "x"]}, "REQ-TYPES"),
        ],
    )
    def test_an_invalid_request_that_is_accepted_breaks_the_rule_of_its_fault(self, body: Any, rule: str) -> None:
        violation = acceptance_of_invalid(reading_of(**body), bulk([run_of()]))

        assert violation is not None
        assert violation.rule == rule
        assert "*" in violation.cause or "count" in violation.cause or "workflow" in violation.cause

    def test_an_accepted_body_that_is_not_an_object_breaks_the_rule_of_bodies(self) -> None:
        parsed = read_raw_body("bulk_create_runs", b"[]")

        violation = acceptance_of_invalid(parsed, bulk([run_of()]))

        assert violation is not None
        assert violation.rule == "REQ-BODY"

    @pytest.mark.parametrize(
        ("body", "shown", "where"),
        [
            ({"ended_at": "soon"}, {}, None),
            ({"usage_metadata": True, "started_at": 5}, {}, None),
            ({"ended_at": "soon"}, {"ended_at": None}, "ended_at"),
            ({"ended_at": "soon", "error": 5}, {}, "error"),
            ({"error": 5}, {}, "error"),
        ],
    )
    def test_a_property_of_newer_releases_may_be_ignored_by_a_server_that_never_shows_it(
        self, body: Any, shown: Any, where: str | None
    ) -> None:
        violation = acceptance_of_invalid(read_body("update_run", body), answer(run_of(**shown), 200))

        assert (violation is None) == (where is None)
        assert where is None or (violation is not None and where in violation.cause)


class TestDoubles:
    @pytest.mark.parametrize(("sent", "read"), [(-0.0, 0.0), (0.0, -0.0), ({"a": [-0.0]}, {"a": [0.0]})])
    def test_the_sign_of_zero_counts(self, sent: Any, read: Any) -> None:
        assert difference(sent, read, "it") is not None
        assert difference(sent, sent, "it") is None


class TestErrors:
    @staticmethod
    def causes(parsed: ParsedRequest, detail: Any, status: int = 422) -> list[str]:
        return [violation.cause for violation in error_violations(parsed, answer({"detail": detail}, status))]

    @staticmethod
    def error(*loc: Any) -> dict[str, Any]:
        return {"loc": list(loc), "msg": "m", "type": "t"}

    def test_an_error_that_names_the_field_is_right(self) -> None:
        assert not self.causes(reading_of(count=0), [self.error("body", "count")])

    def test_a_union_may_put_names_between(self) -> None:
        parsed = reading_of(file_inputs=[FILE, {"filename": "b"}])

        assert not self.causes(parsed, [self.error("body", "file_inputs", "list[FileInput]", 1, "content")])

    @pytest.mark.parametrize(
        ("detail", "causes"),
        [
            ("text", ["not the shape"]),
            ([{"loc": [], "msg": "m", "type": "t"}], ["loc names another place"]),
            ([{"loc": "count", "msg": "m", "type": "t"}], []),
            ({"errors": []}, []),
            ([], []),
        ],
    )
    def test_a_text_breaks_the_rule_and_another_form_is_judged_elsewhere(self, detail: Any, causes: list[str]) -> None:
        assert self.causes(reading_of(count=0), detail) == causes

    @pytest.mark.parametrize(
        "loc", [("body", "machine_id"), ("body",), ("query", "count"), ("body", "file_inputs", 0, "content")]
    )
    def test_a_loc_of_another_place_breaks_the_rule(self, loc: tuple[Any, ...]) -> None:
        parsed = reading_of(file_inputs=[FILE, {"filename": "b"}])

        assert self.causes(parsed, [self.error(*loc)]) == ["loc names another place"]

    def test_one_loc_for_the_errors_of_two_fields_breaks_the_rule(self) -> None:
        both = [self.error("body", "count")] * 2

        assert self.causes(reading_of(count=0, machine_id="x"), both) == ["two errors have the same loc"]

    def test_a_server_may_stop_at_the_first_error(self) -> None:
        assert not self.causes(reading_of(count=0, machine_id="x"), [self.error("body", "count")])

    def test_a_field_that_is_right_is_not_to_be_named(self) -> None:
        errors = [self.error("body", "count"), self.error("body", "input_values")]

        assert self.causes(reading_of(count=0), errors) == ["loc names a valid field"]

    def test_an_id_may_be_named_since_it_may_be_unknown(self) -> None:
        errors = [self.error("body", "count"), self.error("body", "machine_id")]

        assert not self.causes(reading_of(count=0, machine_id=M), errors)

    def test_an_unknown_property_may_be_named_since_it_may_be_refused(self) -> None:
        parsed, unknown = reading_of(count=0, later=1), self.error("body", "later")

        assert not self.causes(parsed, [unknown])
        assert not self.causes(parsed, [self.error("body", "count"), unknown])
        assert self.causes(reading_of(count=0), [self.error("body", "count"), unknown]) == ["loc names a valid field"]

    def test_where_something_is_in_doubt_it_may_be_named_too(self) -> None:
        errors = [self.error("body", "count"), self.error("body", "start_session")]

        assert not self.causes(reading_of(count=0, start_session=1), errors)

    def test_a_server_may_report_an_ambiguous_value_only(self) -> None:
        parsed = reading_of(count=0, start_session=1)

        assert not self.causes(parsed, [self.error("body", "start_session")])
        assert self.causes(parsed, [self.error("body", "input_values")]) == ["loc names another place"]

    def test_a_server_may_stop_at_a_doubt_that_has_no_place(self) -> None:
        parsed = reading_of(count=0, file_inputs=[FILE | {"filename": "a/b"}])

        assert not self.causes(parsed, [self.error("body", "file_inputs", 0, "filename")])

    @pytest.mark.parametrize(
        ("detail", "status", "causes"),
        [
            ([{"loc": ["query", "limit"], "msg": "m", "type": "t"}], 422, []),
            ([{"loc": ["query", "skip"], "msg": "m", "type": "t"}], 422, ["loc names another parameter"]),
            ([{"loc": ["limit"], "msg": "m", "type": "t"}], 422, ["loc names another parameter"]),
            ("a text", 422, ["not the shape"]),
            ("a text", 400, []),
            ("a text", 405, ["the status tells of another problem"]),
        ],
    )
    def test_a_wrong_parameter_is_named(self, detail: Any, status: int, causes: list[str]) -> None:
        told = answer({"detail": detail}, status)

        assert [v.cause for v in parameter_error_violations(("query", "limit"), told)] == causes

    @pytest.mark.parametrize("status", [401, 405, 406, 410, 421, 426, 451])
    def test_the_status_of_a_refusal_is_not_one_for_another_problem(self, status: int) -> None:
        told = status_violations(answer({"detail": "text"}, status))

        assert [violation.cause for violation in told] == ["the status tells of another problem"]

    @pytest.mark.parametrize("status", [400, 402, 403, 404, 409, 413, 415, 429, 499])
    def test_a_server_may_choose_among_many_statuses(self, status: int) -> None:
        assert not [*status_violations(answer({"detail": "text"}, status))]

    def test_only_a_422_has_to_have_the_shape(self) -> None:
        assert not self.causes(reading_of(count=0), "text", status=400)


class TestAnswersToAnything:
    @staticmethod
    def rules(told: Answer, canaries: Sequence[bytes] = ()) -> list[str]:
        request = Request("GET", f"/v1/runs/{W}", (("Authorization", "Bearer x"),))
        return [violation.rule for violation in universal_violations("get_run", request, told, canaries)]

    @pytest.mark.parametrize("status", [500, 502, 599, 0])
    def test_a_5xx_or_a_missing_answer_breaks_a_rule(self, status: int) -> None:
        assert "NO-5XX" in self.rules(answer({"detail": "x"}, status))

    def test_a_secret_in_the_body_or_in_a_header_is_a_leak(self) -> None:
        assert self.rules(answer({"a": "mark"}, 200), [b"mark"]) == ["SECRET-LEAK"]
        assert self.rules(answer({}, 200, (*JSON, ("X-Echo", "a mark"))), [b"mark"]) == ["SECRET-LEAK"]
        assert not self.rules(answer({"a": "another"}, 200), [b"mark"])

    @pytest.mark.parametrize(
        ("items", "limit", "rules"),
        [(2, 1, ["LIST-PAGE"]), (1, 0, ["LIST-PAGE"]), (2, 2, []), (0, 0, []), (2, None, []), (2, True, [])],
    )
    def test_a_page_has_no_more_items_than_its_own_limit(self, items: int, limit: Any, rules: list[str]) -> None:
        page = answer({"items": [{}] * items, "total": 9, "skip": 0, "limit": limit}, 200)
        found = universal_violations("list_pools", Request("GET", "/v1/pools"), page, [], judges_form=False)
        assert [each.rule for each in found] == rules

    @pytest.mark.parametrize(
        ("told", "got"),
        [
            (answer({"a": ["mark"]}, 200), "200 with a sensitive value in a.0"),
            (answer({}, 200, (*JSON, ("X-Echo", "a mark"))), "200 with a sensitive value in the header X-Echo"),
            (answer(b"a mark", 404, JSON), "404 with a sensitive value"),
        ],
    )
    def test_a_leak_says_where_the_secret_is(self, told: Answer, got: str) -> None:
        request = Request("GET", f"/v1/runs/{W}", (("Authorization", "Bearer x"),))
        (leak, *_) = universal_violations("get_run", request, told, [b"mark"])

        assert leak.got == got

    @pytest.mark.parametrize(
        ("sent", "is_leak"),
        [
            (b'{"sensitive_input_values": {"a": "mark"}}', True),
            (b'[{"sensitive_input_values": ["mark"]}]', True),
            (b'{"steps": [{"sensitive_inputs": {"a": "mark"}}], "shared_sensitive_inputs": "mark"}', True),
            (b'{"sensitive_input_values": {"a": "mark"}', True),
            (b'"{\\"sensitive_input_values\\": \\"mark\\"}"', True),
            (b'{"password": "mark"}', False),
            (b'{"input_values": {"a": ["mark"]}, "sensitive_input_values": {"a": "mark"}}', False),
            (b'{"password": "mark"', False),
            (b'"mark"', False),
            (b'{"password": "another"', True),
            (b'"another"', True),
            (b"\xff", True),
            (None, True),
        ],
    )
    def test_a_canary_that_was_sent_openly_may_come_back(self, sent: bytes | None, is_leak: bool) -> None:
        request = Request("POST", "/v1/runs", (), sent)
        told = answer({"detail": "mark"}, 422)
        rules = [violation.rule for violation in universal_violations("create_run", request, told, [b"mark"])]

        assert rules == (["SECRET-LEAK"] if is_leak else [])

    @pytest.mark.parametrize(
        "told",
        [
            answer(b"no", 404, (("Content-Type", "text/plain"),)),
            answer(b"no", 404),
            answer([], 404),
            answer({"message": "no"}, 404),
            answer({"detail": None}, 404),
            answer({"detail": ""}, 422),
            answer({"detail": "x"}, 404, ()),
        ],
    )
    def test_an_error_that_is_not_json_with_detail_breaks_a_rule(self, told: Answer) -> None:
        assert self.rules(told) == ["HTTP-ERROR-JSON"]

    def test_a_charset_may_be_named(self) -> None:
        assert not self.rules(answer({"detail": "x"}, 404, (("content-type", "application/json; charset=utf-8"),)))

    @pytest.mark.parametrize("waits", ["1", " 30 ", "Wed, 21 Oct 2026 07:28:00 GMT"])
    def test_a_429_with_retry_after_breaks_no_rule(self, waits: str) -> None:
        assert not self.rules(answer({"detail": "x"}, 429, (*JSON, ("Retry-After", waits))))

    @pytest.mark.parametrize("waits", [None, "", "soon", "1.5", "-1", "²"])
    def test_a_429_that_does_not_say_when_breaks_a_rule(self, waits: str | None) -> None:
        headers = JSON if waits is None else (*JSON, ("Retry-After", waits))

        assert self.rules(answer({"detail": "x"}, 429, headers)) == ["HTTP-LIMIT"]


class TestCreates:
    def test_a_right_answer_breaks_nothing(self) -> None:
        assert not broken_by(reading_of(count=2), bulk([run_of(1), run_of(2)]))

    @pytest.mark.parametrize("zone", ["GMT", "-0000", "", "+9999", "+99999999999999999999"])
    def test_a_create_is_judged_whatever_the_zone_of_the_date(self, zone: str) -> None:
        late = run_of(created_at="2026-01-02T04:04:05Z")
        for date, broken in (("04:04:05", zone.startswith("+")), ("09:04:05", True)):
            told = bulk([late])
            told = answer(told.body, headers=(*JSON, ("Date", f"Fri, 02 Jan 2026 {date} {zone}")))
            assert bool(broken_by(reading_of(), told)) is broken

    @pytest.mark.parametrize(
        ("asked", "runs", "more", "broken"),
        [
            ({"count": 2}, [run_of(1)], {}, ("BULK-COUNT", "runs and failures do not add up to count")),
            ({}, [run_of(1)], {"errors": ["x"]}, ("BULK-COUNT", "errors although nothing failed")),
            ({"count": 2}, [run_of(1)], {"failed_count": 1}, ("BULK-COUNT", "failures without errors")),
            ({"count": 0}, [run_of(1)], {"failed_count": -1}, ("BULK-STATUS", "failed_count is not a count")),
            ({"count": 2}, [run_of(1), run_of(1)], {}, ("BULK-IDS", "an answer has one id twice")),
            ({}, [run_of(status="success")], {}, ("BULK-INITIAL", "another status")),
            ({}, [run_of(error=["x"])], {}, ("BULK-INITIAL", "error is not empty")),
            ({}, [run_of(output_data={"a": 1})], {}, ("BULK-INITIAL", "output_data is not empty")),
            ({}, [run_of(created_at="2020-01-01T00:00:00Z")], {}, ("BULK-INITIAL", "created_at is not about now")),
            ({}, [run_of(workflow_id=M)], {}, ("BULK-ECHO", "another workflow_id")),
            ({"machine_id": M}, [run_of()], {}, ("BULK-ECHO", "another machine_id")),
            ({"pool_ids": [*P]}, [run_of(pool_ids=[P[1]])], {}, ("BULK-ECHO", "other pool_ids")),
            ({"input_values": {"a": 1}}, [run_of(input_values={"a": "1"})], {}, ("BULK-ECHO", "other input_values")),
            ({"session_id": S}, [run_of()], {}, ("BULK-SESSION", "not the session of the request")),
            ({"start_session": True}, [run_of()], {}, ("BULK-SESSION", "no session is started")),
            ({}, [run_of(session_id=S)], {}, ("BULK-SESSION", "a session nobody asked for")),
            ({"file_inputs": [FILE]}, [run_of()], {}, ("BULK-FILES", "not one attachment for each file")),
            (
                {"file_inputs": [FILE]},
                [run_of(input_attachment_ids=[""])],
                {},
                ("BULK-FILES", "an empty attachment id"),
            ),
            (
                {"count": 2, "file_inputs": [FILE]},
                [run_of(1, input_attachment_ids=["a"]), run_of(2, input_attachment_ids=["a"])],
                {},
                ("BULK-FILES", "attachments that are shared"),
            ),
            (
                {"count": 2, "start_session": True},
                [run_of(1, session_id=S), run_of(2, session_id=W)],
                {},
                ("BULK-SESSION", "runs of one call in several sessions"),
            ),
            (
                {"count": 2, "start_session": True, "session_id": S},
                [run_of(1, session_id=S), run_of(2, session_id=W)],
                {},
                ("BULK-SESSION", "runs of one call in several sessions"),
            ),
            ({"sensitive_input_values": {"a": "x"}}, [run_of()], {}, ("BULK-ALIASES", "other keys")),
        ],
    )
    def test_a_wrong_answer_breaks_its_rule(
        self, asked: dict[str, Any], runs: Any, more: dict[str, Any], broken: tuple[str, str]
    ) -> None:
        assert broken in broken_by(reading_of(**asked), bulk(runs, **more))

    def test_a_wrong_field_of_the_last_run_is_seen(self) -> None:
        runs = [*(run_of(number) for number in range(99)), run_of(99, status="running")]

        assert ("BULK-INITIAL", "another status") in broken_by(reading_of(count=100), bulk(runs))

    def test_a_machine_that_nobody_asked_for_breaks_nothing(self) -> None:
        assert not broken_by(reading_of(), bulk([run_of(machine_id=M)]))
        assert not broken_by(reading_of(session_id=S, machine_id=M), bulk([run_of(session_id=S)]))

    def test_inputs_may_gain_keys_where_a_machine_is_named(self) -> None:
        told = bulk([run_of(machine_id=M, input_values={"a": 1, "of_the_machine": 2})])

        assert not broken_by(reading_of(machine_id=M, input_values={"a": 1}), told)
        assert gains_inputs(reading_of(machine_id=M))
        assert not gains_inputs(reading_of())

    def test_the_date_of_the_answer_counts_as_now(self) -> None:
        late = NOW + timedelta(days=3)
        run = run_of(created_at=late.isoformat())
        body = {"created_runs": [run], "failed_count": 0, "errors": []}
        dated = answer(body, 201, (*JSON, ("Date", late.strftime("%a, %d %b %Y %H:%M:%S GMT"))))

        assert not broken_by(reading_of(), dated)
        assert broken_by(reading_of(), answer(body, 201, (*JSON, ("Date", "some day"))))

    def test_ids_sessions_and_attachments_are_new_in_each_answer(self) -> None:
        seen = Seen()
        asked = reading_of(start_session=True, file_inputs=[FILE])
        told = bulk([run_of(1, session_id=S, input_attachment_ids=["a"])])

        assert not broken_by(asked, told, seen)
        assert {cause for _, cause in broken_by(asked, told, seen)} == {
            "an id of an earlier answer",
            "a session of an earlier call",
            "attachments of an earlier answer",
        }

    def test_a_single_create_starts_its_own_session_and_breaks_its_own_rule(self) -> None:
        parsed = read_body("create_run", {"workflow_id": W, "start_session": True, "session_alias": "a"})

        run = run_of(session_alias="a")

        assert broken_by(parsed, answer(run | {"session_id": S})) == [("CREATE-ANSWER", "no session of its own")]
        assert not broken_by(parsed, answer(run | {"session_id": run["id"]}))

    def test_the_options_of_a_single_create_come_back_as_sent(self) -> None:
        alone = read_body("create_run", {"workflow_id": W, "session_alias": "a", "release_session_after": False})
        assert broken_by(alone, answer(run_of(session_alias="b"))) == [
            ("CREATE-ANSWER", "another session_alias"),
            ("CREATE-ANSWER", "another release_session_after"),
        ]

    def test_an_alias_that_nobody_gave_breaks_the_rule_of_creates(self) -> None:
        parsed = read_body("create_run", {"workflow_id": W})

        broken = broken_by(parsed, answer(run_of(session_alias="b")))
        assert broken == [("CREATE-ANSWER", "a session_alias that nobody gave")]

    def test_of_a_body_with_duplicate_keys_no_echo_is_judged(self) -> None:
        raw = f'{{"workflow_id": "{W}", "count": 1, "input_values": {{"a": 1}}, "input_values": {{"a": 2}}}}'.encode()

        assert not broken_by(read_raw_body("bulk_create_runs", raw), bulk([run_of(input_values={"a": 2})]))

    @pytest.mark.parametrize(("minutes", "is_told"), [(1, False), (3, True), (-3, True)])
    def test_creates_have_the_time_of_one_clock(self, minutes: int, is_told: bool) -> None:
        seen = Seen()
        assert not broken_by(reading_of(), bulk([run_of()]), seen)
        other = (NOW + timedelta(minutes=minutes)).isoformat()

        found = broken_by(reading_of(), bulk([run_of(1, created_at=other)]), seen)

        cause = "created_at does not agree with the clock of the first create"
        assert found == ([("BULK-INITIAL", cause)] if is_told else [])

    @pytest.mark.parametrize(
        ("told", "runs"),
        [
            (answer({}, 200), 0),
            (bulk({}, created_runs="x"), 0),
            (bulk([run_of(status=5, session_id="x", input_values="x"), 7]), 1),
            (bulk([run_of()], failed_count="0", errors="x"), 1),
        ],
    )
    def test_a_field_that_violates_its_schema_is_not_judged_further(self, told: Answer, runs: int) -> None:
        judgement = judge_create(reading_of(count=max(runs, 1)), told, now=NOW, seen=Seen())

        assert {violation.cause for violation in judgement.violations} <= {"runs and failures do not add up to count"}
        assert len(judgement.runs) == runs


class TestComparing:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (1, True),
            (1, 1.0),
            ("1", 1),
            (None, False),
            ([1, 2], [2, 1]),
            ([1], [1, 1]),
            ({"a": 1}, {"A": 1}),
            ({"a": 1}, {"a": 1, "b": 2}),
            ({"a": [{"b": 2**60}]}, {"a": [{"b": 2**60 + 1}]}),
            ("e\u0301", "é"),
        ],
    )
    def test_differences_in_value_or_type_are_described(self, one: Any, other: Any) -> None:
        assert difference({"in": one}, {"in": other}, "inputs")
        assert difference({"in": other}, {"in": one}, "inputs")

    @pytest.mark.parametrize(
        ("one", "other", "change"),
        [
            ({"a": [[]]}, {"a": [None]}, "null instead of []"),
            ("2026-11-29T04:11:07.5Z", "2026-11-29T04:11:07Z", '"0-0-0T0:0:0.0Z" or "0-0-0T0:0:0Z"'),
            ("2026-11-29T04:11:07Z", 1795925467, '"0-0-0T0:0:0Z" or 0'),
            ("2026-11-29T04:11:07Z", "2026-11-29T05:11:07Z", ""),
            ("x", None, ""),
            ({"a": 1}, {}, ""),
        ],
    )
    def test_the_same_change_at_other_places_is_described_alike(self, one: Any, other: Any, change: str) -> None:
        found = difference(one, other, "field")
        assert found is not None
        assert found.change == (found + " in run 2 of 3").change == change

    def test_equal_values_do_not_differ(self) -> None:
        value = {"a": [1, 1.5, None, {"b": float("nan")}]}

        assert difference(value, {"a": [1, 1.5, None, {"b": float("nan")}]}, "inputs") is None

    def test_nothing_and_empty_inputs_are_the_same(self) -> None:
        assert input_difference(None, {}, may_gain=False) is None
        assert input_difference({"a": 1}, None, may_gain=False) == 'input_values null instead of {"a": 1}'

    @pytest.mark.parametrize(
        ("aliases", "fine"),
        [({"a": "x"}, True), ({"a": ""}, False), ({}, False), ({"a": "x", "b": "y"}, False), ("x", False)],
    )
    def test_aliases_have_the_keys_of_the_secrets(self, aliases: Any, fine: bool) -> None:
        assert (alias_difference({"a": "secret"}, aliases) is None) == fine

    def test_a_field_that_reads_otherwise_is_named(self) -> None:
        before = run_of(session_alias="a", input_values={"a": 1})

        problem = 'session_alias "b" instead of "a"'
        assert changed_field(before, before | {"session_alias": "b"}) == ("session_alias", problem)
        assert changed_field(before, before | {"created_at": "2026-01-02T04:04:05+01:00"}) is None
        assert changed_field(before, before | {"pool_ids": []}, ("pool_ids",)) is None
        assert changed_field(before, before | {"session_alias": 5}) is None  # judged with its answer
        assert changed_field(before, before | {"input_values": {"a": 2}}, ("input_values",))
        assert changed_field({}, before) is None

    def test_the_stable_fields_depend_on_the_create(self) -> None:
        assert "machine_id" not in stable_fields(None)
        assert {"machine_id"} <= set(stable_fields(reading_of(machine_id=M)))
        assert {"pool_ids"} <= set(stable_fields(reading_of()))
        assert not {"pool_ids", "machine_id"} & set(stable_fields(reading_of(session_id=S)))


class TestLives:
    @pytest.mark.parametrize(
        ("before", "after", "possible"),
        [
            ("scheduling", "scheduling", True),
            ("scheduling", "success", True),
            ("scheduling", "cancelled", True),
            ("running", "scheduling", False),
            ("success", "running", False),
            ("cancelled", "success", False),
            ("running_checks", "error", True),
        ],
    )
    def test_statuses_follow_the_edges(self, before: str, after: str, possible: bool) -> None:
        assert can_follow(before, after) == possible
        assert (step_violation(before, after) is None) == possible

    def test_the_final_status_of_a_run_does_not_change_the_dedup_key(self) -> None:
        wrong = [step_violation("cancelled", after) for after in ("success", "error", "running")]

        ended, failed, back = (one.dedup_key if one else None for one in wrong)
        assert ended == failed
        assert back not in {ended, None}
        assert [one.cause for one in wrong if one] == [f"cancelled to {end}" for end in ("success", "error", "running")]

    @pytest.mark.parametrize(
        ("fields", "fits"),
        [
            ({"status": "running"}, True),
            ({"status": "running", "error": ["x"]}, False),
            ({"status": "scheduling", "output_data": {"a": 1}}, False),
            ({"status": "success", "error": ["x"]}, False),
            ({"status": "success"}, True),
            ({"status": "error"}, False),
            ({"status": "error", "error": ["x"]}, True),
            ({"status": "task_failed"}, False),
            ({"status": "task_failed", "output_data": {"a": 1}}, True),
            ({"status": "cancelled"}, True),
        ],
    )
    def test_error_and_output_fit_the_status(self, fields: dict[str, Any], fits: bool) -> None:
        assert (status_contradiction(run_of(**fields)) is None) == fits


class TestWords:
    def test_an_excerpt_is_one_short_line(self) -> None:
        assert excerpt(b"a\nb\xff") == "a b\ufffd"
        assert len(excerpt("x" * 500)) == 120

    def test_kin_stays_while_a_request_gets_smaller(self) -> None:
        assert Violation("A", "b", "", "").dedup_key == "A: b"
        assert Violation("A", "b", "", "", dedup_key_override="f").dedup_key == "f"
