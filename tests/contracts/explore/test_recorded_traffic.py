"""What another engine sent, judged by our rules without being sent again, and told as a case of ours."""

from __future__ import annotations

import dataclasses
import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.core.exchange import TOKEN, Answer, Exchange, Request
from contracts.core.target import Target
from contracts.engine.check_context import CheckContext
from contracts.engine.context import CaseContext
from contracts.engine.request_case import RequestCase
from contracts.engine.results import Inconclusive, RuleViolated
from contracts.explore.recorded_traffic import KnownResources, Record, RecordedCase, judge_recorded, run_recorded
from contracts.guard import Guard
from contracts.openapi.schemas import schema
from tests.standin.serving import serving

RUN, OTHER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
WORKFLOW = "55555555-5555-4555-8555-555555555555"
LONG_KEY = "schema-" + "z" * 249
ATTACHMENT = "66666666-6666-4666-8666-666666666666"
JSON = ("Content-Type", "application/json")
A_RUN = {
    "id": RUN,
    "workflow_id": WORKFLOW,
    "machine_id": None,
    "status": "running",
    "created_at": "2025-03-04T09:15:00Z",
}
NOT_FOUND = {"detail": "Run not found"}


@pytest.fixture
def check(tmp_path: Path) -> CheckContext:
    target = Target("http://127.0.0.1:9", "token", "other-token", allow_writes=True)
    check = CheckContext(target, Guard(target, journal_dir=tmp_path), deadline=math.inf)
    check.workflows.accepts_any_id = True
    return check


def exchange(
    method: str,
    path: str,
    status: int,
    told: Any = None,
    *,
    sent: Any = None,
    token: str | None = TOKEN,
    **headers: str,
) -> Exchange:
    given = [("Authorization", token)] if token is not None else []
    given += [(name.replace("_", "-"), value) for name, value in headers.items()]
    given += [JSON] if sent is not None else []
    body = None if sent is None else json.dumps(sent).encode()
    answer = Answer(status, (JSON,), b"" if told is None else json.dumps(told).encode())
    return Exchange(Request(method, path, tuple(given), body), answer)


def broken(check: CheckContext, one: Exchange, known_resources: KnownResources | None = None) -> tuple[str, str] | None:
    context = CaseContext(check)
    try:
        judge_recorded(context, context.observe(one), known_resources or KnownResources())
    except RuleViolated as shown:
        return shown.rule, shown.cause
    except Inconclusive:
        return None
    return None


def page(*items: Any, **more: Any) -> dict[str, Any]:
    return {"items": list(items), "total": len(items), "skip": 0, "limit": 100} | more


