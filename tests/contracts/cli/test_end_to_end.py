"""The command as a program, with the real engine and guard, against servers that share no code with it."""

import json
import os
import signal
import subprocess
import sys
import urllib.request

import jsonschema
import pytest

from contracts.core.findings import SEVERITIES
from tests.contracts.report.test_formats import SCHEMA
from tests.standin.behaviour import Settings
from tests.standin.serving import serving

TOKENS = Settings().tokens


@pytest.fixture
def contracts(program):
    def run(*args, **settings):
        process = program(*args, **settings)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    return run


def runs_on(url: str) -> int:
    request = urllib.request.Request(f"{url}/v1/runs?limit=1", headers={"Authorization": f"Bearer {TOKENS[0]}"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["total"]


@pytest.mark.matrix
def test_a_healthy_server_passes_and_is_left_as_it_was(contracts):
    with serving() as url:
        status, out, err = contracts("check", url, "--rule", "BULK-COUNT", "--max-runs", 200, "--clean-up", "--verbose")
        assert runs_on(url) == 0
    assert status == 0, err
    assert "BULK-COUNT passed" in out
    assert " 0 left," in out


@pytest.mark.matrix
def test_a_planted_defect_is_found_and_its_command_shows_it_again(contracts, tmp_path):
    with serving("status_of_one_is_200") as url:
        flags = ("--rule", "BULK-STATUS", "--max-runs", 200, "--seed", 1, "--report", "json=out.json")
        status, out, err = contracts("check", url, *flags)
        report = json.loads((tmp_path / "out.json").read_text())
        finding = report["findings"][0]
        script = "\n".join(exchange["curl"] for exchange in finding["exchanges"])
        shell = subprocess.run(
            ["bash"], input=script, env=os.environ | {"TOKEN": TOKENS[0]}, capture_output=True, text=True, timeout=60
        )
    assert status == 1, err
    jsonschema.validate(report, SCHEMA)
    assert finding["rule"] == "BULK-STATUS"
    assert "HTTP/1.1 200 OK" in shell.stdout
    assert script in out
    assert TOKENS[0] not in out + err + json.dumps(report)


@pytest.mark.matrix
def test_a_finding_is_sent_again_and_is_gone_from_a_healthy_server(contracts, tmp_path):
    with serving("status_of_one_is_200") as url:
        contracts("check", url, "--rule", "BULK-STATUS", "--max-runs", 200, "--report", "json=out.json")
        [finding] = json.loads((tmp_path / "out.json").read_text())["findings"]
        status, out, err = contracts("replay", "out.json", finding["fingerprint"][:8], "--clean-up")
        assert status == 1, err
        assert "got          status 200" in out
    with serving() as healthy:
        status, out, err = contracts("replay", "out.json", finding["fingerprint"][:8], "--url", healthy, "--clean-up")
        assert runs_on(healthy) == 0
    assert status == 0, err
    assert "GONE: BULK-STATUS" in out
    status, _, err = contracts("replay", "out.json", finding["fingerprint"][:8])
    assert status == 2
    assert "no answer" in err


def test_a_missing_server_is_reported_in_one_line(contracts):
    status, out, err = contracts("check", "http://127.0.0.1:1")
    assert (status, out) == (2, "")
    assert err.startswith("Error: no answer from http://127.0.0.1:1")
    assert err.count("\n") == 1


def test_a_wrong_token_is_reported_in_one_line(contracts):
    with serving() as url:
        status, out, err = contracts("check", url, CONTRACTS_TOKEN="not-a-token-of-anyone")
    assert (status, out) == (2, "")
    assert "token" in err
    assert err.count("\n") == 1
    assert "not-a-token-of-anyone" not in err


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_check_leaves_nothing_and_reports(program, tmp_path, sent):
    with serving() as url:
        process = program(
            "check", url, "--rule", "BULK-ECHO", "--max-runs", 300, "--clean-up", "--report", "json=o.json"
        )
        while process.poll() is None and not runs_on(url):
            pass
        process.send_signal(sent)
        out, err = process.communicate(timeout=60)
        assert runs_on(url) == 0
    assert process.returncode == 130, err
    assert "Interrupted: what was not reached is listed as skipped." in out
    assert json.loads((tmp_path / "o.json").read_text())["verdict"] == "incomplete"


@pytest.mark.matrix
def test_cleanup_deletes_the_runs_that_a_check_leaves(contracts):
    with serving() as url:
        _, out, _ = contracts("check", url, "--rule", "BULK-COUNT", "--max-runs", 100)
        left = runs_on(url)
        assert left > 0
        assert f"{left} runs are left on the target" in out
        status, out, _ = contracts("cleanup", url)
        assert (status, out) == (0, f"{left} runs cleaned up, 0 left.\n")
        assert runs_on(url) == 0
        assert contracts("cleanup", url)[1].startswith("Nothing to clean up")


def test_a_search_ends_by_its_time_and_reports(contracts, tmp_path):
    with serving() as url:
        flags = ("--rule", "BULK-COUNT", "--max-runs", 100, "--clean-up", "--report", "json=out.json")
        status, _, err = contracts("fuzz", url, "--for", "3s", *flags)
        assert runs_on(url) == 0
    assert status == 0, err
    jsonschema.validate(json.loads((tmp_path / "out.json").read_text()), SCHEMA)


def test_a_plan_sends_nothing(contracts):
    status, out, err = contracts("check", "http://127.0.0.1:1", "--plan", "--rule", "BULK-COUNT")
    assert status == 0, err
    assert "BULK-COUNT" in out
    assert "at most 100,000 runs" in out


def test_the_rules_are_listed_and_explained(contracts):
    status, out, _ = contracts("rules")
    assert status == 0
    for line in out.splitlines():
        rule = line.split()[0]
        assert line.split()[1] in SEVERITIES
        assert line.split()[2] in {"doc", "api"}
        assert len(line.split()) > 3, rule
    status, out, _ = contracts("explain", "BULK-ECHO")
    assert status == 0
    assert out.startswith("BULK-ECHO: ")


@pytest.mark.matrix
@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "two workers"])
def test_pytest_reports_the_same_rules(tmp_path, workers):
    with serving("status_of_one_is_200") as url:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--pyargs", "contracts", *workers),
                *("--target", url, "--token", TOKENS[0], "--max-runs", "200", "--clean-up", "--seed", "1"),
                *("-k", "BULK-STATUS or BULK-COUNT", "-v"),
            ],
            cwd=tmp_path,
            env=os.environ | {"CONTRACTS_JOURNAL_DIR": str(tmp_path / "journal")},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert runs_on(url) == 0
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed, 1 passed" in done.stdout
    assert "curl -sS" in done.stdout
