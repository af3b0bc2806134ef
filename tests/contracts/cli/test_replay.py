"""`contracts replay`: which finding is sent again, where to, and what is said."""

import dataclasses
import json
import shlex

import pytest

from contracts.core.findings import CouldNotCheck, Reproduction
from contracts.report import FORMATS, Report
from contracts.report.masking import Mask
from tests.contracts.cli import fakes

W = "10000000-0000-4000-8000-000000000004"
FINDING = dataclasses.replace(
    fakes.finding(), dedup_key="REQ-COUNT: 1001", reproductions=(Reproduction("creates of every count", "{}"),)
)
OTHER = fakes.finding("BULK-ECHO", "last item", dedup_key="BULK-ECHO: last item")


@pytest.fixture
def report(tmp_path):
    path = tmp_path / "report.json"
    result = fakes.result(FINDING, unstable=(OTHER,))
    path.write_text(FORMATS["json"](Report(result, fakes.RULES).masked(Mask())), encoding="utf-8")
    return path


@pytest.fixture
def replay(contracts, engine):
    return lambda *args: contracts("replay", *args, "--token", "test-a")


def test_a_finding_that_still_shows_exits_with_1(replay, engine, report):
    engine.answer = fakes.result(FINDING)
    status, out, _ = replay(report, FINDING.fingerprint)
    assert status == 1
    assert "REQ-COUNT (moderate) count is an integer" in out
    assert out.splitlines()[-1] == f"STILL THERE: REQ-COUNT ({FINDING.fingerprint}) shows at http://127.0.0.1:4010."
    assert engine.replayed == FINDING
    assert engine.targets[0].url == "http://127.0.0.1:4010"


def test_a_finding_that_does_not_show_exits_with_0(replay, engine, report):
    status, out, _ = replay(report, FINDING.fingerprint[:6], "--url", "http://127.0.0.1:9/v1")
    assert status == 0
    assert out.splitlines()[-1].startswith(f"GONE: REQ-COUNT ({FINDING.fingerprint}) does not show at")
    assert engine.targets[0].url == "http://127.0.0.1:9"


def test_the_token_goes_to_no_other_machine_because_a_report_says_so(replay, engine, report):
    report.write_text(report.read_text().replace("http://127.0.0.1:4010", "https://evil.example.test"))
    status, _, err = replay(report, FINDING.fingerprint)
    assert (status, engine.targets) == (2, [])
    assert "The token would go to https://evil.example.test, as the report says: give --url if that is right." in err
    assert replay(report, FINDING.fingerprint, "--url", "https://api.example.test")[0] == 0
    assert engine.targets[0].url == "https://api.example.test"


def test_an_unstable_finding_can_be_sent_again_too(replay, engine, report):
    assert replay(report, OTHER.fingerprint)[0] == 0
    assert (engine.replayed.rule, engine.replayed.stable) == ("BULK-ECHO", False)


def test_a_finding_that_could_not_be_judged_exits_with_2(replay, engine, report):
    engine.answer = CouldNotCheck("nothing may be created without --allow-writes")
    status, out, err = replay(report, FINDING.fingerprint)
    assert (status, out) == (2, "")
    assert err == "Error: nothing may be created without --allow-writes\n"


def test_runs_that_are_left_are_reported(replay, engine, report):
    engine.runs_left = 2
    assert "Note: 2 runs are left on the target" in replay(report, FINDING.fingerprint)[1]


@pytest.mark.parametrize("given", ["0000", ""])
def test_an_unknown_fingerprint_is_answered_with_those_there_are(replay, report, given):
    status, _, err = replay(report, given)
    assert status == 2
    for finding in (FINDING, OTHER):
        assert f"{finding.fingerprint} {finding.rule}: {finding.cause}" in err


def test_of_many_findings_the_closest_fingerprints_are_named(replay, tmp_path):
    many = [fakes.finding(cause=f"cause {number}") for number in range(9)]
    path = tmp_path / "many.json"
    path.write_text(FORMATS["json"](Report(fakes.result(*many))))
    misspelled = many[4].fingerprint[:-1] + "x"
    _, _, err = replay(path, misspelled)
    assert f"no finding with a fingerprint that begins with {misspelled!r}. The nearest: {many[4].fingerprint} " in err
    assert err.count("REQ-COUNT") == 3
    assert err.endswith("; and 6 more.\n")


def test_the_beginning_of_two_fingerprints_is_answered_with_both(replay, report, monkeypatch):
    document = json.loads(report.read_text())
    first, second = (finding.fingerprint for finding in (FINDING, OTHER))
    monkeypatch.setattr(
        "contracts.core.findings.Finding.fingerprint", property(lambda self: f"abc{self.rule[0].lower()}")
    )
    assert document["findings"][0]["fingerprint"] == first != second
    status, _, err = replay(report, "ABC")
    assert status == 2
    assert "Several findings of the report have a fingerprint that begins with 'ABC': abcr REQ-COUNT" in err
    assert replay(report, "abcb")[0] == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read: No such file"),
        ("<html>", "other.json is not a JSON report: write one with `contracts check URL --report json=report.json`."),
        ("{}", "is not a report of contracts: write one with `contracts check URL --report json=report.json`."),
        ("[]", "is not a report of contracts"),
        ('{"findings": 1, "baselined": [], "unstable": [], "target": ""}', "is not a report of this version"),
        ('{"findings": [], "baselined": [], "unstable": [], "target": "", "coverage": {}}', "has no findings"),
    ],
    ids=["missing", "no JSON", "another object", "a list", "another type", "none"],
)
def test_a_file_that_is_not_a_report_is_one_line(replay, tmp_path, text, said):
    path = tmp_path / "other.json"
    if text is not None:
        path.write_text(text)
    status, _, err = replay(path, "abc")
    assert status == 2
    assert said in err
    assert err.count("\n") == 1


def test_a_report_of_an_older_version_is_named_as_such(replay, report):
    document = json.loads(report.read_text())
    del document["findings"][0]["reproductions"]
    report.write_text(json.dumps(document))
    assert "is not a report of this version" in replay(report, FINDING.fingerprint)[2]


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--allow-writes", "--workflow-id", W, "--max-runs", "5", "--rate", "90/m"),
        ("--allow-writes", "--base-request", "known good.json", "--vary", "count", "--vary", "input_values,pool_ids"),
        ("--no-writes", "--machine-id", W, "--pool-id", W, "--max-requests", "40"),
        ("--allow-writes", "--profile", "full", "--clean-up"),
    ],
)
def test_the_command_after_a_check_of_a_deployment_sends_its_finding_again_as_printed(
    check, contracts, engine, tmp_path, monkeypatch, flags
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "known good.json").write_text(json.dumps({"workflow_id": W, "count": 1}))
    monkeypatch.setenv("CONTRACTS_TOKEN", "test-a")
    monkeypatch.setenv("CONTRACTS_SECOND_TOKEN", "test-b")
    url = "https://api.example.test"
    engine.answer = fakes.result(FINDING, target=url)

    _, out, _ = check("--report", "json=report.json", *flags, url=url)
    command = out.splitlines()[-1].split("`")[-2]
    name, *arguments = shlex.split(command)
    assert name == "contracts"
    assert contracts(*arguments)[0] == 1

    checked, replayed = (dataclasses.replace(target, seed=0, salt="") for target in engine.targets)
    assert replayed == checked
    assert "test-" not in command