@pytest.mark.parametrize(
    ("one", "rule"),
    [
        (exchange("GET", "/v1/machines", 500, {"detail": "oh"}), "NO-5XX"),
        (exchange("GET", "/v1/pools", 404, "nothing"), "HTTP-ERROR-JSON"),
        (exchange("PUT", "/v1/runs", 200, {}), "HTTP-METHOD"),
        (exchange("DELETE", "/v1/runs", 204), "HTTP-METHOD"),
        (exchange("PUT", f"/v1/runs/{RUN}", 200, {}), "HTTP-METHOD"),
        (exchange("GET", "/v1/runs", 200, page(), token=None), "AUTH-REQUIRED"),
        (exchange("GET", "/v1/machines", 200, page(), token="Basic eDp5"), "AUTH-SCHEME"),
        (exchange("GET", "/v1/pools", 200, page(), token="Bearer wrong"), "AUTH-TOKEN"),
        (exchange("GET", "/v1/runs/not-a-uuid", 200, A_RUN), "READ-UNKNOWN"),
        (exchange("GET", f"/v1/runs/{OTHER}", 200, A_RUN | {"id": OTHER}), "READ-UNKNOWN"),
        (exchange("GET", f"/v1/runs/{RUN}", 404, NOT_FOUND), "READ-BACK"),
        (exchange("GET", f"/v1/runs/{RUN}", 200, A_RUN | {"status": "asleep"}), "READ-BACK"),
        (exchange("GET", f"/v1/runs/{RUN}", 201, A_RUN), "READ-BACK"),
        (exchange("PATCH", f"/v1/runs/{RUN}", 200, A_RUN | {"error": "late"}, sent={}), "UPDATE-PARTIAL"),
        (exchange("PATCH", f"/v1/runs/{RUN}", 200, A_RUN, sent={"error": 5}), "REQ-TYPES"),
        (exchange("POST", "/v1/runs", 201, A_RUN, sent={}), "REQ-WORKFLOW"),
        (exchange("POST", "/v1/runs", 422, {"detail": "no"}, sent={"workflow_id": 5}), "REQ-ERROR"),
        (exchange("POST", "/v1/runs", 422, {"detail": "no"}, sent={"workflow_id": WORKFLOW}), "REQ-ACCEPT"),
        (exchange("POST", "/v1/runs/chain", 201, {"run_ids": [RUN]}, sent={"steps": []}), "REQ-TYPES"),
        (exchange("GET", "/v1/run-attachments", 200, page({"id": 5})), "ATTACHMENTS"),
        (exchange("GET", "/v1/runs", 200, page(A_RUN | {"created_at": "today"})), "READ-BACK"),
        (exchange("GET", "/v1/runs?limit=5", 200, page(A_RUN)), "LIST-PAGE"),
        (exchange("GET", "/v1/runs?skip=0&limit=100", 200, page(A_RUN, total=7)), "LIST-PAGE"),
        (exchange("GET", "/v1/runs?status=success", 200, page(A_RUN)), "LIST-FILTER"),
        (exchange("GET", f"/v1/runs?workflow_id={OTHER}", 200, page(A_RUN)), "LIST-FILTER"),
        (exchange("GET", "/v1/runs?created_at_from=2025-03-05T00:00:00Z", 200, page(A_RUN)), "LIST-FILTER"),
        (exchange("GET", "/v1/runs?created_at_to=2025-03-04T09:14:59Z", 200, page(A_RUN)), "LIST-FILTER"),
        (exchange("GET", "/v1/runs?search=abc", 422, {"detail": "no"}), "LIST-COMPLETE"),
    ],
)
def test_a_broken_rule_is_reported_by_its_id(one: Exchange, rule: str, check: CheckContext) -> None:
    known_resources = KnownResources(alive={RUN}, unknown={OTHER})

    found = broken(check, one, known_resources)

    assert found is not None
    assert found[0] == rule


@pytest.mark.parametrize(
    "one",
    [
        exchange("PUT", "/v1/runs", 405, {"detail": "no"}),
        exchange("OPTIONS", "/v1/runs", 200),
        exchange("PUT", "/v1/nothing", 200),
        exchange("GET", "/v1/health", 200, {"status": "ok"}, token=None),
        exchange("GET", "/v1/runs", 200, page(), token="Bearer test-anything"),
        exchange("GET", "/v1/runs", 401, {"detail": "no"}, token=None),
        exchange("GET", f"/v1/runs/{RUN.upper()}", 200, A_RUN),
        exchange("GET", f"/v1/runs/{RUN}?include=5", 422, {"detail": "no"}),
        exchange("GET", "/v1/machines/not-a-uuid", 422, {"detail": "no"}),
        exchange("PATCH", f"/v1/runs/{RUN}", 409, {"detail": "ended"}, sent={"status": "cancelled"}),
        exchange("POST", f"/v1/runs/{RUN}/retry", 422, {"detail": "not yet"}, sent={}),
        exchange("POST", "/v1/runs", 422, {"detail": "no"}, sent={"workflow_id": WORKFLOW}, Idempotency_Key=""),
        exchange("POST", "/v1/runs", 422, {"detail": "no"}, sent={"workflow_id": WORKFLOW}, Idempotency_Key=LONG_KEY),
        exchange("POST", "/v1/runs", 409, {"detail": "no"}, sent={"workflow_id": WORKFLOW}, Idempotency_Key="key-used"),
        exchange("POST", "/v1/pools", 409, {"detail": "there is one"}, sent={"name": "a"}),
        exchange("GET", "/v1/runs?limit=0", 200, page()),
        exchange("GET", "/v1/runs?limit=1&limit=2", 422, {"detail": "no"}),
        exchange("GET", "/v1/runs?search=%00", 422, {"detail": "no"}),
        exchange("GET", "/v1/runs?unknown=5", 200, page(A_RUN, total=9)),
        exchange("GET", "/v1/runs?created_at_from=0001-01-01T00:00:00Z", 422, {"detail": "no"}),
        exchange("GET", "/v1/runs?status=running&created_at_to=2025-03-04T09:15:00Z", 200, page(A_RUN)),
        exchange("GET", f"/v1/run-attachments/{ATTACHMENT}/download", 200, 5),
    ],
)
def test_lawful_and_undetermined_answers_break_no_rule(one: Exchange, check: CheckContext) -> None:
    assert broken(check, one, KnownResources(alive={RUN}, keys={"key-used"})) is None


