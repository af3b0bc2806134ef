"""Updating a run: what is named changes, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver.behaviour import attachments, run_view
from mockserver.behaviour.batch import Batch, Change
from mockserver.behaviour.lifecycle import SETTABLE_STATUSES
from mockserver.behaviour.run_files import Attachment, input_attachments
from mockserver.clock import ManualClock
from tests.mockserver.inprocess import (
    NEVER_ENDS,
    SUCCEEDS,
    TASK_FAILED,
    TERMINAL,
    Mock,
    new_organisation,
    unknown_id,
    violations,
)

VALUES = {
    "error": ["It broke.", "Twice."],
    "output_data": {"rows": 3, "nested": {"n": 1.0, "big": 10**30}},
    "output_attachment_ids": [],
    "run_message_history": [{"role": "user", "content": "go"}, {}],
    "input_values": {"a": [None, True, "é\u0000"]},
    "usage_metadata": {"tokens": 5},
    "started_at": "2026-05-01T08:00:00.123456Z",
    "release_session_after": False,
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("of", [SUCCEEDS, TASK_FAILED, NEVER_ENDS])
def test_an_update_changes_what_it_names_and_nothing_else(name, of):
    mock = new_organisation()
    run = mock.create(of, input_values={"was": 1}, session_alias="a", sensitive_input_values={"pin": "1"})
    mock.clock.advance(60)
    before = mock.read(run["id"])

    answer = mock.patch(f"/v1/runs/{run['id']}", {name: VALUES[name]})

    assert answer.status_code == 200
    assert answer.json() == {**before, name: VALUES[name]}
    assert mock.read(run["id"]) == answer.json() == mock.listed()[0]


@settings(max_examples=40)
@given(st.lists(st.dictionaries(st.sampled_from(sorted(VALUES)), st.booleans(), max_size=4), max_size=4))
def test_updates_add_up(updates):
    mock = new_organisation()
    run, other = mock.create_many(2)
    expected = mock.read(run["id"])
    for update in updates:
        body = {name: VALUES[name] if filled else None for name, filled in update.items()}
        expected |= body

        assert mock.patch(f"/v1/runs/{run['id']}", body).json() == expected

    assert mock.read(run["id"]) == expected
    assert mock.read(other["id"]) == other


def test_an_update_of_nothing_changes_nothing():
    mock = new_organisation()
    run = mock.create()

    assert mock.patch(f"/v1/runs/{run['id']}", {}).json() == run
    assert mock.patch(f"/v1/runs/{run['id']}", {"status": None, "colour": "blue"}).json() == run


def test_null_takes_a_value_away():
    mock = new_organisation()
    run = mock.create(TASK_FAILED, input_values={"a": 1}, release_session_after=True)
    mock.clock.advance(60)
    assert mock.read(run["id"])["error"]

    body = dict.fromkeys(("error", "input_values", "started_at", "ended_at", "release_session_after"))
    updated = mock.patch(f"/v1/runs/{run['id']}", body).json()

    assert {name: updated[name] for name in body} == body
    assert updated["status"] == "task_failed"


def test_what_was_set_while_it_ran_stays_when_the_run_has_ended():
    mock = new_organisation()
    run = mock.create()

    mock.patch(f"/v1/runs/{run['id']}", {"output_data": {"mine": True}, "started_at": VALUES["started_at"]})
    mock.clock.advance(60)

    ended = mock.read(run["id"])
    assert (ended["status"], ended["output_data"]) == ("success", {"mine": True})
    assert ended["started_at"] == VALUES["started_at"]


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("2026-05-01T10:00:00.5+02:00", "2026-05-01T08:00:00.500000Z"),
        ("2026-05-01T10:00:00", "2026-05-01T10:00:00.000000Z"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00.000000Z"),
        ("9999-12-31T23:59:59.999999-12:00", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_a_moment_is_shown_as_every_other_moment(sent, shown):
    mock = new_organisation(coercion="lax")
    run = mock.create()

    assert mock.patch(f"/v1/runs/{run['id']}", {"started_at": sent}).json()["started_at"] == shown


@pytest.mark.parametrize(
    ("workflow_id", "body", "why"),
    [
        (NEVER_ENDS, {"ended_at": "2099-01-01T00:00:00Z"}, "A run that is running has no ended_at yet"),
        (SUCCEEDS, {"started_at": "2001-01-01T00:00:00Z"}, "started_at is before created_at, which is 2026-01-01T"),
        (SUCCEEDS, {"ended_at": "2001-01-01T00:00:00Z"}, "ended_at is before created_at, which is 2026-01-01T"),
        (SUCCEEDS, {"ended_at": "2026-01-01T00:00:00.000001Z"}, "ended_at is before started_at, which is 2026-01-01T"),
        (
            SUCCEEDS,
            {"started_at": "2099-01-02T00:00:00Z", "ended_at": "2099-01-01T00:00:00Z"},
            "ended_at is before started_at, which is 2099-01-02T00:00:00.000000Z",
        ),
    ],
)
def test_moments_at_which_a_run_cannot_have_started_or_ended_are_refused_in_strict_only(workflow_id, body, why):
    # Clocks of their own: a run of another test has moved the shared one.
    strict, lax = Mock(clock=ManualClock()), Mock(coercion="lax", clock=ManualClock())
    for mock in (strict, lax):
        mock.create(workflow_id)
        mock.clock.advance(60)
    run = strict.listed()[0]

    refused = strict.patch(f"/v1/runs/{run['id']}", body)
    taken = lax.patch(f"/v1/runs/{lax.ids()[0]}", body)

    assert refused.status_code == 409
    assert refused.json()["detail"].startswith(why)
    assert strict.read(run["id"]) == run
    assert taken.status_code == 200


def test_a_run_can_be_ended_and_told_when_in_one_update():
    mock = new_organisation()
    run = mock.create(NEVER_ENDS)
    mock.clock.advance(60)

    moments = {"started_at": "2099-01-01T00:00:00.000000Z", "ended_at": "2099-01-01T00:20:00.000000Z"}
    ended = mock.patch(f"/v1/runs/{run['id']}", {"status": "success", **moments}).json()

    assert {name: ended[name] for name in moments} == moments


def test_a_moment_in_seconds_is_read_in_lax_only():
    strict, lax = new_organisation(), new_organisation(coercion="lax")

    refused = strict.patch(f"/v1/runs/{strict.create()['id']}", {"ended_at": 1_700_000_000})
    read = lax.patch(f"/v1/runs/{lax.create()['id']}", {"ended_at": 1_700_000_000})

    assert refused.status_code == 422
    assert read.json()["ended_at"] == "2023-11-14T22:13:20.000000Z"


# --- Status --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", sorted(SETTABLE_STATUSES))
@pytest.mark.parametrize("before", sorted(SETTABLE_STATUSES))
def test_a_status_changes_along_the_edges_only(before, status):
    mock = new_organisation(progression="manual")
    run = mock.create()
    mock.patch(f"/v1/runs/{run['id']}", {"status": before})

    answer = mock.patch(f"/v1/runs/{run['id']}", {"status": status, "output_data": {"a": 1}})

    allowed = {
        "scheduling": set(SETTABLE_STATUSES),
        "running": set(SETTABLE_STATUSES) - {"scheduling"},
        "running_checks": set(SETTABLE_STATUSES) - {"scheduling", "running"},
    }.get(before, {before})
    assert answer.status_code == (200 if status in allowed else 409)
    after = mock.read(run["id"])
    assert after["status"] == (status if status in allowed else before)
    assert (after["output_data"] == {"a": 1}) == (status in allowed)


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_a_terminal_status_holds_from_then_on(status):
    mock = new_organisation()
    run = mock.create(NEVER_ENDS)
    mock.clock.advance(10)

    ended = mock.patch(f"/v1/runs/{run['id']}", {"status": status}).json()
    mock.clock.advance(10_000)

    assert ended["status"] == status
    assert ended["ended_at"] is not None
    assert mock.read(run["id"]) == ended


def test_a_refused_update_says_why():
    mock = new_organisation()
    run = mock.create()
    mock.patch(f"/v1/runs/{run['id']}", {"status": "success"})

    answer = mock.patch(f"/v1/runs/{run['id']}", {"status": "running"})

    assert answer.status_code == 409
    assert "only a retry" in answer.json()["detail"]


def test_a_run_that_has_ended_by_itself_takes_no_status_either():
    mock = new_organisation()
    run = mock.create()
    mock.clock.advance(60)

    assert mock.patch(f"/v1/runs/{run['id']}", {"status": "cancelled"}).status_code == 409
    assert mock.patch(f"/v1/runs/{run['id']}", {"status": "success"}).status_code == 200


def test_an_early_start_is_a_start():
    mock = new_organisation()
    run = mock.create(prefer="duration=10")

    running = mock.patch(f"/v1/runs/{run['id']}", {"status": "running"}).json()
    mock.clock.advance(9.9)
    still = mock.status(run["id"])
    mock.clock.advance(0.2)

    assert running["started_at"] == run["created_at"]
    assert (running["status"], still, mock.status(run["id"])) == ("running", "running", "success")


def test_a_run_shows_its_checks_before_it_ends():
    mock = new_organisation()
    run = mock.create(prefer="duration=10")
    mock.clock.advance(4)

    checking = mock.patch(f"/v1/runs/{run['id']}", {"status": "running_checks"}).json()
    mock.clock.advance(11)

    assert (checking["status"], checking["ended_at"]) == ("running_checks", None)
    assert mock.status(run["id"]) == "success"


def test_a_run_of_a_session_cannot_overtake_those_before_it_but_can_be_cancelled():
    mock = new_organisation()
    _, second, third = mock.create_many(3, NEVER_ENDS, start_session=True)
    mock.clock.advance(10)

    refused = [
        mock.patch(f"/v1/runs/{second['id']}", {"status": status}).status_code
        for status in ("running", "running_checks", "success", "task_failed", "error")
    ]

    assert refused == [409] * 5
    assert mock.patch(f"/v1/runs/{second['id']}", {"status": "cancelled"}).status_code == 200
    assert mock.status(third["id"]) == "scheduling"


# --- Refused -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "loc", "kind"),
    [
        ("status", "done", (), "enum"),
        ("status", "SUCCESS", (), "enum"),
        ("error", "text", (), "list_type"),
        ("error", [1], (0,), "string_type"),
        ("output_data", [], (), "dict_type"),
        ("run_message_history", [[]], (0,), "dict_type"),
        ("started_at", "yesterday", (), "datetime_from_date_parsing"),
        ("ended_at", "2026-01-01T00:00:00", (), "datetime_parsing"),
        ("release_session_after", "no", (), "bool_type"),
    ],
)
def test_a_wrong_value_is_named_and_changes_nothing(name, value, loc, kind):
    mock = new_organisation()
    run = mock.create()

    answer = mock.patch(f"/v1/runs/{run['id']}", {name: value, "usage_metadata": {"a": 1}})

    assert violations(answer) == [(("body", name, *loc), kind)]
    assert mock.read(run["id"]) == run


def test_a_run_that_nobody_knows_is_not_found():
    mock = new_organisation()

    answer = mock.patch(f"/v1/runs/{unknown_id()}", {"status": "cancelled"})

    assert (answer.status_code, list(answer.json())) == (404, ["detail"])


def test_a_malformed_id_and_a_wrong_body_are_told_together():
    answer = new_organisation().patch("/v1/runs/abc", {"status": "done"})

    assert violations(answer) == [(("path", "run_id"), "uuid_parsing"), (("body", "status"), "enum")]


def test_for_many_output_attachments_those_of_the_run_are_made_once(monkeypatch):
    """A run may have ten thousand attachments, and an update as many ids: together they took minutes."""
    mock = Mock()
    files = [{"filename": f"{number}.txt", "content": "YQ=="} for number in range(20)]
    run = mock.create(file_inputs=files)
    made = []

    def counted(batch: Batch, place: int, change: Change) -> list[Attachment]:
        made.append(place)
        return input_attachments(batch, place, change)

    for module in (attachments, run_view):
        monkeypatch.setattr(module, "input_attachments", counted)

    ids = [*run["input_attachment_ids"], run["input_attachment_ids"][0]]
    assert mock.patch(f"/v1/runs/{run['id']}", {"output_attachment_ids": ids}).json()["output_attachment_ids"] == ids
    assert len(made) == 1
