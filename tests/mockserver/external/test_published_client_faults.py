"""The published client, with its own retries, under the faults that have a name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from cyberdesk import CyberdeskClient
from cyberdesk.client import RetryConfig
from openapi_client.cyberdesk_cloud_client.models import RunBulkCreate, RunCreate

_SUCCEEDS = UUID("10000000-0000-4000-8000-000000000001")


class _Faulty:
    """A namespace of a mock, and the published client in one of its two ways."""

    def __init__(self, url: str, call: Callable[..., Any]) -> None:
        self.base_url = f"{url}/__ns/n{uuid4().hex}"
        self.tried: list[dict[str, Any]] = []
        retry = RetryConfig(min_delay_seconds=0.001, max_delay_seconds=0.01, on_retry=self.tried.append)
        self._client = CyberdeskClient("test-one", base_url=self.base_url, retry=retry)
        self._call = call

    def preset(self, name: str) -> None:
        httpx.post(f"{self.base_url}/__admin/faults", json={"preset": name}).raise_for_status()

    def answer(self, method: str, *args: Any) -> Any:
        return self._call(self._client.runs, method, *args)

    def requests(self, match: str) -> list[dict[str, Any]]:
        return httpx.get(f"{self.base_url}/__admin/requests", params={"match": match}).json()["items"]

    def total(self) -> int:
        httpx.delete(f"{self.base_url}/__admin/faults")
        return httpx.get(f"{self.base_url}/__admin/runs").json()["total"]


@pytest.fixture(params=["sync", "async"])
def faulty(request: pytest.FixtureRequest, mock: str) -> Iterator[_Faulty]:
    with asyncio.Runner() as runner:

        def call(api: Any, method: str, *args: Any) -> Any:
            if request.param == "sync":
                return getattr(api, f"{method}_sync")(*args)
            return runner.run(getattr(api, method)(*args))

        yield _Faulty(mock, call)


def test_it_survives_flaky(faulty: _Faulty):
    faulty.preset("flaky")

    answer = faulty.answer("create", RunCreate(workflow_id=_SUCCEEDS))

    assert answer.error is None
    assert [each["reason"] for each in faulty.tried] == ["http_status", "network_error"]
    assert faulty.total() == 1


def test_it_survives_rate_limited_and_comes_again_when_it_is_told_to(faulty: _Faulty):
    faulty.preset("rate-limited")

    answer = faulty.answer("create", RunCreate(workflow_id=_SUCCEEDS))

    assert answer.error is None
    assert [each["status_code"] for each in faulty.tried] == [429]
    assert faulty.total() == 1


@pytest.mark.parametrize(
    ("method", "body", "total"),
    [
        ("create", RunCreate(workflow_id=_SUCCEEDS), 1),
        ("bulk_create", RunBulkCreate(workflow_id=_SUCCEEDS, count=5), 5),
    ],
)
def test_it_survives_a_lost_answer_without_a_second_run(faulty: _Faulty, method: str, body: Any, total: int):
    faulty.preset("lost-answer")

    answer = faulty.answer(method, body)

    assert answer.error is None
    assert [each["reason"] for each in faulty.tried] == ["network_error"]
    lost, repeated = faulty.requests("POST /v1/**")
    assert (lost["status"], repeated["status"]) == (None, 201)
    assert lost["headers"]["idempotency-key"] == repeated["headers"]["idempotency-key"]
    assert lost["body"] == repeated["body"]
    assert faulty.total() == total


def test_it_gives_up_at_an_outage(faulty: _Faulty):
    faulty.preset("outage")

    answer = faulty.answer("create", RunCreate(workflow_id=_SUCCEEDS))

    assert answer.error is not None
    assert [each["status_code"] for each in faulty.tried] == [503] * 3
    assert len(faulty.requests("create_run")) == 4
    assert faulty.total() == 0
