"""Which connection is closed for a new one."""

import asyncio
import itertools
import math
from types import SimpleNamespace
from typing import Any

import pytest

from mockserver.http11.room import make_room

LONG_AGO = -60.0
"""Seconds before now."""


class FakeConnection(SimpleNamespace):
    __hash__ = object.__hash__


def connection(now: float, **state: Any) -> Any:
    """A connection that is working on a request, unless the state says otherwise. Times are relative to now."""
    times = {"idle_since": LONG_AGO, "stalled_since": math.inf, "unread_since": math.inf} | {
        name: state.pop(name) for name in list(state) if name.endswith("_since")
    }
    flags = dict.fromkeys(("is_refused", "is_over", "is_idle", "has_eof", "leaves_at_eof"), False)
    made = FakeConnection(**(flags | {"has_sent_everything": True, "delay": None} | state), is_aborted=False)
    made.idle_since, made.stalled_since = now + times["idle_since"], now + times["stalled_since"]
    made.flow = SimpleNamespace(stalled_since=now + times["unread_since"])
    made.abort = lambda: setattr(made, "is_aborted", True)
    made.shutdown = lambda: None
    return made


BY_PREFERENCE = (
    {"is_over": True},
    {"is_idle": True},
    {"has_eof": True},
    {"stalled_since": LONG_AGO},
    {"unread_since": LONG_AGO, "has_sent_everything": False},
    {"leaves_at_eof": True},
)


def closed(*states: dict[str, Any]) -> list[bool]:
    async def run() -> list[bool]:
        now = asyncio.get_running_loop().time()
        some = [connection(now, **state) for state in states]
        make_room(set(some), len(some))
        return [each.is_aborted for each in some]

    return asyncio.run(run())


@pytest.mark.parametrize(("first", "second"), list(itertools.pairwise(BY_PREFERENCE)))
def test_the_connection_of_less_use_is_closed(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert closed(first, second) == [True, False]
    assert closed(second, first) == [False, True]


@pytest.mark.parametrize("state", BY_PREFERENCE)
def test_of_two_alike_the_older_one_is_closed(state: dict[str, Any]) -> None:
    times = {name: value + 10 for name, value in state.items() if name.endswith("_since")} or {"idle_since": -50.0}
    assert closed(state | times, state) == [False, True]


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"stalled_since": -0.5},
        {"unread_since": -0.5},
        {"leaves_at_eof": True, "idle_since": -0.5},
        {"is_idle": True, "has_sent_everything": False},
        {"is_idle": True, "is_refused": True},
    ],
)
def test_a_connection_that_works_or_waits_briefly_stays(state: dict[str, Any]) -> None:
    assert closed(state) == [False]
