"""The clock: moments that a test can freeze and advance, and lived time that nothing rewrites."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.clock import FOREVER, SECOND, Clock, Instant, ManualClock, moment_from, text_of

SCALES = st.sampled_from([0, 0.001, 0.3, 0.5, 1, 1, 2, 3, 7, 99.9, 100, 1e6])

_STEPS = st.one_of(
    st.tuples(st.just("pass"), st.integers(0, 3_000_000)),
    st.tuples(st.just("advance"), st.integers(0, 3_000_000)),
    st.tuples(st.just("rescale"), SCALES),
    st.tuples(st.just("freeze"), st.none() | st.integers(-(10**9), 10**9)),
    st.tuples(st.just("resume"), st.none()),
)


def _lead(clock: ManualClock, steps: list[tuple[str, Any]]) -> list[Instant]:
    """Leads the clock through the steps; what it reads after each, and halfway through each that takes time."""
    readings = [clock.read()]
    for step, amount in steps:
        if step == "pass":
            for _ in range(2):
                clock.pass_time(amount / 2 / SECOND)
                readings.append(clock.read())
        elif step == "advance":
            clock.advance(amount / SECOND)
        elif step == "rescale":
            clock.rescale(amount)
        elif step == "freeze":
            clock.freeze(None if amount is None else clock.now() + amount)
        else:
            clock.resume()
        readings.append(clock.read())
    return readings


def test_a_source_that_jumps_back_does_not_take_the_clock_back():
    readings = iter([5_000_000, 9_000_000, 2_000_000, 9_500_000])
    clock = Clock(source=lambda: next(readings))

    assert [clock.now(), clock.now(), clock.now()] == [9_000, 9_000, 9_500]


def test_the_manual_clock_stands_still_until_it_is_advanced():
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))

    before = clock.now(), clock.now()
    clock.advance(1.5)

    assert before == (moment_from(datetime(2026, 1, 1, tzinfo=UTC)),) * 2
    assert clock.now() - before[0] == 1_500_000


def test_time_does_not_pass_backward():
    with pytest.raises(ValueError, match="does not go back"):
        ManualClock().pass_time(-0.1)


def test_the_real_clock_tells_the_time_of_day():
    before = datetime.now(UTC)

    now = Clock().now()

    assert moment_from(before) <= now <= moment_from(datetime.now(UTC))


def test_lived_time_runs_as_many_times_faster_as_the_scale_says():
    clock = ManualClock(scale=100)
    start = clock.read()

    clock.pass_time(0.6)

    assert clock.scale == 100
    assert clock.read() == Instant(start.moment + 600_000, start.sim_time + 60 * SECOND)


@pytest.mark.parametrize("scale", [0.5, 1, 600])
@pytest.mark.parametrize("frozen", [False, True])
def test_advancing_moves_moments_and_lives_by_exactly_so_much(scale: float, frozen: bool):
    clock = ManualClock(scale=scale)
    clock.pass_time(1)
    if frozen:
        clock.freeze()
    before = clock.read()

    clock.advance(20 * 60)

    after = clock.read()
    assert (after.moment - before.moment, after.sim_time - before.sim_time) == (1_200 * SECOND, 1_200 * SECOND)
    assert clock.moment_of(before.sim_time + 600 * SECOND) == before.moment + 600 * SECOND
    clock.resume()
    clock.pass_time(2)
    assert clock.read().sim_time - after.sim_time == 2 * SECOND * scale


def test_a_frozen_clock_stands_still_until_it_is_advanced_or_goes_on():
    clock = ManualClock()
    clock.freeze(moment_from(datetime(2025, 3, 4, 9, 0, 2, tzinfo=UTC)))
    assert clock.is_frozen

    clock.pass_time(3600)
    assert text_of(clock.now()) == "2025-03-04T09:00:02.000000Z"
    clock.advance(20 * 60)
    assert text_of(clock.now()) == "2025-03-04T09:20:02.000000Z"
    clock.resume()
    clock.pass_time(1)
    assert text_of(clock.now()) == "2025-03-04T09:20:03.000000Z"


def test_the_clock_is_frozen_at_earlier_moments_too_and_lived_time_does_not_jump():
    clock = ManualClock()
    before = clock.read()
    clock.freeze(before.moment - 3600 * SECOND)

    assert clock.now() == before.moment - 3600 * SECOND
    assert clock.read().sim_time == before.sim_time + 1
    assert clock.moment_of(before.sim_time) == before.moment
    assert clock.moment_of(before.sim_time + 1) == before.moment - 3600 * SECOND


@pytest.mark.parametrize("seconds", [-0.1, float("nan"), float("inf"), 1e10])
def test_a_step_that_is_none_is_refused(seconds: float):
    with pytest.raises(ValueError, match="advanced by 0 to"):
        ManualClock().advance(seconds)


def test_a_clock_that_is_held_never_reaches_what_lies_ahead():
    clock = ManualClock()
    clock.rescale(0)

    clock.pass_time(3600)

    assert clock.moment_of(clock.read().sim_time + 1) == FOREVER


def test_forever_is_never_reached_on_any_clock():
    assert ManualClock(scale=1e6).moment_of(FOREVER) == FOREVER


def test_what_was_reached_before_the_clock_was_held_keeps_its_moment():
    clock = ManualClock()
    before = clock.read()
    clock.rescale(0)
    clock.pass_time(60)
    clock.rescale(1)

    assert clock.moment_of(before.sim_time) == before.moment


@given(st.lists(_STEPS, max_size=12), st.lists(_STEPS, max_size=6))
def test_what_was_lived_was_lived_at_the_moment_that_was_read_whatever_comes_after(before, after):
    clock = ManualClock()
    readings = _lead(clock, before)
    assert [each.sim_time for each in readings] == sorted(each.sim_time for each in readings)
    first_at: dict[int, int] = {}
    for reading in readings:
        first_at.setdefault(reading.sim_time, reading.moment)

    _lead(clock, after)

    for sim_time, moment in first_at.items():
        # With a scale below 1 so much may have been lived for a while when it was read.
        told = clock.moment_of(sim_time)
        assert told <= moment
        assert moment - told <= 3_000_000


@given(st.lists(st.tuples(SCALES, st.integers(0, 3_000_000)), min_size=1, max_size=6), st.floats(0, 1))
def test_a_moment_is_the_first_at_which_so_much_was_lived(rendered_ranges, share):
    clock = ManualClock()
    start = clock.read()
    readings = [start]
    for scale, micros in rendered_ranges:
        clock.rescale(scale)
        for _ in range(3):
            clock.pass_time(micros / 3 / SECOND)
            readings.append(clock.read())
    sim_time = start.sim_time + int((readings[-1].sim_time - start.sim_time) * share)

    moment = clock.moment_of(sim_time)

    assert all(reading.sim_time >= sim_time for reading in readings if reading.moment >= moment)
    assert all(reading.sim_time < sim_time for reading in readings if reading.moment < moment)


def test_the_moment_of_what_will_be_lived_is_foretold():
    clock = ManualClock(scale=4)

    assert clock.moment_of(clock.read().sim_time + 10) - clock.now() == 3


def test_a_clock_that_hardly_moves_foretells_nothing():
    clock = ManualClock(scale=1e-300)

    assert clock.moment_of(clock.read().sim_time + 10) == FOREVER


def test_advancing_again_and_again_keeps_no_more_than_so_many_segments():
    clock = ManualClock(scale=7)
    for _ in range(20_000):
        clock.advance(1)

    assert len(clock._segments) <= 10_000
    now = clock.read()
    assert clock.moment_of(now.sim_time) == now.moment


@given(st.lists(_STEPS, max_size=8))
def test_a_clock_that_is_kept_and_restored_reads_the_same_and_goes_on(steps):
    clock, other = ManualClock(), ManualClock()
    readings = _lead(clock, steps)
    other.pass_time((clock._moment_ns - other._moment_ns) / 1e9)

    other.restore(json.loads(json.dumps(clock.state())))

    assert (other.scale, other.is_frozen) == (clock.scale, clock.is_frozen)
    for _ in range(2):
        assert other.read() == clock.read()
        assert [other.moment_of(each.sim_time) for each in readings] == [
            clock.moment_of(each.sim_time) for each in readings
        ]
        clock.pass_time(5)
        other.pass_time(5)


@pytest.mark.parametrize(
    "state",
    [{}, {"segments": []}, {"segments": [[2, 0, 1, 0], [1, 0, 1, 0]], "moment": 1, "sim_time": 1, "wall": 1}],
)
def test_what_is_no_state_of_a_clock_is_refused(state):
    with pytest.raises((ValueError, KeyError, TypeError)):
        ManualClock().restore(state)


# --- Sleeping


def test_a_sleeper_wakes_when_the_clock_is_advanced_and_not_before():
    async def go() -> list[str]:
        clock, seen = ManualClock(), []

        async def sleeper() -> None:
            await clock.sleep(20)
            seen.append("awake")

        task = asyncio.ensure_future(sleeper())
        for step in (lambda: clock.advance(19), clock.freeze, clock.resume, lambda: clock.freeze(0)):
            await asyncio.sleep(0)
            step()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            seen.append("asleep")
        clock.advance(1)
        await task
        return seen

    assert asyncio.run(go()) == ["asleep"] * 4 + ["awake"]


def test_a_sleeper_on_a_clock_that_runs_wakes_by_itself():
    async def go() -> bool:
        clock = Clock()
        before = clock.now()
        await clock.sleep(0.01)
        return clock.now() - before >= 10_000

    assert asyncio.run(go())


def test_a_sleeper_may_be_woken_from_another_thread():
    async def go() -> None:
        clock = ManualClock()
        sleeping = asyncio.ensure_future(clock.sleep(5))
        await asyncio.sleep(0)
        await asyncio.to_thread(clock.advance, 5)
        await sleeping

    asyncio.run(go())


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)))
def test_text_of_a_moment_reads_back_as_the_same_moment(when):
    moment = moment_from(when.replace(tzinfo=UTC))

    text = text_of(moment)

    assert datetime.fromisoformat(text) == when.replace(tzinfo=UTC)
    assert text.endswith("Z")
    assert moment_from(datetime.fromisoformat(text)) == moment


def test_a_date_time_of_another_zone_is_the_same_moment():
    there = datetime(2026, 3, 1, 14, 0, tzinfo=timezone(timedelta(hours=5, minutes=30)))

    assert moment_from(there) == moment_from(datetime(2026, 3, 1, 8, 30, tzinfo=UTC))


def test_a_date_time_without_a_zone_is_read_as_utc():
    assert moment_from(datetime(2026, 3, 1, 8, 30)) == moment_from(datetime(2026, 3, 1, 8, 30, tzinfo=UTC))


@pytest.mark.parametrize("year", [1, 9999])
@pytest.mark.parametrize("hours", [-23, 23])
def test_a_date_time_that_has_no_moment_in_utc_is_read_all_the_same(year, hours):
    edge = datetime(year, 1, 1, tzinfo=UTC) if year == 1 else datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC)

    moment = moment_from(edge.replace(tzinfo=timezone(timedelta(hours=hours))))

    assert moment == moment_from(edge) - hours * 3600 * SECOND