def test_a_deleted_run_must_be_gone(check: CheckContext) -> None:
    known_resources = KnownResources(alive={RUN})
    known_resources.learn(exchange("DELETE", f"/v1/runs/{RUN}", 404, NOT_FOUND))
    assert broken(check, exchange("GET", f"/v1/runs/{RUN}", 200, A_RUN), known_resources) is None

    known_resources.learn(exchange("DELETE", f"/v1/runs/{RUN}", 204))

    assert broken(check, exchange("GET", f"/v1/runs/{RUN}", 404, NOT_FOUND), known_resources) is None
    found = broken(check, exchange("GET", f"/v1/runs/{RUN}", 200, A_RUN), known_resources)
    assert found == ("DELETE-GONE", "get_run after the delete is not 404")


def test_a_write_may_be_replayed_after_the_delete_of_its_run(check: CheckContext) -> None:
    update = exchange("PATCH", f"/v1/runs/{RUN}", 200, A_RUN, sent={}, Idempotency_Key="k")
    known_resources = KnownResources(alive={RUN})
    known_resources.learn(update)
    known_resources.learn(exchange("DELETE", f"/v1/runs/{RUN}", 204))
    another = exchange("PATCH", f"/v1/runs/{RUN}", 200, A_RUN, sent={}, Idempotency_Key="k2")

    assert broken(check, update, known_resources) is None
    assert broken(check, another, known_resources) == ("DELETE-GONE", "update_run after the delete is not 404")


def test_runs_that_creates_report_exist(check: CheckContext) -> None:
    known_resources = KnownResources()

    known_resources.learn(exchange("POST", "/v1/runs", 201, A_RUN, Idempotency_Key="k"))
    known_resources.learn(exchange("POST", "/v1/runs/chain", 201, {"run_ids": [OTHER]}))
    known_resources.learn(exchange("POST", "/v1/runs", 201, "no object"))
    known_resources.learn(Exchange(Request("POST", "/v1/runs"), Answer(201, (), b"no JSON")))

    assert known_resources == KnownResources(alive={RUN, OTHER}, keys={"k"})


def test_a_sequence_begins_with_the_create_of_the_run_that_it_is_about() -> None:
    runs = [{"id": OTHER}, {"id": RUN, "input_attachment_ids": [ATTACHMENT]}]
    make = exchange(
        "POST",
        "/v1/runs/bulk",
        201,
        {"created_runs": runs},
        sent={"count": 2, "sensitive_input_values": {"pin": "so-secret", "list": ["so-secret!", 1]}},
        User_Agent="schemathesis/4",
        X_Schemathesis_TestCaseId="5",
        Idempotency_Key="schema-1",
    )
    change = exchange("PATCH", f"/v1/runs/{RUN}", 200, A_RUN, sent={"status": "cancelled"})
    of_another = exchange("PATCH", f"/v1/runs/{OTHER}", 200, A_RUN, sent={})
    look = exchange("GET", f"/v1/runs/{RUN}?include=workflow&search={RUN}", 500)
    fetch = exchange("GET", f"/v1/run-attachments/{ATTACHMENT}", 500)
    record = Record([make, change, of_another, look, fetch], secret="so-secret")

    case = record.case_at(3)

    assert case.create is not None
    assert case.run == 1
    assert (case.create.token, case.create.headers) == (TOKEN, (("Idempotency-Key", "«key:0»"), JSON))
    assert case.create.json["sensitive_input_values"] == {"pin": "«secret»", "list": ["«secret»!", 1]}
    assert [(each.method, each.path, each.query) for each in case.requests] == [
        ("PATCH", "/v1/runs/«run»", ()),
        ("GET", "/v1/runs/«run»", (("include", "workflow"), ("search", "«run»"))),
    ]
    read = case.requests[1].to_request(lambda value: value.replace("«run»", RUN))
    assert read is not None
    assert read.path == look.request.path
    assert record.case_at(4).requests[0].path == "/v1/run-attachments/«attachment:0»"
    assert record.case_at(0).create is None


