"""Servers with one store, where one request is suspended at a chosen call, or the store fails there."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from mockserver.errors import Unavailable
from tests.mockserver.admin.control import ControlledMock
from tests.mockserver.inprocess import SUCCEEDS, world_file
from tests.mockserver.valkey import Valkey

_prefixes = count(1)
_BODY = {"workflow_id": SUCCEEDS}


@pytest.fixture
def url(valkey_server: Valkey) -> str:
    return valkey_server.url(f"races-{next(_prefixes)}:")


@pytest.fixture
def pair(url: str) -> tuple[ControlledMock, ControlledMock]:
    return ControlledMock(store=url), ControlledMock(store=url, freezes=False)


class Held:
    """The next call of a method is suspended: before it is made, or `after` it, with its result.

    Call it in an event loop. `reached` is set when the call is suspended; set `released` to let it go on.
    """

    def __init__(self, owner: Any, name: str, *, after: bool = False) -> None:
        self.reached, self.released = asyncio.Event(), asyncio.Event()
        method = getattr(owner, name)

        async def held(*args: Any, **named: Any) -> Any:
            setattr(owner, name, method)
            result = await method(*args, **named) if after else None
            self.reached.set()
            await self.released.wait()
            return result if after else await method(*args, **named)

        setattr(owner, name, held)


def fails_once(owner: Any, name: str) -> None:
    """The next call of a method raises Unavailable, as if the store did not answer."""
    method = getattr(owner, name)

    async def fails(*args: Any, **named: Any) -> Any:
        setattr(owner, name, method)
        raise Unavailable("The store does not answer at the moment; try again", {"Retry-After": "1"})

    setattr(owner, name, fails)


def records_of(mock: ControlledMock) -> Any:
    return mock.app.namespaces._records  # type: ignore[attr-defined]


def seeding_world(directory: Path) -> Path:
    return world_file(directory, f"runs:\n- {{workflow_id: {SUCCEEDS}, count: 3}}\n")


@pytest.mark.parametrize("is_restored", [False, True], ids=["a reset", "a restored state"])
def test_after_a_reset_that_has_failed_new_organisations_are_served(pair, is_restored: bool):
    mock, _ = pair
    run = mock.create()
    state = mock.asked("/state")
    fails_once(records_of(mock), "save")
    if is_restored:
        refused = mock.request("PUT", "/__admin/state", json=state, fails=True)
    else:
        refused = mock.post("/__admin/reset", fails=True)
    assert refused.status_code == 503
    assert mock.create(token="test-another")["status"] == "scheduling"
    assert mock.total(token="test-another") == 1
    assert mock.ids() == [run["id"]]


def test_an_organisation_whose_server_was_killed_after_it_had_seeded_it_is_served(url: str, tmp_path: Path):
    world = seeding_world(tmp_path)
    one, other = (ControlledMock(store=url, world=world, freezes=False, token="test") for _ in range(2))
    fails_once(records_of(one), "add_organisation")
    assert one.get("/v1/runs", fails=True).status_code == 503
    assert [each.total() for each in (one, other)] == [3, 3]
    assert [each.asked("/runs")["total"] for each in (one, other)] == [3, 3]


def test_of_two_first_requests_of_an_organisation_each_is_served_and_one_seeds(url: str, tmp_path: Path):
    mock = ControlledMock(store=url, world=seeding_world(tmp_path), freezes=False, token="test")

    async def go() -> list[int]:
        registered = Held(records_of(mock), "add_organisation")
        first = asyncio.ensure_future(mock.sent("GET", "/v1/runs"))
        await registered.reached.wait()
        second = await mock.sent("GET", "/v1/runs")
        registered.released.set()
        return [answer.json()["total"] for answer in (await first, second)]

    assert mock.run(go()) == [3, 3]
