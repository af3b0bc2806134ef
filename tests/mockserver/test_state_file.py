"""`serve --state FILE`: read at the start, written at the end."""

from __future__ import annotations

import errno
import json
import os
import signal
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from mockserver import MockServer
from tests.mockserver.inprocess import SUCCEEDS
from tests.mockserver.refusals import refused
from tests.processes import PATIENCE_S, serving, started, wait_until


def _call(url: str, method: str = "GET", body: Any = None) -> Any:
    content = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": "Bearer test", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, content, headers, method=method)) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def _end(process: Any, signum: int = signal.SIGTERM) -> int:
    process.send_signal(signum)
    return process.wait(PATIENCE_S)


def test_all_namespaces_are_as_they_were_after_a_restart(tmp_path):
    state = tmp_path / "state.json"
    with serving("--state", str(state)) as (process, url):
        _call(f"{url}/__admin/clock", "POST", {"freeze": "2025-03-04T09:00:00Z"})
        _call(f"{url}/v1/runs/bulk", "POST", {"workflow_id": SUCCEEDS, "count": 3})
        _call(f"{url}/__ns/a%20b/v1/runs", "POST", {"workflow_id": SUCCEEDS})
        before = [_call(f"{url}{path}") for path in ("/v1/runs", "/__ns/a%20b/v1/runs")]
        _call(f"{url}/__ns/empty/v1/runs")
        assert _end(process) == 0

    with serving("--state", str(state)) as (process, url):
        assert [_call(f"{url}{path}")["total"] for path in ("/v1/runs", "/__ns/a%20b/v1/runs")] == [3, 1]
        assert _call(f"{url}/v1/runs") == before[0]
        _call(f"{url}/v1/runs", "POST", {"workflow_id": SUCCEEDS})
        _call(f"{url}/__admin/reset", "POST")
        assert _call(f"{url}/v1/runs") == before[0], "a reset leads back to what the file held"
        assert _end(process, signal.SIGINT) == 0
    assert set(json.loads(state.read_bytes())["namespaces"]) == {"", "a b"}
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_what_another_mock_has_written_meanwhile_is_not_overwritten(tmp_path):
    state = tmp_path / "state.json"
    with serving("--state", str(state)) as (first, first_url), serving("--state", str(state)) as (second, second_url):
        for url, count in ((first_url, 1), (second_url, 2)):
            _call(f"{url}/v1/runs/bulk", "POST", {"workflow_id": SUCCEEDS, "count": count})
        assert _end(first) == 0
        assert _end(second) == 1

    (other,) = (path for path in tmp_path.iterdir() if path != state)
    assert other.name == f"state.json.{second.pid}"
    for path, count in ((state, 1), (other, 2)):
        with serving("--state", str(path)) as (_, url):
            assert _call(f"{url}/v1/runs")["total"] == count


def test_a_link_and_the_permissions_of_the_file_stay(tmp_path):
    (tmp_path / "folder").mkdir()
    state, link = tmp_path / "folder" / "state.json", tmp_path / "link.json"
    link.symlink_to(state)
    for mode in (None, 0o600):
        if mode is not None:
            state.chmod(mode)
        with serving("--state", str(link)) as (process, url):
            _call(f"{url}/v1/runs", "POST", {"workflow_id": SUCCEEDS})
            assert _end(process) == 0
    assert link.is_symlink()
    assert state.stat().st_mode & 0o777 == 0o600
    with serving("--state", str(link)) as (_, url):
        assert _call(f"{url}/v1/runs")["total"] == 2


def test_a_file_that_cannot_be_replaced_is_written_in_place(tmp_path, monkeypatch: pytest.MonkeyPatch):
    """As one that is mounted by itself in a container."""

    def replace(self: Path, target: Path) -> Path:
        raise OSError(errno.EBUSY, "Device or resource busy")

    state = tmp_path / "state.json"
    monkeypatch.setattr(Path, "replace", replace)
    with MockServer(state=state) as mock:
        mock.seed(SUCCEEDS)
    with MockServer(state=state) as mock:
        assert len(mock.runs) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such files here")
def test_what_is_no_regular_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "state.json")
    assert "cannot read the state: not a regular file" in refused("--state", str(tmp_path / "state.json"))


def test_what_the_control_api_has_answered_can_be_given_too(tmp_path):
    state = tmp_path / "state.json"
    with serving() as (_, url):
        _call(f"{url}/v1/runs", "POST", {"workflow_id": SUCCEEDS})
        state.write_text(json.dumps(_call(f"{url}/__admin/state")), encoding="utf-8")

    with serving("--state", str(state)) as (_, url):
        assert _call(f"{url}/v1/runs")["total"] == 1


def test_the_state_is_written_when_the_terminal_is_closed(tmp_path, hangup):
    state = tmp_path / "state.json"
    with serving("--state", str(state)) as (process, url):
        _call(f"{url}/__admin/health")
        assert _end(process, hangup) == 0

    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]


def test_the_state_is_written_where_all_standard_streams_are_closed(tmp_path):
    ready, state = tmp_path / "url", tmp_path / "state.json"
    flags = ("--port", "0", "--ready-file", str(ready), "--state", str(state))
    with started(*flags, stdin="closed", stdout="closed", stderr="closed") as process:
        wait_until(lambda: ready.exists() and bool(ready.read_text()))
        _call(f"{ready.read_text().strip()}/v1/runs", "POST", {"workflow_id": SUCCEEDS})
        assert _end(process) == 0

    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "not JSON"),
        ("[]", "expected an object: the state that --state or GET /__admin/state has written"),
        ("{}", "/format: expected 1"),
        ('{"namespaces": []}', "/namespaces: expected an object"),
        ('{"namespaces": {"x": {"format": 2}}}', "/namespaces/x/format: expected 1"),
        ('{"namespaces": {"a/b": {}}}', "/namespaces: 'a/b' cannot be the name of a namespace: 200 characters at most"),
        (f'{{"namespaces": {{"{"x" * 201}": {{}}}}}}', "/namespaces: 'xxx"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_in_one_line_and_left_alone(tmp_path, content, told):
    state = tmp_path / "state.json"
    state.write_text(content, encoding="utf-8")

    assert f"state.json: {told}" in refused("--state", str(state))
    assert state.read_text(encoding="utf-8") == content


@pytest.mark.parametrize("name", ["none/state.json", "a" * 250])
def test_a_place_where_nothing_can_be_written_is_told_at_the_start(tmp_path, name):
    assert "the state cannot be written there at the end: " in refused("--state", str(tmp_path / name))


def test_a_state_that_cannot_be_written_at_the_end_is_told_and_the_exit_code_says_so(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    with serving("--state", str(folder / "state.json")) as (process, url):
        _call(f"{url}/__admin/health")
        folder.rmdir()
        assert _end(process) == 1
        assert process.stderr is not None
        assert b"cannot write the state" in process.stderr.read()
