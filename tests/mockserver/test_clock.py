"""The clock: moments that never go back, and lived time that a change of scale does not rewrite."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.clock import FOREVER, SECOND, Clock, ManualClock, moment_from, text_of


def _clock_with(stretches: list[tuple[float, int]]) -> tuple[ManualClock, int]:
    """A clock that has run through stretches of a scale, for so many microseconds each; and when it began."""
    clock = ManualClock()
    start = clock.now()
    for scale, micros in stretches:
        clock.rescale(scale)
        clock.advance(micros / SECOND)
    return clock, start


SCALES = st.sampled_from([0, 0.001, 0.3, 0.5, 1, 1, 2, 3, 7, 99.9, 100, 1e6])


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


def test_the_manual_clock_refuses_a_step_back():
    with pytest.raises(ValueError, match="never goes back"):
        ManualClock().advance(-0.1)


def test_the_real_clock_tells_the_time_of_day():
    before = datetime.now(UTC)

    now = Clock().now()

    assert moment_from(before) <= now <= moment_from(datetime.now(UTC))


def test_lived_time_runs_as_many_times_faster_as_the_scale_says():
    clock = ManualClock(scale=100)
    start = clock.lived(clock.now())

    clock.advance(0.6)

    assert clock.scale == 100
    assert clock.lived(clock.now()) - start == 60 * SECOND


def test_a_clock_that_is_held_never_reaches_what_lies_ahead():
    clock = ManualClock()
    clock.rescale(0)

    clock.advance(3600)

    assert clock.moment_of(clock.lived(clock.now()) + 1) == FOREVER


def test_forever_is_never_reached_on_any_clock():
    assert ManualClock(scale=1e6).moment_of(FOREVER) == FOREVER


def test_what_was_reached_before_the_clock_was_held_keeps_its_moment():
    clock = ManualClock()
    lived, moment = clock.lived(clock.now()), clock.now()
    clock.rescale(0)
    clock.advance(60)
    clock.rescale(1)

    assert clock.moment_of(lived) == moment


@given(
    st.lists(st.tuples(SCALES, st.integers(0, 3_000_000)), min_size=1, max_size=6),
    st.lists(st.floats(0, 1), min_size=1, max_size=5),
)
def test_a_moment_is_the_first_at_which_so_much_was_lived(stretches, shares):
    clock, start = _clock_with(stretches)
    lived_now = clock.lived(clock.now())
    for share in shares:
        lived = clock.lived(start) + int((lived_now - clock.lived(start)) * share)

        moment = clock.moment_of(lived)

        assert start <= moment <= clock.now()
        assert clock.lived(moment) >= lived
        assert moment == start or clock.lived(moment - 1) < lived


@given(
    st.lists(st.tuples(SCALES, st.integers(0, 3_000_000)), min_size=1, max_size=6),
    st.lists(st.tuples(SCALES, st.integers(0, 3_000_000)), min_size=1, max_size=4),
    st.floats(0, 1),
)
def test_a_change_of_scale_rewrites_nothing_that_was_lived(before, after, share):
    clock, start = _clock_with(before)
    now = clock.now()
    moment = start + int((now - start) * share)
    lived = clock.lived(moment)
    known = lived, clock.lived(now), clock.moment_of(lived)

    for scale, micros in after:
        clock.rescale(scale)
        clock.advance(micros / SECOND)

    assert (clock.lived(moment), clock.lived(now), clock.moment_of(lived)) == known


@given(st.lists(st.tuples(SCALES, st.integers(0, 3_000_000)), min_size=1, max_size=6))
def test_lived_time_never_goes_back_either(stretches):
    clock, start = _clock_with(stretches)
    moments = range(start, clock.now() + 1, max(1, (clock.now() - start) // 50))

    lives = [clock.lived(moment) for moment in moments]

    assert lives == sorted(lives)


def test_the_moment_of_what_will_be_lived_is_foretold():
    clock = ManualClock(scale=4)

    assert clock.moment_of(clock.lived(clock.now()) + 10) - clock.now() == 3


def test_a_clock_that_hardly_moves_foretells_nothing():
    clock = ManualClock(scale=1e-300)

    assert clock.moment_of(clock.lived(clock.now()) + 10) == FOREVER


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
