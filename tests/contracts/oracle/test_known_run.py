"""What the model of a run accepts in the next answer, and what it does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.oracle.known_run import KnownRun
from contracts.oracle.request import read_body
from contracts.oracle.run_list import DELETED, FOREIGN, matches
from contracts.oracle.violation import Violation
from tests.contracts.oracle.test_oracle import M, S, W, run_of

FINE = "2026-01-02T03:04:05.123456789Z"
CREATED_BY = read_body("bulk_create_runs", {"workflow_id": W, "count": 1})
FILES = {"file_inputs": [{"filename": "a.txt", "content": "YQ=="}]}


def known(created_by: Any = CREATED_BY, **fields: Any) -> KnownRun:
    return KnownRun(run_of(**fields), created_by)


def of(violations: Any) -> list[tuple[str, str]]:
    found: list[Violation] = list(violations)
    return [(violation.rule, violation.cause) for violation in found]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, []),
        ({}, {"status": "running", "output_data": None}, []),
        ({}, {"pool_ids": []}, []),
        ({}, {"session_id": S}, [("READ-BACK", "session_id reads differently")]),
        ({"input_values": {"a": 1}}, {"input_values": {"a": 1.0}}, [("READ-BACK", "input_values reads differently")]),
        ({"input_values": {"a": [1e16, -1e22]}}, {"input_values": {"a": [10**16, -(10**22)]}}, []),
        ({"input_values": {"a": [1e23, -1e100]}}, {"input_values": {"a": [10**23, -(10**100)]}}, []),
        ({"input_values": {"a": 10**23}}, {"input_values": {"a": 1e23}}, []),
        (
            {"input_values": {"a": 2**53 + 1}},
            {"input_values": {"a": float(2**53)}},
            [("READ-BACK", "input_values reads differently")],
        ),
        (
            {"input_values": {"a": 1e16}},
            {"input_values": {"a": 10**16 + 1}},
            [("READ-BACK", "input_values reads differently")],
        ),
        ({}, {"usage_metadata": {"a": 1}}, []),
        ({"created_at": FINE}, {"created_at": f"{FINE[:-1]}0Z"}, []),
        ({"created_at": FINE}, {"created_at": f"{FINE[:-4]}Z"}, [("READ-BACK", "created_at reads differently")]),
        ({}, {"error": ["x"]}, [("LIFECYCLE", "an error while scheduling"), ("LIFECYCLE", "error reads differently")]),
        ({"status": "running"}, {"status": "scheduling"}, [("LIFECYCLE", "running to scheduling")]),
        (
            {"status": "running", "started_at": FINE},
            {"started_at": None},
            [("LIFECYCLE", "started_at reads differently")],
        ),
        ({"status": "running", "started_at": FINE}, {"status": "running_checks", "started_at": None}, []),
        ({"status": "success"}, {"status": "success", "output_data": {}}, []),
        (
            {"status": "success", "output_data": {"a": 1}},
            {"status": "success", "output_data": {"a": 2}},
            [("LIFECYCLE", "output_data reads differently")],
        ),
        (
            {"status": "running"},
            {"status": "success", "started_at": "2026-01-02T03:04:06Z", "ended_at": "2026-01-02T03:04:05Z"},
            [("LIFECYCLE", "ended before it started")],
        ),
    ],
)
def test_a_read_shows_what_is_known(
    before: dict[str, Any], after: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert of(known(**before).read_violations(run_of(**(before | after)))) == expected


@pytest.mark.parametrize("name", ["started_at", "ended_at"])
def test_the_times_of_a_run_are_after_its_creation_and_before_the_read(name: str) -> None:
    now = datetime.now(UTC)

    def judged(run: KnownRun, moved: timedelta, *, created: timedelta = timedelta()) -> list[tuple[str, str]]:
        times = {"created_at": (now + created).isoformat(), name: (now + created + moved).isoformat()}
        run = replace(run, view=run.view | times)
        return of(run.read_violations(dict(run.view)))

    run = known(status="success")
    assert judged(run, timedelta(minutes=-4)) == judged(run, timedelta(minutes=4)) == []
    assert judged(run, timedelta(minutes=-30)) == [("LIFECYCLE", f"{name} before created_at")]
    assert judged(run, timedelta(minutes=30)) == [("LIFECYCLE", f"{name} in the future")]
    assert judged(run, timedelta(minutes=30), created=timedelta(hours=-1)) == []
    assert judged(run, timedelta(seconds=2), created=timedelta(days=365)) == []  # the clock of the target is ahead
    body = {name: "2001-01-01T00:00:00Z"}
    updated = run.after_update(body, run_of(status="success"))
    assert judged(updated, timedelta(minutes=-30)) == []
    retried = updated.after_retry(read_body("retry_run", {}), run_of())
    assert judged(retried, timedelta(minutes=30)) == []


def test_a_list_with_some_fields_is_compared_in_these_only() -> None:
    partial = {"id": run_of()["id"], "status": "scheduling", "input_values": {"b": 2}}

    found = known(input_values={"a": 1}, session_id=S).read_violations(partial, is_partial=True)

    assert of(found) == [("READ-BACK", "input_values reads differently")]
    assert of(known(status="running").read_violations({"status": "error"}, is_partial=True)) == []


@pytest.mark.parametrize(
    ("before", "body", "after", "expected"),
    [
        ({}, {"input_values": {"b": 2}}, {"input_values": {"b": 2}}, []),
        ({}, {"input_values": {"b": 2}}, {}, [("UPDATE-PARTIAL", "input_values is not as asked")]),
        ({"input_values": {"a": 1}}, {}, {"input_values": None}, [("UPDATE-PARTIAL", "input_values changes too")]),
        (
            {"machine_id": M},
            {"input_values": None},
            {"machine_id": M, "input_values": {"of_the_machine": 2}},
            [("UPDATE-PARTIAL", "input_values is not as asked")],
        ),
        ({}, {"workflow_id": M}, {"workflow_id": M}, [("UPDATE-PARTIAL", "workflow_id changes too")]),
        (
            {},
            {"error": ["x"]},
            {"error": ["x"], "output_data": {"a": 1}},
            [("UPDATE-PARTIAL", "output_data changes too")],
        ),
        ({}, {"started_at": "2099-01-02T03:04:05.678901Z"}, {"started_at": "2099-01-02T03:04:05.678Z"}, []),
        ({}, {"ended_at": "0001-01-01T00:00:00+14:00"}, {"ended_at": "0000-12-31T10:00:00Z"}, []),
        (
            {},
            {"ended_at": "0001-01-01T00:00:00Z"},
            {"ended_at": None},
            [("UPDATE-PARTIAL", "ended_at is not as asked")],
        ),
        ({}, {"status": "cancelled"}, {"status": "cancelled", "started_at": None, "error": ["Cancelled."]}, []),
        ({}, {"status": "cancelled"}, {}, [("UPDATE-PARTIAL", "a run is not cancelled")]),
        ({"status": "running"}, {"status": "cancelled"}, {"status": "success"}, []),
        (
            {"status": "success"},
            {"status": "cancelled"},
            {"status": "cancelled"},
            [("LIFECYCLE", "success to cancelled")],
        ),
        ({"status": "success"}, {"error": []}, {"status": "error"}, [("UPDATE-PARTIAL", "success to error")]),
        ({}, {"output_data": {"a": 1}}, {"status": "running", "output_data": {"b": 2}}, []),
        (
            {"status": "running", "run_message_history": [{"a": 1}]},
            {"input_values": {}},
            {"run_message_history": None},
            [("UPDATE-PARTIAL", "run_message_history changes too")],
        ),
        (
            {"status": "running", "run_message_history": [{"a": 1}]},
            {"run_message_history": []},
            {"run_message_history": []},
            [],
        ),
    ],
)
def test_an_update_changes_the_fields_that_it_names(
    before: dict[str, Any], body: dict[str, Any], after: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    before = {"started_at": None} | before

    assert of(known(**before).update_violations(body, run_of(**(before | after)))) == expected


PLACED = {"machine_id": M, "input_values": {"a": 1}}
"""A run with a machine that no request has named."""


@pytest.mark.parametrize(
    ("before", "body", "after", "cause"),
    [
        ({"error": ["x"]}, {}, {"error": None}, None),
        ({}, {}, {"id": run_of(1)["id"]}, "another id"),
        ({}, {}, {"status": "running"}, "not back to scheduling"),
        ({"error": ["x"]}, {}, {}, "error is not cleared"),
        ({"input_values": {"a": 1}}, {}, {"input_values": None}, "input_values change too"),
        ({}, {"input_values": {"b": 2}}, {}, "input_values are not replaced"),
        (PLACED, {"input_values": {"b": 2}}, {"input_values": {"a": 1, "b": 2}}, "input_values are not replaced"),
        ({}, {"input_values": {"b": 2}, "machine_id": M}, {"input_values": {"a": 1, "b": 2}, "machine_id": M}, None),
        ({}, {"sensitive_input_values": {"pin": "1"}}, {"sensitive_input_aliases": {"pin": "x"}}, None),
        ({}, {"sensitive_input_values": {"pin": "1"}}, {}, "aliases of other keys"),
        (
            {"sensitive_input_aliases": {"old": "x"}},
            {"sensitive_input_values": {"pin": "1"}},
            {"sensitive_input_aliases": {"old": "x", "pin": "y"}},
            "aliases of other keys",
        ),
        ({"sensitive_input_aliases": {"pin": "x"}}, {}, {"sensitive_input_aliases": None}, "aliases change too"),
        ({}, {"session_id": S}, {}, "session_id is not as given"),
        ({}, {"start_session": True}, {}, "no session is started"),
        ({"session_id": S}, {"reuse_session": False}, {}, "the session is kept"),
        ({"session_id": S}, {}, {"session_id": None}, "the session is not kept"),
        ({}, {"session_alias": "x"}, {}, "session_alias is not as given"),
        ({"session_alias": "x"}, {}, {"session_alias": None}, "session_alias changes too"),
        ({"session_alias": "x"}, {"session_id": S}, {"session_id": S, "session_alias": None}, None),
        ({"release_session_after": True}, {}, {"release_session_after": False}, "release_session_after changes too"),
        ({}, {"machine_id": M}, {}, "machine_id is not as given"),
        ({"session_id": S}, {"machine_id": M}, {}, None),
        ({}, {"pool_ids": [M]}, {}, "pool_ids is not as given"),
        ({"pool_ids": [M]}, {}, {"pool_ids": None}, "pool_ids change too"),
        ({"pool_ids": [M]}, {"machine_id": M}, {"machine_id": M, "pool_ids": None}, None),
        ({"pool_ids": [M], "session_id": S}, {}, {"pool_ids": None}, None),
        ({"input_attachment_ids": ["a"]}, FILES, {"input_attachment_ids": ["b"]}, None),
        ({"input_attachment_ids": ["a"]}, FILES, {}, "input attachments are not replaced"),
        ({"input_attachment_ids": ["a"]}, {}, {"input_attachment_ids": None}, "input attachments change too"),
    ],
)
def test_a_retry_starts_the_run_again(
    before: dict[str, Any], body: dict[str, Any], after: dict[str, Any], cause: str | None
) -> None:
    run = known(status="cancelled", **before)
    answer = run_of(**({"status": "scheduling"} | before | after))

    found = of(run.retry_violations(read_body("retry_run", body), answer))

    assert found == ([] if cause is None else [("RETRY-RULES", cause)])


@pytest.mark.parametrize(
    ("before", "body", "after", "field"),
    [
        ({"output_data": {"a": 1}}, {}, {}, "output_data"),
        ({}, {"machine_id": M}, {}, "machine_id"),
        ({"session_alias": "x"}, {}, {"session_alias": None}, "session_alias"),
        ({"pool_ids": [M]}, {}, {"pool_ids": None}, "pool_ids"),
        ({"input_values": {"a": 1}}, {}, {"input_values": None}, "input_values"),
        ({}, {}, {"organization_id": "other"}, "organization_id"),
    ],
)
def test_a_violation_of_a_retry_has_the_field_that_is_wrong(
    before: dict[str, Any], body: dict[str, Any], after: dict[str, Any], field: str
) -> None:
    answer = run_of(**({"status": "scheduling"} | before | after))

    found = known(status="cancelled", **before).retry_violations(read_body("retry_run", body), answer)

    assert [violation.field for violation in found] == [field]


def test_a_difference_is_the_effect_of_a_change_if_the_run_was_read_before_it() -> None:
    other = run_of(session_alias="other", error=["x"])
    run = known(session_alias="front desk")

    updated = run.after_update({"error": ["x"]}, run_of(session_alias="front desk", error=["x"]))
    read_before = run.after_read(run.view).after_update(
        {"error": ["x"]}, run_of(session_alias="front desk", error=["x"])
    )

    assert of(updated.read_violations(other)) == [("READ-BACK", "session_alias reads differently")]
    assert of(read_before.read_violations(other)) == [("UPDATE-PARTIAL", "session_alias reads differently")]


def test_a_cancelled_run_may_still_write_results_of_its_work() -> None:
    late = run_of(status="cancelled", output_data={"a": 1})

    at_work = known(status="running").after_update({"status": "cancelled"}, run_of(status="cancelled"))
    waiting = run_of(status="cancelled", started_at=None)
    before_work = known(started_at=None).after_update({"status": "cancelled"}, waiting)

    assert of(at_work.read_violations(late)) == []
    assert of(before_work.read_violations(late)) == [("READ-BACK", "output_data reads differently")]


def test_a_request_that_must_change_nothing_may_not_cancel_or_start_a_run() -> None:
    def causes(before: str, after: str) -> list[tuple[str, str]]:
        return of(known(status=before).unchanged_violations("IDEM-REPLAY", "a repeat", run_of(status=after)))

    assert causes("scheduling", "running") == []
    assert causes("scheduling", "cancelled") == [("IDEM-REPLAY", "a repeat")]
    assert causes("cancelled", "scheduling") == [("IDEM-REPLAY", "a repeat")]


def test_a_request_that_must_change_nothing_may_not_clear_the_results_of_a_running_run() -> None:
    def causes(before: Any, after: Any, status: str = "running") -> list[tuple[str, str]]:
        run = known(status="running", output_data=before)
        return of(run.unchanged_violations("RETRY-RULES", "a retry", run_of(status=status, output_data=after)))

    assert causes({"a": 1}, None) == [("RETRY-RULES", "a retry")]
    assert causes({"a": 1}, {"a": 2}) == causes(None, {"a": 2}) == causes({}, None) == []  # the run may have written it
    assert causes({"a": 1}, None, status="error") == []


def test_a_deleted_run_and_one_of_another_organisation_may_not_be_listed() -> None:
    run = known(status="cancelled").after_retry(read_body("retry_run", {"machine_id": M}), run_of(machine_id=M))

    assert run.candidate().absence is None
    assert matches(run.candidate(), [("machine_id", M)])
    assert run.after_delete().candidate(FOREIGN).absence is DELETED
    assert of(run.after_delete().gone_violations("get_run", 200, "200")) == [
        ("DELETE-GONE", "get_run after the delete is not 404")
    ]
