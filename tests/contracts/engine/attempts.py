"""Exchanges and attempts at cases, as the tests of findings compare them. Their answers have no body."""

from typing import Any

from contracts.core.exchange import Answer, Exchange
from contracts.engine.request_building import request_for
from contracts.engine.results import Attempt

RUN = "0b0e1234-0000-4000-8000-000000000001"


def sent(operation: str, *ids: str, status: int = 200, **more: Any) -> Exchange:
    return Exchange(request_for(operation, *ids, **more), Answer(status, (), b""))


def created(body: Any, status: int = 200) -> Attempt:
    return Attempt([sent("bulk_create_runs", body=body, status=status)])


def listed(*query: tuple[str, str], status: int = 200) -> Attempt:
    return Attempt([sent("list_runs", query=query, status=status)])