def test_a_row_repeats_no_idempotency_key_that_was_recorded() -> None:
    def case_of(*keys: str) -> list[str]:
        made = [exchange("POST", "/v1/runs", 201, A_RUN, Idempotency_Key="schema-0")]
        writes = [exchange("PATCH", f"/v1/runs/{RUN}", 200, A_RUN, sent={}, Idempotency_Key=key) for key in keys]
        case = Record([*made, *writes], secret="so-secret").case_at(len(writes))
        return [value for each in case.requests for name, value in each.headers if name == "Idempotency-Key"]

    assert case_of("schema-1", "schema-2", "schema-1") == ["«key:1»", "«key:2»", "«key:1»"]
    assert case_of("é", "ü", "é") == ["é«short:1»", "ü«short:2»", "é«short:1»"]
    assert case_of("", "x" * 250) == ["", "x" * 250 + "«short:1»"]
    assert case_of("x" * 255, "x" * 256) == ["x" * 250 + "«short:1»", "x" * 251 + "«short:2»"]


CREATE = RequestCase(
    "POST",
    "/v1/runs/bulk",
    TOKEN,
    (JSON, ("Idempotency-Key", "«key»")),
    json={"workflow_id": "«workflow»", "count": 2, "file_inputs": [{"filename": "a", "content": "YQ=="}]},
)


def step(method: str, path: str, **more: Any) -> RequestCase:
    return RequestCase(method, path, TOKEN, **more)


def told_again(defect: str | None, case: RecordedCase, folder: Path) -> tuple[str, list[int]]:
    """The rule that is shown, if any, and the statuses of all answers."""
    with serving(defect) as url:
        target = Target(url, "standin-token-one", "standin-token-two", allow_writes=True)
        with Guard(target, journal_dir=folder) as guard:
            check = CheckContext(target, guard, deadline=math.inf)
            check.workflows.accepts_any_id = True
            context = CaseContext(check)
            try:
                run_recorded(context, case)
            except RuleViolated as shown:
                return shown.rule, [one.answer.status for one in context.exchanges]
            return "", [one.answer.status for one in context.exchanges]


def test_a_recorded_case_is_sent_again_with_a_run_of_its_own(tmp_path: Path) -> None:
    steps = (
        step("GET", "/v1/run-attachments/«attachment:0»"),
        step("DELETE", "/v1/runs/«run»"),
        step("GET", "/v1/runs/«run»?include=workflow"),
        step("POST", "/v1/runs", text="{"),
    )
    case = RecordedCase(steps, CREATE, run=1)

    assert told_again(None, case, tmp_path) == ("", [201, 200, 204, 404, 422])
    assert told_again("deleted_read_with_include", case, tmp_path)[0] == "DELETE-GONE"


def test_half_a_header_is_not_sent(tmp_path: Path) -> None:
    shrunk: Any = RequestCase("GET", "/v1/runs", None, (("a",),))  # type: ignore[arg-type]

    assert told_again(None, RecordedCase((shrunk,), CREATE), tmp_path) == ("", [201])


def test_a_recorded_case_whose_create_fails_cannot_be_judged(tmp_path: Path) -> None:
    with pytest.raises(Inconclusive):
        told_again(None, RecordedCase((step("GET", "/v1/runs/«run»"),), dataclasses.replace(CREATE, json={})), tmp_path)


def test_a_recorded_case_whose_create_lost_half_a_header_cannot_be_judged(tmp_path: Path) -> None:
    shrunk: Any = dataclasses.replace(CREATE, headers=(("a",),))  # type: ignore[arg-type]

    with pytest.raises(Inconclusive):
        told_again(None, RecordedCase((), shrunk), tmp_path)


def test_the_clock_of_a_create_is_judged_by_when_its_answer_came_however_late_it_is_judged(check: CheckContext) -> None:
    created = datetime.now(UTC) - timedelta(minutes=20)
    empty = dict.fromkeys(schema("RunResponse")["properties"])
    run = empty | {"id": RUN, "workflow_id": WORKFLOW, "status": "scheduling", "created_at": created.isoformat()}
    recorded = exchange("POST", "/v1/runs", 201, run, sent={"workflow_id": WORKFLOW})
    answer = dataclasses.replace(recorded.answer, received_at=created + timedelta(seconds=1))

    assert broken(check, dataclasses.replace(recorded, answer=answer)) is None
    assert check.judged["CREATE-ANSWER"]
    late = dataclasses.replace(answer, body=answer.body.replace(RUN.encode(), OTHER.encode()), received_at=None)
    assert broken(check, dataclasses.replace(recorded, answer=late)) == ("CREATE-ANSWER", "created_at is not about now")
