"""The published client, with the retries it comes with, against every preset and every fault of a connection.

It survives what passes, and makes nothing twice: it repeats a write with its Idempotency-Key.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import httpx
import pytest
from cyberdesk.client import RetryConfig
from openapi_client.cyberdesk_cloud_client.errors import UnexpectedStatus
from openapi_client.cyberdesk_cloud_client.models import ChainStep, RunBulkCreate, RunCreate, WorkflowChainCreate

from mockserver import CyberdeskMock, Settings
from mockserver.faults import PRESETS
from tests.mockserver.external.published import Client, MakeClient

SUCCEEDS = UUID("10000000-0000-4000-8000-000000000001")
CREATES: dict[str, tuple[Any, int]] = {
    "runs.create": (RunCreate(workflow_id=SUCCEEDS), 1),
    "runs.bulk_create": (RunBulkCreate(workflow_id=SUCCEEDS, count=3), 3),
    "runs.chain": (WorkflowChainCreate(steps=[ChainStep(workflow_id=SUCCEEDS)] * 2), 2),
}
"""Of each create, what is asked for and how many runs it makes."""

PATIENT, IMPATIENT = 30.0, 0.3

Tried = list[dict[str, Any]]
Connect = Callable[[float], Client]


@pytest.fixture(scope="session")
def cyberdesk_mock_settings() -> Settings:
    return Settings(self_check=True)


@pytest.fixture
def tried() -> Tried:
    """What the client tells of each retry."""
    return []


@pytest.fixture
def connect(make_client: MakeClient, cyberdesk_mock: CyberdeskMock, tried: Tried) -> Connect:
    """A client that waits so long for some bytes of an answer."""
    retry = RetryConfig(min_delay_seconds=0.001, on_retry=tried.append)
    return lambda patience_s: make_client(cyberdesk_mock.url, retry=retry, timeout=httpx.Timeout(patience_s))


@pytest.fixture
def client(connect: Connect) -> Client:
    return connect(PATIENT)


def reasons(tried: Tried) -> list[Any]:
    return [each.get("status_code", each["reason"]) for each in tried]


# --- Presets


@pytest.mark.parametrize("method", CREATES)
def test_flaky_is_survived_without_a_second_run(client, cyberdesk_mock, tried, method):
    body, makes = CREATES[method]
    cyberdesk_mock.fault(preset="flaky")

    client.call(method, body)

    assert reasons(tried) == [503, "network_error"]
    assert len(cyberdesk_mock.runs) == makes
    keys = {request.headers["idempotency-key"] for request in cyberdesk_mock.requests(method="POST")}
    assert len(keys) == 1
    assert [request.status for request in cyberdesk_mock.requests()] == [503, None, 201]


@pytest.mark.parametrize("method", CREATES)
def test_a_lost_answer_is_survived_without_a_second_run(client, cyberdesk_mock, tried, method):
    body, makes = CREATES[method]
    cyberdesk_mock.fault(preset="lost-answer")

    made = client.call(method, body)

    assert reasons(tried) == ["network_error"]
    assert [request.status for request in cyberdesk_mock.requests()] == [None, 201]
    runs = {UUID(run.id) for run in cyberdesk_mock.runs}
    told = {
        "runs.create": lambda: {made.id},
        "runs.bulk_create": lambda: {run.id for run in made.created_runs},
        "runs.chain": lambda: set(made.run_ids),
    }
    assert runs == told[method]()
    assert len(runs) == makes


def test_rate_limits_are_waited_out_without_a_second_run(client, cyberdesk_mock, tried):
    cyberdesk_mock.fault(preset="rate-limited")

    run = client.call("runs.create", CREATES["runs.create"][0])

    assert [(each["status_code"], each["delay_seconds"]) for each in tried] == [(429, 1.0)]
    assert [each.id for each in cyberdesk_mock.runs] == [str(run.id)]


def test_an_outage_is_given_up_and_leaves_nothing(client, cyberdesk_mock, tried):
    with cyberdesk_mock.fault(preset="outage"):
        error = client.answer("runs.create", CREATES["runs.create"][0]).error

    assert isinstance(error, UnexpectedStatus)
    assert error.status_code == 503
    assert reasons(tried) == [503, 503, 503]
    assert len(cyberdesk_mock.requests()) == 4
    assert len(cyberdesk_mock.runs) == 0
    client.call("runs.create", CREATES["runs.create"][0])
    assert len(cyberdesk_mock.runs) == 1


def test_slow_answers_are_waited_for(client, cyberdesk_mock, tried):
    cyberdesk_mock.fault(preset="slow")

    with ThreadPoolExecutor(1) as pool:
        created = pool.submit(client.call, "runs.create", CREATES["runs.create"][0])
        while not created.done():
            # The delay is one of the namespace's clock, which need not be waited for.
            cyberdesk_mock.clock.advance(seconds=3)

    assert tried == []
    assert [run.id for run in cyberdesk_mock.runs] == [str(created.result().id)]


def test_answers_that_are_too_slow_are_given_up_and_what_was_asked_is_done_once(connect, cyberdesk_mock, tried):
    cyberdesk_mock.clock.freeze()
    cyberdesk_mock.fault(preset="slow")

    error = connect(IMPATIENT).answer("runs.create", CREATES["runs.create"][0]).error

    assert isinstance(error, httpx.ReadTimeout)
    assert reasons(tried) == ["timeout"] * 3
    cyberdesk_mock.clock.advance(seconds=3)
    for _ in range(1000):
        if all(request.status for request in cyberdesk_mock.requests()):
            break
    assert [request.status for request in cyberdesk_mock.requests()] == [201] * 4
    assert len(cyberdesk_mock.runs) == 1


def test_a_bulk_create_that_fails_in_part_is_understood_and_not_repeated(client, cyberdesk_mock, tried):
    cyberdesk_mock.fault(preset="partial-failure")

    bulk = client.call("runs.bulk_create", RunBulkCreate(workflow_id=SUCCEEDS, count=6))

    assert (len(bulk.created_runs), bulk.failed_count, len(bulk.errors)) == (3, 3, 3)
    assert tried == []
    assert {UUID(run.id) for run in cyberdesk_mock.runs} == {run.id for run in bulk.created_runs}


def test_every_preset_is_tried_here():
    tested = {"flaky", "lost-answer", "rate-limited", "outage", "slow", "partial-failure"}
    assert PRESETS.keys() == tested


# --- Connections


BREAKS: dict[str, tuple[dict[str, Any], float, type[httpx.TransportError], str]] = {
    "hang": ({"fault": "hang"}, IMPATIENT, httpx.ReadTimeout, "timeout"),
    "reset": ({"fault": "reset"}, PATIENT, httpx.ReadError, "network_error"),
    "cut": ({"fault": "cut", "after_bytes": 40}, PATIENT, httpx.RemoteProtocolError, "network_error"),
    "garbage": ({"fault": "garbage"}, PATIENT, httpx.RemoteProtocolError, "network_error"),
    "slow": ({"fault": "slow", "delay_s": 40}, IMPATIENT, httpx.ReadTimeout, "timeout"),
}
"""Of each fault of a connection: how patient the client is, the error of httpx that it gives, why it tries again."""


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_connection_is_told_as_the_error_it_is(connect, cyberdesk_mock, tried, name):
    fault, patience_s, error_class, reason = BREAKS[name]
    cyberdesk_mock.seed(SUCCEEDS, count=20)
    cyberdesk_mock.fault("list_runs", **fault)

    error = connect(patience_s).answer("runs.list").error

    assert type(error) is error_class
    assert reasons(tried) == [reason] * 3


@pytest.mark.parametrize("method", CREATES)
@pytest.mark.parametrize("name", BREAKS)
def test_a_create_over_a_connection_that_breaks_once_makes_its_runs_once(connect, cyberdesk_mock, tried, name, method):
    fault, patience_s, _, reason = BREAKS[name]
    body, makes = CREATES[method]
    cyberdesk_mock.fault("*", times=1, **fault)

    connect(patience_s).call(method, body)

    # On a busy machine an impatient client may lose its patience more than once.
    assert set(reasons(tried)) == {reason}
    assert len(cyberdesk_mock.runs) == makes


def test_a_slow_answer_within_the_patience_of_the_client_is_taken(client, cyberdesk_mock, tried):
    cyberdesk_mock.fault("list_runs", fault="slow", delay_s=0.2)

    assert client.call("runs.list").total == 0
    assert tried == []
