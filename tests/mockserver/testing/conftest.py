"""A running mock for the tests of its objects, and a client of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpcore  # noqa: F401  # httpx imports it late: sessions of pytester would forget it, and httpx its errors
import httpx
import pytest

from mockserver import CyberdeskMock, MockServer

SUCCEEDS = "10000000-0000-4000-8000-000000000001"


@pytest.fixture(scope="session")
def server() -> Iterator[MockServer]:
    with MockServer(self_check=True) as mock:
        yield mock


@pytest.fixture
def mock(server: MockServer, request: pytest.FixtureRequest) -> Iterator[CyberdeskMock]:
    with server.namespace(request.node.name) as mock:
        yield mock


@pytest.fixture
def client(mock: CyberdeskMock) -> Iterator[httpx.Client]:
    with client_of(mock) as client:
        yield client


def client_of(mock: CyberdeskMock) -> httpx.Client:
    return httpx.Client(base_url=mock.url, headers={"Authorization": f"Bearer {mock.token}"}, trust_env=False)


@pytest.fixture
def create(client: httpx.Client) -> Callable[..., list[str]]:
    """Creates runs, and gives their ids."""

    def create_runs(count: int = 1, workflow_id: str = SUCCEEDS) -> list[str]:
        answer = client.post("/v1/runs/bulk", json={"workflow_id": workflow_id, "count": count})
        assert answer.status_code == 201, answer.text
        return [run["id"] for run in answer.json()["created_runs"]]

    return create_runs
