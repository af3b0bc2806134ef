"""schemathesis beside our own engine: silent where nothing is wrong, and told by our rules where something is."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

import contracts.check
from contracts.check import check
from contracts.core.target import Target
from contracts.engine.runner import Runner
from contracts.explore import schema_fuzz
from contracts.guard import Guard
from contracts.plan import plan
from contracts.rules import REGISTRY, SCENARIOS
from tests.contracts.explore.runners import LONG_S, running, target_at
from tests.standin import serving as standin_serving
from tests.standin.behaviour import Settings, Standin
from tests.standin.server import wire
from tests.standin.serving import serving


def explore_schema(runner: Runner, rules: Collection[str], **more: Any) -> None:
    with schema_fuzz.exploring_schema(runner, rules, **more):
        pass


def explored(url: str, folder: Path, *rules: str, examples: int = 2) -> Runner:
    with running(target_at(url), folder) as runner:
        until = time.monotonic() + LONG_S
        explore_schema(runner, rules or tuple(REGISTRY), examples=examples, until=until)
    return runner


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


@pytest.mark.matrix
def test_nothing_is_found_in_a_healthy_server(tmp_path: Path) -> None:
    with serving() as url:
        runner = explored(url, tmp_path)

    assert runner.findings == []
    assert runner.unstable == []
    assert list(runner.check.notes) == []
    assert runner.check.judged["NO-5XX"] > 500
    assert runner.check.judged["BULK-ECHO"] > 5


def test_nothing_is_found_where_only_bulk_is_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema_fuzz, "PHASES", schema_fuzz.PHASES[:1])

    with serving(variations={"bulk_only"}) as url:
        runner = explored(url, tmp_path)

    assert (runner.findings, runner.unstable) == ([], [])
    assert {"list_runs", "create_run"} <= runner.check.not_offered.keys()


@pytest.mark.matrix
def test_a_fault_that_none_of_our_scenarios_covers_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, lambda method, target: target.startswith("/v1/workflows?") and "skip=" in target)

    monkeypatch.setattr(schema_fuzz, "MOST_S", LONG_S)
    monkeypatch.setattr(schema_fuzz, "PHASES", (("coverage",),))
    few = tuple(scenario for scenario in SCENARIOS if "HTTP-METHOD" in scenario.rules)
    monkeypatch.setattr(contracts.check, "SCENARIOS", few)

    with serving() as url, Guard(target_at(url), journal_dir=tmp_path) as guard:
        result = check(guard.target, guard, rules={"HTTP-METHOD", "NO-5XX"})

    (finding,) = result.findings
    assert (finding.rule, finding.cause, finding.stable) == ("NO-5XX", "a 5xx from list_workflows", True)
    assert "skip=" in finding.exchanges[-1].request.path


class DeletedRunsCanBeRead(Standin):
    def forget(self, org: Any, run: Any) -> None:
        super().forget(org, run)
        self.__dict__.setdefault("ghosts", {})[run.id] = run

    def find(self, call: Any, run_id: str) -> Any:
        ghost = self.__dict__.get("ghosts", {}).get(run_id)
        return ghost if ghost is not None and call.operation == "get_run" else super().find(call, run_id)


@pytest.mark.matrix
def test_a_fault_that_only_a_sequence_of_requests_shows_is_sent_again_as_a_sequence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standin_serving, "create_standin", lambda *_: wire(DeletedRunsCanBeRead(Settings())))
    monkeypatch.setattr(schema_fuzz, "PHASES", schema_fuzz.PHASES[:1])
    monkeypatch.setattr(schema_fuzz, "MAX_REQUESTS", 2000)  # so that there are always some reads after a delete

    with serving() as url:
        runner = explored(url, tmp_path, "DELETE-GONE", examples=30)

    (finding,) = runner.findings
    assert (finding.rule, finding.stable) == ("DELETE-GONE", True)
    assert [one.request.method for one in finding.exchanges] == ["POST", "DELETE", "GET"]


def test_it_is_planned_only_where_it_judges_something_and_runs_cost_nothing() -> None:
    def planned(target: Target, rules: set[str] | None = None) -> set[str]:
        return {step.name for step in plan(target, rules).steps}

    local, remote = Target("http://127.0.0.1:9", "token"), "https://api.example.com"

    assert "schema-wide requests" in planned(local, {"NO-5XX"})
    assert "schema-wide requests" not in planned(local, {"IDEM-CONFLICT"})
    assert "schema-wide requests" not in planned(Target(remote, "token"))
    assert "schema-wide requests" not in planned(Target(remote, "token", profile="live", allow_writes=True))


def test_it_is_stopped_at_the_end_of_its_time(tmp_path: Path) -> None:
    with serving() as url, running(target_at(url), tmp_path) as runner:
        began = time.monotonic()
        explore_schema(runner, REGISTRY, examples=100_000, until=began + 0.3)

    assert time.monotonic() - began < 15
    assert not runner.check.notes  # it ends so in most checks, and a user can do nothing about it
    assert runner.findings == []


def test_the_reason_why_schemathesis_could_not_run_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema_fuzz, "PHASES", (("no-such-phase",),))

    with serving() as url:
        runner = explored(url, tmp_path)

    (note,) = runner.check.notes
    assert note.startswith("schemathesis could not run: ")
    assert "no-such-phase" in note


def test_it_is_given_no_token_and_no_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTRACTS_TOKEN", "standin-token-one")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    given: dict[str, Any] = {}

    class Stub:
        pid = 2**30  # of no process
        returncode = 0

        def __init__(self, command: list[str], **more: Any) -> None:
            given.update(more, command=command, plan=(Path(more["cwd"]) / "plan.json").read_text())

        def wait(self, timeout: float) -> int:
            return 0

        def poll(self) -> int:
            return 0

    with serving() as url, running(target_at(url), tmp_path) as runner:
        monkeypatch.setattr(subprocess, "Popen", Stub)
        explore_schema(runner, REGISTRY, examples=1, until=time.monotonic() + LONG_S)

    told = json.dumps([given["command"], given["env"], given["plan"]])
    assert "standin-token" not in told
    assert "HTTPS_PROXY" not in given["env"]
    assert "Authorization: Bearer $TOKEN" in given["command"]
    assert len(json.loads(given["plan"])["paths"]["run_id"]) == 9


def interrupt_after(event: threading.Event) -> None:
    assert event.wait(LONG_S)
    raise KeyboardInterrupt


def test_an_interrupted_check_leaves_no_process_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[subprocess.Popen[bytes]] = []
    has_begun = threading.Event()
    popen = subprocess.Popen

    def noting(*args: Any, **more: Any) -> Any:
        begun.append(popen(*args, **more))
        has_begun.set()
        return begun[-1]

    until = time.monotonic() + LONG_S
    with serving() as url, running(target_at(url), tmp_path) as runner:
        monkeypatch.setattr(subprocess, "Popen", noting)
        exploring = schema_fuzz.exploring_schema(runner, REGISTRY, examples=1000, until=until)
        with pytest.raises(KeyboardInterrupt), exploring:
            interrupt_after(has_begun)

    assert [process.returncode for process in begun] == [-signal.SIGKILL]


def test_a_known_cause_is_not_reported_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, lambda method, target: method == "GET" and target.startswith("/v1/machines?"))
    monkeypatch.setattr(schema_fuzz, "PHASES", (("examples",),))

    with serving() as url, running(target_at(url), tmp_path) as runner:
        runner.check.known_violations.add(("NO-5XX", "a 5xx from list_machines"))
        explore_schema(runner, REGISTRY, examples=2, until=time.monotonic() + LONG_S)
        told_of_known = list(runner.findings)
        runner.check.known_violations.clear()
        explore_schema(runner, {"NO-5XX"}, examples=2, until=time.monotonic() + LONG_S)

    assert told_of_known == []
    assert [finding.cause for finding in runner.findings] == ["a 5xx from list_machines"]
