"""schemathesis beside our own engine: silent where nothing is wrong, and told by our rules where something is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from contracts import schema_fuzz
from contracts.check import check
from contracts.discovery import discover
from contracts.guard import Guard
from contracts.rules import REGISTRY
from contracts.search import Search
from contracts.target import Target
from tests.standin import serving as standin_serving
from tests.standin.serving import serving

LONG_S = 240.0
"""No run of schemathesis takes as long, even on a busy machine: nothing here depends on time."""


def target_at(url: str, **more: Any) -> Target:
    return Target(url, "standin-token-one", "standin-token-two", allow_writes=True, **({"max_time_s": LONG_S} | more))


@contextmanager
def searching(target: Target, folder: Path) -> Iterator[Search]:
    with Guard(target, journal_dir=folder) as guard:
        yield Search(discover(target, guard, deadline=time.monotonic() + LONG_S))


def explored(url: str, folder: Path, *rules: str, examples: int = 2) -> Search:
    with searching(target_at(url), folder) as search:
        until = time.monotonic() + LONG_S
        schema_fuzz.explore_schema(search, rules or tuple(REGISTRY), examples=examples, until=until)
    return search


def broken(monkeypatch: pytest.MonkeyPatch, is_hit: Callable[[str, str], bool], status: int = 500) -> None:
    """From now on a stand-in that is served answers what is hit, by method and target, with a status of its own."""
    made = standin_serving.create_standin

    def create(*args: Any) -> Any:
        healthy = made(*args)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            target = f"{scope['path']}?{scope['query_string'].decode()}"
            if not is_hit(scope["method"], target):
                await healthy(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"oh no"})

        return app

    monkeypatch.setattr(standin_serving, "create_standin", create)


def test_nothing_is_found_in_a_healthy_server(tmp_path: Path) -> None:
    with serving() as url:
        search = explored(url, tmp_path)

    assert search.findings == []
    assert search.unstable == []
    assert list(search.world.notes) == []
    assert search.world.judged["NO-5XX"] > 500
    assert search.world.judged["BULK-ECHO"] > 5


def test_nothing_is_found_where_only_bulk_is_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema_fuzz, "PHASES", ("fuzzing,stateful",))

    with serving(variations={"bulk_only"}) as url:
        search = explored(url, tmp_path)

    assert (search.findings, search.unstable) == ([], [])
    assert {"list_runs", "create_run"} <= search.world.not_offered.keys()


def test_a_fault_where_none_of_our_scenarios_looks_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, lambda method, target: target.startswith("/v1/workflows?") and "skip=" in target)

    monkeypatch.setattr(schema_fuzz, "MOST_S", LONG_S)
    monkeypatch.setattr(schema_fuzz, "PHASES", ("examples,coverage",))

    with serving() as url, Guard(target_at(url), journal_dir=tmp_path) as guard:
        result = check(guard.target, guard, rules={"HTTP-METHOD", "NO-5XX"})

    (finding,) = result.findings
    assert (finding.rule, finding.cause, finding.stable) == ("NO-5XX", "a 5xx from list_workflows", True)
    assert "skip=" in finding.exchanges[-1].request.path
