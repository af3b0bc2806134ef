"""Two servers with one store answer requests at the same moment: afterwards the lists of both show what reads show.

The order of these requests is left to chance. Whatever it is, no request fails, and the lists are complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from mockserver.behaviour import ledger, run_index
from tests.mockserver.admin.control import ControlledMock
from tests.mockserver.inprocess import ENDS_AT_ONCE, FRONT_DESK_1, SUCCEEDS
from tests.mockserver.valkey import Valkey

_STATUSES = ("scheduling", "running", "success", "cancelled")
_servers = st.sampled_from([0, 1])
_picks = st.integers(0, 1_000_000)
_creates = st.tuples(
    st.just("create"), st.sampled_from(["", "start", "join"]), st.sampled_from([1, 1, 3]), st.booleans(), _picks
)
_updates = st.tuples(st.just("update"), _picks, st.sampled_from(["cancelled", "running", "success"]))
_retries = st.tuples(st.just("retry"), _picks, st.sampled_from(["", "start", "join"]), _picks)
_deletes = st.tuples(st.just("delete"), _picks)
_chains = st.tuples(st.just("chain"), st.integers(1, 3))
_keyed = st.tuples(st.just("keyed"), st.sampled_from("abc"))
_seeds = st.tuples(st.just("seed"), st.sampled_from(_STATUSES))
_controls = st.tuples(st.just("control"), _picks, st.sampled_from(_STATUSES))
_clocks = st.tuples(st.just("clock"), st.sampled_from(["1s", "5s", "1m"]))
_lists = st.tuples(st.just("list"), st.sampled_from([{}, {"status": "running"}, {"workflow_id": SUCCEEDS}]))
_requests = st.one_of(
    _creates, _creates, _chains, _keyed, _seeds, _updates, _controls, _retries, _deletes, _deletes, _lists, _clocks
)


class SharedLists(RuleBasedStateMachine):
    servers: tuple[ControlledMock, ControlledMock]

    def __init__(self) -> None:
        super().__init__()
        self.token = f"test-{uuid4()}"
        self.organisation = ""
        self.ids: list[str] = []
        self.keyed: dict[str, set[str]] = {}
        """The ids that creates with the same key have answered."""
        self.deleted: set[str] = set()
        self.sessions: list[str] = []

    @initialize()
    def begin(self) -> None:
        run = self.servers[0].create(token=self.token)
        self.organisation = run["organization_id"]
        self.ids.append(run["id"])

    @rule(requests=st.lists(st.tuples(_servers, st.integers(0, 3), _requests), min_size=1, max_size=8))
    def send_together(self, requests: list[tuple[int, int, tuple[Any, ...]]]) -> None:
        async def go() -> None:
            await asyncio.gather(*(self._send(server, turns, request) for server, turns, request in requests))

        self.servers[0].run(go())
        assert all(len(ids) == 1 for ids in self.keyed.values()), self.keyed
        self.ids = [run_id for run_id in dict.fromkeys(self.ids) if run_id not in self.deleted]
        self._check_lists()

    async def _send(self, server: int, turns: int, request: tuple[Any, ...]) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        kind, *values = request
        if kind == "create":
            await self._create(server, *values)
        elif kind == "chain":
            steps = [{"workflow_id": SUCCEEDS}] * values[0]
            answer = await self._sent(server, "POST", "/v1/runs/chain", {201}, json={"steps": steps})
            self.ids += answer.json()["run_ids"]
            self.sessions.append(answer.json()["session_id"])
        elif kind == "keyed":
            await self._create_once(server, *values)
        elif kind == "seed":
            seed = {"workflow_id": SUCCEEDS, "organization": self.organisation, "status": values[0]}
            self.ids += (await self._controlled(server, "POST", "/runs", {201}, [seed])).json()["ids"]
        elif kind == "clock":
            await self._controlled(server, "POST", "/clock", {200}, {"advance": values[0]})
        elif kind == "list":
            await self._sent(server, "GET", "/v1/runs", {200}, params=values[0])
        elif self.ids:
            run_id = self.ids[values[0] % len(self.ids)]
            path = f"/v1/runs/{run_id}"
            if kind == "control":
                await self._controlled(server, "PATCH", f"/runs/{run_id}", {200, 404}, {"status": values[1]})
            elif kind == "update":
                await self._sent(server, "PATCH", path, {200, 404, 409}, json={"status": values[1]})
            elif kind == "retry":
                await self._sent(server, "POST", f"{path}/retry", {200, 404, 409}, json=self._session(*values[1:]))
            elif (await self._sent(server, "DELETE", path, {204, 404})).status_code == 204:
                self.deleted.add(run_id)

    async def _create_once(self, server: int, key: str) -> None:
        body = {"workflow_id": SUCCEEDS}
        answer = await self._sent(server, "POST", "/v1/runs", {201, 409}, json=body, key=key)
        if answer.status_code == 409:  # another one with this key is still being handled
            return
        self.keyed.setdefault(key, set()).add(answer.json()["id"])
        self.ids.append(answer.json()["id"])

    async def _create(self, server: int, session: str, count: int, ends: bool, pick: int) -> None:
        body = {"workflow_id": ENDS_AT_ONCE if ends else SUCCEEDS, "count": count, "machine_id": FRONT_DESK_1}
        answer = await self._sent(server, "POST", "/v1/runs/bulk", {201}, json=body | self._session(session, pick))
        for run in answer.json()["created_runs"]:
            self.ids.append(run["id"])
            if run["session_id"] not in (None, *self.sessions):
                self.sessions.append(run["session_id"])

    def _session(self, session: str, pick: int) -> dict[str, Any]:
        if session == "join" and self.sessions:
            return {"session_id": self.sessions[pick % len(self.sessions)]}
        return {"start_session": True} if session == "start" else {}

    async def _controlled(self, server: int, method: str, path: str, expected: set[int], body: Any) -> httpx.Response:
        answer = await self.servers[server].controlled(method, path, body)
        assert answer.status_code in expected, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    async def _sent(self, server: int, method: str, path: str, expected: set[int], **how: Any) -> httpx.Response:
        answer = await self.servers[server].sent(method, path, token=self.token, **how)
        assert answer.status_code in expected, f"{method} {path}: {answer.status_code} {answer.text}"
        assert "Rate limit exceeded" not in answer.text
        return answer

    def _check_lists(self) -> None:
        async def go() -> None:
            reads = [await self._sent(0, "GET", f"/v1/runs/{run_id}", {200}) for run_id in self.ids]
            runs = [answer.json() for answer in reads]
            for query in self._queries():
                expected = {run["id"] for run in runs if all(run[name] == value for name, value in query.items())}
                for server in (0, 1):
                    answer = await self._sent(server, "GET", "/v1/runs", {200}, params={**query, "limit": 1000})
                    page = answer.json()
                    assert {run["id"] for run in page["items"]} == expected, f"server {server}, {query}"
                    assert page["total"] == len(page["items"]) == len(expected), f"server {server}, {query}"

        self.servers[0].run(go())

    def _queries(self) -> Iterator[dict[str, str]]:
        yield {}
        yield from ({"status": status} for status in _STATUSES)
        yield {"workflow_id": ENDS_AT_ONCE}
        yield {"machine_id": FRONT_DESK_1, "status": "running"}
        yield from ({"session_id": each} for each in self.sessions)


@lru_cache
def _servers_of(url: str) -> tuple[ControlledMock, ControlledMock]:
    return ControlledMock(store=url), ControlledMock(store=url, freezes=False)


def test_lists_of_both_servers_are_complete_after_requests_at_the_same_moment(
    valkey_server: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (ledger, run_index):
        monkeypatch.setattr(module, "BLOCK", 4)
    monkeypatch.setattr(SharedLists, "servers", _servers_of(valkey_server.url("test-lists:")), raising=False)
    run_state_machine_as_test(
        SharedLists,
        settings=settings(
            max_examples=10,
            stateful_step_count=8,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate,),  # what depends on chance cannot be shrunk
            database=None,
        ),
    )
