"""What a user of the fixture writes type-checks under mypy's strict rules, and what is wrong does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

USER_FILE = """
from datetime import datetime, timedelta

import pytest

from mockserver import ControlError, CyberdeskMock, MockServer, Settings, create_app

WORKFLOW = "10000000-0000-4000-8000-000000000001"


@pytest.fixture(scope="session")
def cyberdesk_mock_settings() -> Settings:
    return Settings(progression="manual")


@pytest.mark.cyberdesk_mock(seed=7)
def test_it(cyberdesk_mock: CyberdeskMock) -> None:
    with cyberdesk_mock.fault("POST /v1/runs/bulk", status=500, times=2) as fault:
        print(cyberdesk_mock.url, cyberdesk_mock.token)
    applied: int = fault.applied
    (sent,) = cyberdesk_mock.requests("POST /v1/runs/bulk", status=500)
    line: tuple[str, str, int | None, str | None] = sent.method, sent.path, sent.status, sent.reason
    now: datetime = cyberdesk_mock.clock.advance(minutes=20) + timedelta(seconds=applied)
    cyberdesk_mock.clock.scale = 2
    runs = cyberdesk_mock.seed(WORKFLOW, status="task_failed", count=3, ended_at=now)
    assert runs[0].status == "success" or line
    ids: list[str] = [run.id for run in cyberdesk_mock.runs]
    cyberdesk_mock.runs[ids[0]].finish().update(status="error")
    cyberdesk_mock.load_state(cyberdesk_mock.state())


def outside() -> str:
    with MockServer(progression="immediate", seed=1) as mock, mock.namespace("a") as other:
        return mock.url + other.url


async def in_async_code() -> str:
    async with MockServer(Settings(port=0)) as mock:
        return mock.token


def not_running() -> None:
    with pytest.raises(ControlError):
        MockServer().requests()
    create_app(Settings())
"""

WRONG = {
    'mock.fault("*", statsu=500)': "call-arg",
    'mock.seed("x", status="done")': "arg-type",
    'mock.runs["x"].state': "attr-defined",
    "mock.clock.advance(weeks=1)": "call-arg",
    'Settings(progression="imediate")': "arg-type",
}


def errors_in(text: str, folder: Path, cache: Path) -> list[tuple[int, str]]:
    """Line and code of each error that mypy tells."""
    (folder / "test_user.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(cache), "test_user.py"]
    # From another folder, so that the package is found as it is installed.
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    lines = [line for line in done.stdout.splitlines() if "error:" in line]
    return [(int(line.split(":")[1]), line.rpartition("[")[2].rstrip("]")) for line in lines]


def test_a_users_file_is_clean_under_strict_rules_and_mistakes_show(tmp_path, pytestconfig):
    cache = pytestconfig.cache.mkdir("mypy") if getattr(pytestconfig, "cache", None) else tmp_path / "cache"
    head = f"{USER_FILE}\n\ndef wrong(mock: CyberdeskMock) -> None:\n"

    told = errors_in(head + "".join(f"    {line}\n" for line in WRONG), tmp_path, cache)

    assert told == list(enumerate(WRONG.values(), head.count("\n") + 1))
