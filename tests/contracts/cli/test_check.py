"""`contracts check`: exit codes, what is said, what is sent on to the engine."""

import json

import pytest

from contracts.cli import main
from contracts.findings import CouldNotCheck
from tests.contracts.cli import fakes

LOOPBACK = "http://127.0.0.1:4010"


@pytest.fixture
def engine(monkeypatch):
    for name in ("TOKEN", "SECOND_TOKEN", "URL"):
        monkeypatch.delenv(f"CONTRACTS_{name}", raising=False)
    return fakes.install(monkeypatch)


@pytest.fixture
def contracts(capfd):
    """Runs the command as a shell would, and gives its exit code and both outputs."""

    def run(*args):
        with pytest.raises(SystemExit) as exited:
            main(list(args))
        out, err = capfd.readouterr()
        return exited.value.code, out, err

    return run


@pytest.fixture
def check(contracts, engine):
    def run(*args, url=LOOPBACK, token="test-a"):
        return contracts("check", url, *(("--token", token) if token else ()), *args)

    return run


def test_a_healthy_server_passes_with_exit_code_0(check):
    status, out, _ = check()
    assert status == 0
    assert "PASSED: nothing found." in out
    assert "3 passed, 0 failed, 0 skipped, 0 not offered; 12 requests, 3 runs created, 0 left, 1.2 s" in out


def test_a_finding_exits_with_1_and_is_told_with_a_command_that_repeats_it(check, engine):
    engine.answer = fakes.result(fakes.finding())
    status, out, _ = check()
    assert status == 1
    assert "1. REQ-COUNT count is an integer from 1 to 1000" in out
    assert "expected     422" in out
    assert "got          201" in out
    assert '-H "Authorization: Bearer $TOKEN"' in out
    assert "test-a" not in out


def test_what_cannot_be_checked_is_one_line_and_exit_code_2(check, engine):
    engine.answer = CouldNotCheck("no answer from http://127.0.0.1:4010:\n start the server")
    status, out, err = check()
    assert (status, out) == (2, "")
    assert err == "Error: no answer from http://127.0.0.1:4010: start the server\n"


def test_the_json_report_is_written(check, engine, tmp_path):
    engine.answer = fakes.result(fakes.finding())
    check("--report", f"json={tmp_path / 'out.json'}", "--seed", "7")
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["verdict"] == "failed"
    assert report["seed"] == 7
    assert report["findings"][0]["rule"] == "REQ-COUNT"
