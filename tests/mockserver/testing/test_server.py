"""MockServer: from start to stop, with threads, namespaces and event loops around it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from mockserver import ControlError, CyberdeskMock, MockServer, Settings, StartError, create_app
from mockserver.testing.control import Control
from mockserver.testing.failure_report import requests_text
from tests.mockserver.testing.conftest import SUCCEEDS, client_of


def is_open(url: str) -> bool:
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_it_serves_in_its_block_and_leaves_nothing_behind():
    before = set(threading.enumerate())
    with MockServer(progression="immediate") as mock, client_of(mock) as client:
        url = mock.url
        run_id = client.post("/v1/runs", json={"workflow_id": SUCCEEDS}).json()["id"]
        assert client.get(f"/v1/runs/{run_id}").json()["status"] == "success"
        assert mock.runs[run_id].status == "success"
        assert len(mock.requests()) == 2

    assert not is_open(url)
    assert set(threading.enumerate()) <= before
    with pytest.raises(ControlError, match="not running"):
        mock.requests()
    with pytest.raises(ControlError, match="not running"):
        print(mock.url)
    assert "not running" in repr(mock)


def test_it_starts_again_as_at_the_start_and_two_serve_side_by_side():
    server = MockServer()
    with server as mock, MockServer(Settings(port=0), seed=1) as other:
        assert mock.url != other.url
        other.seed(SUCCEEDS)
        mock.seed(SUCCEEDS, count=2)
        assert (len(mock.runs), len(other.runs), other.settings.seed) == (2, 1, 1)
        with pytest.raises(ControlError, match="running already"):
            server.start()
    with server as mock:
        assert len(mock.runs) == 0
    server.stop()


def test_it_serves_in_async_with_and_does_not_block_the_loop():
    async def statuses() -> list[int]:
        async with (
            MockServer() as mock,
            httpx.AsyncClient(
                base_url=mock.url, headers={"Authorization": f"Bearer {mock.token}"}, trust_env=False
            ) as client,
        ):
            mock.fault("list_runs", status=503, times=1)
            answers = [await client.get("/v1/runs") for _ in range(2)]
            assert len(mock.requests()) == 2
            return [answer.status_code for answer in answers]

    assert asyncio.run(statuses()) == [503, 200]


def test_what_keeps_it_from_starting_is_raised_where_it_is_started(tmp_path):
    world = tmp_path / "world.yaml"
    world.write_text("machines: 5", encoding="utf-8")
    before = set(threading.enumerate())
    with MockServer() as mock:
        port = int(mock.url.rpartition(":")[2])
        with pytest.raises(StartError, match=f"port {port} on 127.0.0.1 is in use"):
            MockServer(port=port).start()
    with pytest.raises(StartError, match=r"world\.yaml"):
        MockServer(world=world).start()
    for wrong in ({"time_scale": 0}, {"progression": "imediate"}, {"rate_limit": "2/h"}):
        with pytest.raises(StartError, match=next(iter(wrong))):
            MockServer(**wrong)
    for no_settings in (7, {"seed": 7}):
        with pytest.raises(TypeError, match=r"takes Settings\(...\) or settings by name"):
            MockServer(no_settings)  # type: ignore[arg-type]
    with pytest.raises(StartError, match="admin"):
        MockServer(admin=False).start()
    assert set(threading.enumerate()) <= before


def test_a_server_that_fails_as_it_starts_raises_what_it_failed_with(monkeypatch: pytest.MonkeyPatch):
    async def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError("no loop today")

    before = set(threading.enumerate())
    server = MockServer()
    monkeypatch.setattr("mockserver.server.Server.startup", fails, raising=False)
    with pytest.raises(ZeroDivisionError, match="no loop today"):
        server.start()
    assert set(threading.enumerate()) <= before
    monkeypatch.undo()
    with server as mock:
        assert mock.clock.scale == 1


def test_an_answer_that_is_being_given_is_given_to_its_end():
    with ThreadPoolExecutor() as pool:
        with MockServer() as mock:
            mock.fault("list_runs", delay_s=0.3)
            answer = pool.submit(httpx.get, f"{mock.url}/v1/runs", headers={"Authorization": "Bearer test"})
            while not mock.requests():
                pass
        assert answer.result().status_code == 200


def test_a_call_that_is_cut_off_by_the_end_says_so():
    called = threading.Event()

    async def never_answers(*_: object) -> None:
        called.set()
        await asyncio.Event().wait()

    async def until_called() -> None:
        await asyncio.to_thread(called.wait)

    with ThreadPoolExecutor() as pool, asyncio.Runner() as runner:
        control = Control(never_answers, runner.get_loop(), server_url="http://127.0.0.1:1", admin_token=None)
        answer = pool.submit(control.call, "GET", "/clock")
        runner.run(until_called())
        runner.close()  # cancels what is left, as the server does
        with pytest.raises(ControlError, match="was stopped"):
            answer.result()


@pytest.mark.parametrize("is_closed_before", [True, False])
def test_a_call_that_meets_the_end_of_the_event_loop_says_so(is_closed_before: bool):
    """Another thread may stop the mock between the look whether it runs and the call."""
    loop = asyncio.new_event_loop()
    if is_closed_before:
        loop.close()
    control = Control(create_app(Settings()), loop, server_url="http://127.0.0.1:1", admin_token=None)
    with ThreadPoolExecutor() as threads:
        call = threads.submit(control.call, "GET", "/health")
        loop.close()
        with pytest.raises(ControlError, match="stopped before it had answered"):
            call.result()


def test_the_report_of_a_mock_that_is_gone_says_so():
    with MockServer() as server, server.namespace("a") as mock:
        pass

    assert "not running" in requests_text(mock, 0)


def test_a_token_of_the_settings_and_one_of_the_control_api_are_used():
    with MockServer(token="mine-token=mine", admin_token="secret") as mock, client_of(mock) as client:
        assert mock.token == "mine-token"
        mock.seed(SUCCEEDS)
        assert client.get("/v1/runs").json()["total"] == 1


def test_what_is_kept_is_in_the_file_of_the_state_for_the_next_one(tmp_path):
    path = tmp_path / "state.json"
    with MockServer(state=path) as mock:
        ids = [run.id for run in mock.seed(SUCCEEDS, count=2)]

    async def seen() -> list[str]:
        with MockServer(state=path) as mock:
            return sorted(run.id for run in mock.runs)

    assert asyncio.run(seen()) == sorted(ids)
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(StartError, match="expected an object"):
        MockServer(state=path).start()
    path.unlink()
    mock = MockServer(state=path).start()
    path.mkdir()
    with pytest.raises(OSError, match=r"state\.json"):
        mock.stop()
    with pytest.raises(ControlError, match="not running"):
        mock.requests()


def test_a_namespace_is_dropped_when_its_block_ends():
    with MockServer() as server:
        with server.namespace("a b é?%") as mock:
            mock.seed(SUCCEEDS)
            with client_of(mock) as client:
                assert client.get("/v1/runs").json()["total"] == 1
            assert [request.path for request in mock.requests()] == ["/v1/runs"]
            assert len(server.runs) == 0
        with server.namespace("a b é?%") as mock:
            assert len(mock.runs) == 0
        for name in ("", "a/b", "a" * 201, ".", ".."):
            with pytest.raises(ControlError, match="invalid name of a namespace"), server.namespace(name):
                pass


def test_a_namespace_whose_block_ends_after_the_mock_was_stopped_is_gone_too():
    server = MockServer().start()
    with server.namespace("a"):
        server.stop()


def test_of_threads_that_start_one_mock_together_one_starts_it():
    before = set(threading.enumerate())
    server = MockServer()
    together = threading.Barrier(8)

    def start() -> str | None:
        together.wait()
        try:
            server.start()
        except ControlError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(8) as pool:
        told = [each.result() for each in [pool.submit(start) for _ in range(8)]]
    assert sorted(told, key=str) == [None, *["The mock is running already"] * 7]
    server.stop()
    assert set(threading.enumerate()) <= before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_in_a_fork_the_mock_of_the_parent_is_neither_controlled_nor_stopped():
    with MockServer() as mock:
        child = os.fork()
        if not child:
            code = 1
            try:
                signal.alarm(30)  # rather than wait forever
                try:
                    mock.reset()
                except ControlError as error:
                    code = 0 if "forked" in str(error) and mock.url else 2
                mock.stop()
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert len(mock.runs) == 0


def test_fifty_parallel_tests_in_fifty_namespaces_do_not_see_each_other():
    """Each has its own number of runs, faults, answers and its own clock, and looks when all have acted."""
    all_have_acted = threading.Barrier(50, timeout=60)

    def one_test(mock: CyberdeskMock, number: int) -> tuple[object, ...]:
        with client_of(mock) as client:
            mock.fault("POST /v1/runs/bulk", status=500 + number, times=1 + number % 2)
            mock.clock.freeze(f"2025-03-04T09:{number:02d}:00Z")
            statuses = [
                client.post("/v1/runs/bulk", json={"workflow_id": SUCCEEDS, "count": number}).status_code
                for _ in range(3)
            ]
            all_have_acted.wait()
            created = client.get("/v1/runs").json()["total"]
            ids = frozenset(run.id for run in mock.runs)
            return statuses, created, len(mock.requests("POST /v1/runs/bulk")), mock.clock.now.minute, ids

    with MockServer() as server, ThreadPoolExecutor(50) as pool:

        def in_namespace(number: int) -> tuple[object, ...]:
            with server.namespace(f"test-{number}") as mock:
                return one_test(mock, number)

        saw = list(pool.map(in_namespace, range(1, 51)))

    for number, (statuses, created, posts, minute, ids) in enumerate(saw, 1):
        failed = 1 + number % 2
        assert statuses == [500 + number] * failed + [201] * (3 - failed)
        assert (created, posts, minute) == (number * (3 - failed), 3, number)
        assert len(ids) == created
    assert len(frozenset().union(*(ids for *_, ids in saw))) == sum(created for _, created, *_ in saw)
