"""The clock of a namespace, turned through the control API: lives, timestamps, limits, keys and delays follow it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver.clock import FOREVER, moment_from
from mockserver.settings import RateLimit
from tests.mockserver.admin.control import ControlledMock, controlled_mock
from tests.mockserver.inprocess import NEVER_ENDS, SUCCEEDS, TAKES_TWENTY_MINUTES


def _at(text: str) -> str:
    return f"2025-03-04T{text}.000000Z"


def test_advancing_is_exact_and_a_run_of_twenty_minutes_shows_twenty_minutes():
    mock = controlled_mock()
    run = mock.create(TAKES_TWENTY_MINUTES, prefer="duration=1200")
    assert run["created_at"] == _at("09:00:02")
    started = mock.control("POST", f"/runs/{run['id']}/advance").json()
    assert (started["status"], started["started_at"]) == ("running", _at("09:00:02"))

    assert mock.turn_clock(advance="20m") == {"now": _at("09:20:02"), "scale": 1.0, "frozen": True}

    shown = mock.read(run["id"])
    assert (shown["status"], shown["started_at"], shown["ended_at"]) == ("success", _at("09:00:02"), _at("09:20:02"))


def test_one_microsecond_before_its_end_a_run_has_not_ended():
    mock = controlled_mock()
    run = mock.create(prefer="duration=1200")
    mock.control("POST", f"/runs/{run['id']}/advance")
    mock.turn_clock(advance=1199.999999)
    assert mock.status(run["id"]) == "running"

    mock.turn_clock(advance=0.000001)

    assert mock.status(run["id"]) == "success"


@pytest.mark.parametrize(
    ("advance", "now"),
    [
        ("20m", _at("09:20:02")),
        ("1h30m", _at("10:30:02")),
        ("1h 30m 5s", _at("10:30:07")),
        ("90s", _at("09:01:32")),
        ("250ms", "2025-03-04T09:00:02.250000Z"),
        ("0.5h", _at("09:30:02")),
        ("1d", "2025-03-05T09:00:02.000000Z"),
        (5, _at("09:00:07")),
        (0.000001, "2025-03-04T09:00:02.000001Z"),
        (0, _at("09:00:02")),
        ("0s", _at("09:00:02")),
    ],
)
def test_a_step_is_a_text_or_seconds(advance, now):
    assert controlled_mock().turn_clock(advance=advance)["now"] == now


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "freeze, advance, scale or resume"),
        ({"advance": "20"}, "use 20m, 1h30m, 90s, 250ms, or a number of seconds"),
        ({"advance": "20 minutes"}, "use 20m"),
        ({"advance": "-20m"}, "use 20m"),
        ({"advance": ""}, "use 20m"),
        ({"advance": "1m,5s"}, "use 20m"),
        ({"advance": "1e3s"}, "use 20m"),
        ({"advance": -1}, "or a number of seconds from 0 to 1,000,000,000"),
        ({"advance": 1e10}, "should be a duration such as 20m or 1h30m, or"),
        ({"advance": "999999d"}, "advanced by 0 to"),
        ({"advance": None}, "advance"),
        ({"advance": True}, "advance"),
        ({"freeze": "yesterday"}, "should be true, or a time such as 2025-03-04T09:00:00Z"),
        ({"freeze": "2025-13-04T09:00:00Z"}, "should be true, or a time such as 2025-03-04T09:00:00Z"),
        ({"freeze": 5}, "should be true, or a time such as 2025-03-04T09:00:00Z"),
        ({"scale": -1}, "should be 0 or more"),
        ({"scale": 1e7}, "should be 1000000 or less"),
        ({"scale": "fast"}, "scale"),
        ({"resume": "yes"}, "resume"),
        ({"resume": False}, "false changes nothing: write "),
        ({"freeze": False, "scale": 2}, "false changes nothing: write "),
        ({"frezze": True}, "did you mean 'freeze'?"),
        ({"x": True}, "there are advance, freeze, resume, scale"),
        ([], "should be an object, not a list"),
    ],
)
def test_a_wrong_change_is_refused_with_what_would_be_right_and_changes_nothing(change, words):
    mock = controlled_mock()
    before = mock.asked("/clock")

    answer = mock.control("POST", "/clock", change)

    assert answer.status_code == 422
    assert words in answer.text
    assert mock.asked("/clock") == before


@pytest.mark.parametrize(
    "change",
    [
        {"scale": 5, "freeze": "2030-01-01T00:00:00Z", "advance": "999999d"},
        {"scale": 5, "freeze": "9999-12-31T00:00:00Z", "advance": "365d"},
        {"resume": True, "scale": 5, "advance": "soon"},
    ],
)
def test_a_change_of_several_parts_is_done_whole_or_not_at_all(change):
    mock = controlled_mock()
    before = mock.asked("/clock")

    assert mock.control("POST", "/clock", change).status_code == 422

    assert mock.asked("/clock") == before


def test_the_clock_does_not_go_beyond_the_year_9999():
    mock = controlled_mock()
    mock.turn_clock(freeze="9999-12-31T23:59:59Z")

    answer = mock.control("POST", "/clock", {"advance": "1s"})

    assert answer.status_code == 422
    assert "9999" in answer.json()["detail"]


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01"])
def test_a_moment_that_a_zone_takes_out_of_the_years_that_can_be_written_is_refused(moment):
    mock = controlled_mock()
    before = mock.asked("/clock")

    answer = mock.control("POST", "/clock", {"freeze": moment})

    assert answer.status_code == 422
    assert "1 to 9999" in answer.json()["detail"]
    assert mock.asked("/clock") == before


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01"])
def test_moments_of_runs_are_written_within_the_years_1_to_9999(moment):
    mock = controlled_mock()
    [seeded] = mock.seed({"workflow_id": SUCCEEDS, "status": "success", "created_at": "0001-01-01T00:00:00+00:01"})

    mock.control("PATCH", f"/runs/{seeded}", {"ended_at": moment})

    shown = mock.read(seeded, token="test")
    assert shown["created_at"] == "0001-01-01T00:00:00.000000Z"
    assert shown["ended_at"][:4] in ("0001", "9999")


def test_a_clock_that_runs_past_the_year_9999_is_still_answered_by():
    mock = controlled_mock()
    mock.turn_clock(freeze="9999-12-31T23:59:59.999999Z")
    mock.turn_clock(resume=True)
    mock.create()

    assert mock.get("/v1/machines").status_code == 200
    # Not an earlier fraction of that second: times never go back.
    assert [run["created_at"] for run in mock.listed()] == ["9999-12-31T23:59:59.999999Z"]
    for change in ({"scale": 2}, {"advance": "1s"}, {"freeze": True}, {"resume": True}):
        refused = mock.control("POST", "/clock", change)
        assert (refused.status_code, "freeze it at an earlier one" in refused.json()["detail"]) == (422, True)
    assert mock.turn_clock(freeze="2025-03-04T09:00:00Z")["now"] == "2025-03-04T09:00:00.000000Z"


def test_the_state_of_a_clock_that_was_advanced_again_and_again_can_be_restored():
    """Freezing at an earlier moment lets it be advanced once more, while simulated time never goes back."""
    mock = controlled_mock()
    clock = mock.app.namespaces.default.clock
    for _ in range(20):
        mock.turn_clock(freeze="0001-01-01T00:00:00Z")
        for _ in range(315):
            with suppress(ValueError):
                clock.advance(1e9)
    run = mock.create(NEVER_ENDS)

    assert "36,000 years" in mock.control("POST", "/clock", {"advance": 1e9}).json()["detail"]
    assert mock.control("POST", "/clock", {"advance": 0}).status_code == 200
    assert mock.control("PUT", "/state", mock.asked("/state")).status_code == 204
    assert mock.status(run["id"]) in ("scheduling", "running")


@pytest.mark.parametrize(
    "clock",
    [
        {"frozen": False, "scale": 1e6, "wall": moment_from(datetime(1900, 1, 1, tzinfo=UTC))},
        {"frozen": False, "sim_time": FOREVER - 1},
    ],
)
def test_simulated_time_has_an_end(clock):
    mock = controlled_mock()
    state = mock.asked("/state")
    state["clock"] |= clock
    mock.control("PUT", "/state", state)
    mock.turn_clock(freeze="2030-01-01T00:00:00Z")

    assert mock.control("PUT", "/state", mock.asked("/state")).status_code == 204


def test_several_changes_at_once_are_done_in_order():
    mock = controlled_mock()

    shown = mock.turn_clock(resume=True, advance="1h", freeze="2030-01-01T00:00:00Z", scale=10)

    assert (shown["now"][:20], shown["scale"], shown["frozen"]) == ("2030-01-01T01:00:00.", 10.0, False)


def test_a_clock_is_frozen_where_it_stands_and_goes_on_from_there():
    mock = controlled_mock(freezes=False)

    frozen = mock.turn_clock(freeze=True)
    assert frozen["frozen"] is True
    assert mock.asked("/clock") == frozen

    resumed = mock.turn_clock(resume=True)
    assert resumed["frozen"] is False
    assert resumed["now"] >= frozen["now"]


def test_a_date_time_of_another_zone_freezes_at_that_moment():
    assert controlled_mock().turn_clock(freeze="2025-03-04T14:30:00+05:30")["now"] == _at("09:00:00")


def test_with_a_scale_runs_live_faster_and_advancing_stays_exact():
    mock = controlled_mock()
    mock.turn_clock(scale=600)
    run = mock.create(prefer="duration=1200")
    mock.control("POST", f"/runs/{run['id']}/advance")

    mock.turn_clock(advance="20m")

    shown = mock.read(run["id"])
    assert (shown["status"], shown["ended_at"]) == ("success", _at("09:20:02"))


def test_with_scale_0_runs_stand_still_while_moments_pass():
    mock = controlled_mock()
    mock.turn_clock(scale=0, resume=True)
    run = mock.create(prefer="duration=0")

    async def wait() -> None:
        await mock.controlled("GET", "/clock")

    mock.run(wait())

    assert mock.status(run["id"]) == "scheduling"


def test_freezing_at_another_moment_leaves_the_lives_of_runs_as_they_are():
    mock = controlled_mock()
    run = mock.create(prefer="duration=1200")
    mock.control("POST", f"/runs/{run['id']}/advance")
    mock.turn_clock(advance="5m")

    mock.turn_clock(freeze="2031-01-01T00:00:00Z")

    shown = mock.read(run["id"])
    assert (shown["status"], shown["started_at"]) == ("running", _at("09:00:02"))
    mock.turn_clock(advance="15m")
    # A microsecond of its life tells what was lived before the jump from what is lived behind it.
    assert mock.read(run["id"])["ended_at"] == "2031-01-01T00:14:59.999999Z"


def test_each_namespace_has_a_clock_of_its_own():
    mock = controlled_mock()
    body = {"workflow_id": SUCCEEDS}
    there = mock.post("/__ns/a/v1/runs", body).json()
    here = mock.create()

    mock.turn_clock("a", freeze="2030-01-01T00:00:00Z", advance="1d")

    assert mock.get(f"/__ns/a/v1/runs/{there['id']}").json()["status"] == "success"
    assert mock.status(here["id"]) == "scheduling"
    assert mock.asked("/clock")["now"] == _at("09:00:02")
    assert mock.asked("/clock", namespace="b")["frozen"] is False


def test_a_reset_sets_the_clock_back_to_the_wall_clock():
    mock = controlled_mock(time_scale=3)
    mock.turn_clock(scale=600)

    mock.control("POST", "/reset")

    shown = mock.asked("/clock")
    assert (shown["frozen"], shown["scale"]) == (False, 3.0)
    assert shown["now"] > "2026"


def test_limits_follow_the_clock():
    mock = controlled_mock(rate_limit=RateLimit.from_text("2/m"))
    statuses = [mock.get("/v1/runs").status_code for _ in range(3)]
    assert statuses == [200, 200, 429]

    mock.turn_clock(advance="60s")

    assert mock.get("/v1/runs").status_code == 200


def test_idempotency_keys_expire_by_the_clock():
    mock = controlled_mock()
    run = mock.create(key="k")
    mock.turn_clock(advance="23h")
    assert mock.create(key="k")["id"] == run["id"]

    mock.turn_clock(advance="2h")

    assert mock.create(key="k")["id"] != run["id"]


def _answered_when_advanced(mock: ControlledMock, step: Any, **how: Any) -> tuple[bool, bool]:
    """Whether an answer had come just before, and whether it has come after the clock was advanced."""

    async def go() -> tuple[bool, bool]:
        waiting = asyncio.ensure_future(mock.sent("GET", "/v1/runs", **how))
        await mock.until_delayed(waiting)
        await mock.controlled("POST", "/clock", {"advance": step - 1})
        for _ in range(20):
            await asyncio.sleep(0)
        before = waiting.done()
        await mock.controlled("POST", "/clock", {"advance": 1})
        answer = await asyncio.wait_for(waiting, 10)
        return before, answer.status_code == 200

    return mock.run(go())


def test_a_delay_that_a_client_prefers_follows_the_clock():
    assert _answered_when_advanced(controlled_mock(), 300, prefer="delay=300") == (False, True)


def test_a_delay_of_a_fault_follows_the_clock():
    mock = controlled_mock()
    mock.fault(match="list_runs", delay_s=900)

    assert _answered_when_advanced(mock, 900) == (False, True)


def test_a_reset_lets_those_go_who_waited_on_a_frozen_clock():
    mock = controlled_mock()

    async def go() -> int:
        waiting = asyncio.ensure_future(mock.sent("GET", "/v1/runs", prefer="delay=300"))
        await mock.until_delayed(waiting)
        await mock.controlled("POST", "/reset")
        return (await asyncio.wait_for(waiting, 10)).status_code

    assert mock.run(go()) == 200


_MOMENTS = st.datetimes().map(lambda when: f"{when.isoformat(timespec='seconds')}Z")
_CHANGES = st.lists(
    st.one_of(
        st.fixed_dictionaries({"freeze": _MOMENTS | st.booleans()}),
        st.fixed_dictionaries({"advance": st.integers(0, 100_000) | st.sampled_from(["20m", "1h30m", "250ms"])}),
        st.fixed_dictionaries({"scale": st.sampled_from([0, 0.5, 1, 7, 600, 1e6])}),
        st.fixed_dictionaries({"resume": st.booleans()}),
        st.fixed_dictionaries({}, optional={"scale": st.just(60), "advance": st.just("5s"), "resume": st.just(True)}),
    ),
    max_size=8,
)
_SHARED = controlled_mock(freezes=False)


@settings(max_examples=20)
@given(_CHANGES)
def test_whatever_is_done_to_a_clock_lived_time_does_not_go_back_and_keeps_its_moments(changes):
    mock = _SHARED
    mock.control("POST", "/reset")
    mock.turn_clock(freeze="2025-03-04T09:00:02Z")
    clock = mock.app.namespaces.default.clock
    told = {clock.read().sim_time: clock.read().moment}
    latest = clock.read().sim_time
    for change in changes:
        answer = mock.control("POST", "/clock", change)
        assert answer.status_code in (200, 422)
        reading = clock.read()
        assert reading.sim_time >= latest
        latest = reading.sim_time
        if clock.is_frozen:
            told.setdefault(reading.sim_time, reading.moment)
            assert answer.status_code == 422 or answer.json()["now"][:19] == mock.asked("/clock")["now"][:19]

    for sim_time, moment in told.items():
        assert clock.moment_of(sim_time) <= moment
        # A scale below 1 lives each microsecond for a while.
        assert moment - clock.moment_of(sim_time) <= 2 or clock.moment_of(sim_time) == moment or 0 in _scales(changes)


def _scales(changes: list[dict[str, Any]]) -> set[float]:
    return {change["scale"] for change in changes if "scale" in change}


@given(st.integers(0, 10**9), st.integers(0, 10**9))
@settings(max_examples=20)
def test_two_steps_are_as_one(one, other):
    mock = _SHARED
    mock.control("POST", "/reset")
    mock.turn_clock(freeze="2025-03-04T09:00:02Z")

    mock.turn_clock(advance=one / 1_000_000)
    twice = mock.turn_clock(advance=other / 1_000_000)

    mock.turn_clock(freeze="2025-03-04T09:00:02Z")
    assert mock.turn_clock(advance=(one + other) / 1_000_000) == twice


def test_a_run_that_never_ends_is_still_running_a_year_later():
    mock = controlled_mock()
    run = mock.create(NEVER_ENDS)
    mock.turn_clock(advance="365d")

    assert mock.status(run["id"]) in ("scheduling", "running")
