"""`contracts check` and `contracts fuzz`: exit codes, what is said, what is asked of the engine."""

import errno
import functools
import json
import os
import re
import signal
from datetime import date, timedelta
from pathlib import Path

import pytest
import yaml

from contracts.core.exchange import Answer, Exchange, Request
from contracts.core.findings import CheckInterrupted, CouldNotCheck, RuleResult
from contracts.core.target import Budget
from contracts.guard.identity import PossibleRun
from tests.contracts.cli import fakes

W, M, P = (f"{number}0000000-0000-4000-8000-000000000004" for number in (1, 2, 3))


def test_a_healthy_server_passes_with_exit_code_0(check):
    status, out, _ = check()
    assert status == 0
    assert "PASSED: nothing found." in out
    assert "3 passed, 0 failed, 0 skipped, 0 not offered; 12 requests, 3 runs created, 0 left, 1.2 s" in out


def test_a_finding_exits_with_1_and_is_shown_with_a_command_that_repeats_it(check, engine):
    engine.answer = fakes.result(fakes.finding())
    status, out, _ = check()
    assert status == 1
    assert "1. REQ-COUNT (moderate) count is an integer from 1 to 1000" in out
    assert "expected     422" in out
    assert "got          201" in out
    assert '-H "Authorization: Bearer $TOKEN"' in out
    assert "test-a" not in out


def test_findings_are_reported_worst_first_in_every_format(check, engine, tmp_path):
    engine.answer = fakes.result(fakes.finding("REQ-COUNT"), fakes.finding("AUTH-TENANT"), fakes.finding("BULK-ECHO"))
    names = ("json", "junit", "sarif", "html", "markdown")
    reports = (part for name in names for part in ("--report", f"{name}={tmp_path / name}"))
    _, out, _ = check(*reports)
    order = ["AUTH-TENANT", "BULK-ECHO", "REQ-COUNT"]
    found = json.loads((tmp_path / "json").read_text())["findings"]
    assert [(one["rule"], one["severity"]) for one in found] == list(
        zip(order, ["critical", "major", "moderate"], strict=True)
    )
    results = json.loads((tmp_path / "sarif").read_text())["runs"][0]["results"]
    assert [(one["ruleId"], one["level"]) for one in results] == list(
        zip(order, ["error", "error", "warning"], strict=True)
    )
    for text in (out, (tmp_path / "markdown").read_text()):
        assert re.findall(r"^(?:### )?\d\. (\S+) ", text, re.MULTILINE) == order
    headings = re.findall(r"<h3>([A-Z0-9-]+)", (tmp_path / "html").read_text())
    assert headings == order


def test_the_order_of_findings_is_that_of_the_severities_that_are_shown(check, engine):
    told = fakes.finding("REQ-COUNT")
    part = fakes.finding("AUTH-TENANT", part_of=told.fingerprint)
    engine.answer = fakes.result(told, part, fakes.finding("BULK-ECHO"))
    _, out, _ = check()
    assert re.findall(r"^\d\. (\S+) \((\S+)\)", out, re.MULTILINE) == [
        ("BULK-ECHO", "major"),
        ("REQ-COUNT", "moderate"),
    ]


def test_there_are_no_colours_where_there_is_no_terminal(check, engine):
    engine.answer = fakes.result(fakes.finding())
    _, out, err = check()
    assert "\x1b" not in out
    assert err == ""


def test_an_incomplete_check_exits_with_0_and_says_so(check, engine):
    engine.answer = fakes.result(verdict="incomplete", rules=fakes.skipped("AUTH-TENANT"))
    status, out, _ = check()
    assert status == 0
    assert "AUTH-TENANT skipped     no second token was given" in out
    assert "INCOMPLETE: nothing found, but 1 rule was not judged (see above)." in out


def test_a_check_that_ran_out_of_time_says_so_though_every_rule_was_judged(check, engine):
    engine.answer = fakes.result(verdict="incomplete")
    status, out, _ = check()
    assert status == 0
    assert "INCOMPLETE: nothing found, but not everything was tried." in out


def test_a_target_that_cannot_be_checked_is_one_line_and_exit_code_2(check, engine, tmp_path):
    engine.answer = CouldNotCheck("a create gets no answer:\n lost")
    status, out, err = check("--report", f"json={tmp_path / 'out.json'}")
    assert (status, out) == (2, "")
    assert err == "Error: a create gets no answer: lost\n"
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["verdict"] == "could_not_check"
    assert {rule["status"] for rule in report["rules"]} == {"skipped"}
    assert report["notes"] == ["a create gets no answer: lost"]


def test_a_token_that_the_server_returns_is_not_shown(check, engine):
    engine.answer = CouldNotCheck("401 for test-a: wrong token")
    _, _, err = check()
    assert err == "Error: 401 for $TOKEN: wrong token\n"


def test_a_token_of_two_letters_leaves_the_words_that_have_them(check, engine):
    engine.answer = CouldNotCheck("at 9999-12-31T23 for Bearer T2")
    _, _, err = check("--second-token", "T2")
    assert err == "Error: at 9999-12-31T23 for Bearer $SECOND_TOKEN\n"


def test_a_fault_of_the_engine_is_not_hidden_and_leaves_no_runs(check, engine):
    engine.answer = ZeroDivisionError("a bug")
    with pytest.raises(ZeroDivisionError):
        check("--clean-up")
    assert engine.cleaned_up == 1


def test_what_is_left_is_told_if_the_target_cannot_be_checked(check, engine):
    """A create whose answer is lost ends the check, and its run costs money all the same."""
    engine.answer = CouldNotCheck("a create gets no answer")
    engine.runs_left = 1
    engine.unfinished_runs = (W,)
    engine.possibly_left = (PossibleRun(P, workflow_id=M, created_at=None, unlikely=0),)
    status, _, err = check("--clean-up")
    left, possible, error = err.splitlines()
    assert status == 2
    assert left.startswith("Note: 1 run is left, though the check tried to delete it: `contracts cleanup http://")
    assert W in left
    assert P in possible
    assert error == "Error: a create gets no answer"


def test_what_is_left_is_told_after_a_fault_of_the_engine(check, engine, capfd):
    engine.answer = ZeroDivisionError("a bug")
    engine.runs_left = 1
    engine.unfinished_runs = (W,)
    with pytest.raises(ZeroDivisionError):
        check("--clean-up")
    assert W in capfd.readouterr().err


def test_a_journal_that_cannot_be_written_is_reported_in_one_line(check, engine):
    engine.opening_fails = CouldNotCheck("the journal cannot be written in /nowhere (Permission denied)")
    status, _, err = check()
    assert status == 2
    assert err == "Error: the journal cannot be written in /nowhere (Permission denied).\n"


# GitHub Actions


def test_findings_are_annotations_in_a_job_of_github_worst_first(check, engine, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    evil = "100%\r\n::set-output name=x::y \x1b[31m"
    engine.answer = fakes.result(fakes.finding(got=evil), fakes.finding("AUTH-TENANT", expected="404"))
    _, out, _ = check()
    first, second = (line for line in out.splitlines() if line.startswith("::"))
    assert first == (
        "::error title=AUTH-TENANT (critical)%3A one organisation sees nothing of another::expected 404, got 201"
        f" (fingerprint {fakes.finding('AUTH-TENANT').fingerprint})"
    )
    assert "::expected 422, got 100%25\\r\\n::set-output name=x::y \\x1b[31m (fingerprint" in second


def test_ten_annotations_are_followed_by_the_number_of_the_others(check, engine, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    engine.answer = fakes.result(*(fakes.finding(cause=f"cause {n}") for n in range(11)))
    lines = [line for line in check()[1].splitlines() if line.startswith("::")]
    assert len([line for line in lines if line.startswith("::error ")]) == 10
    assert lines[10:] == ["::notice title=contracts::1 more finding is in the log and the reports"]


def test_there_are_no_annotations_elsewhere(check, engine):
    engine.answer = fakes.result(fakes.finding())
    assert "::error" not in check()[1]


# Reports


def test_every_format_is_written_by_its_name(check, engine, tmp_path, monkeypatch):
    monkeypatch.setattr("contracts.cli.run.MANY_EXCHANGES", 1)
    engine.answer = fakes.result(fakes.finding())
    engine.exchanges = engine.answer.findings[0].exchanges
    names = ("json", "junit", "sarif", "html", "har")
    _, _, err = check("--seed", 7, *(part for name in names for part in ("--report", f"{name}={tmp_path / name}")))
    assert err.count(f"Writing {tmp_path / 'har'}: all requests and answers") == 1
    assert err.count("Writing ") == 1
    assert json.loads((tmp_path / "json").read_text())["seed"] == 7
    assert "<testsuite " in (tmp_path / "junit").read_text()
    assert json.loads((tmp_path / "sarif").read_text())["version"] == "2.1.0"
    assert (tmp_path / "html").read_text().startswith("<!doctype html>")
    assert len(json.loads((tmp_path / "har").read_text())["log"]["entries"]) == 1


def test_a_folder_is_refused_as_a_report_before_anything_is_sent(check, engine, tmp_path):
    status, _, err = check("--report", f"json={tmp_path}")
    assert (status, engine.targets) == (2, [])
    assert f"{tmp_path} is a folder: name a file for the report." in err


@pytest.mark.parametrize(("findings", "expected"), [((), 0), ((fakes.finding(),), 1)])
def test_a_reader_of_the_output_that_leaves_changes_no_exit_code(check, engine, monkeypatch, findings, expected):
    def leave(*_: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr("contracts.cli.main._print", leave)
    monkeypatch.setattr("contracts.cli.main._discard_output", lambda: None)
    engine.answer = fakes.result(*findings)
    assert check() == (expected, "", "")


def test_two_reports_in_one_file_are_refused_before_anything_is_sent(check, engine, tmp_path):
    other = tmp_path / "none" / ".." / "a"
    other.parent.parent.mkdir(parents=True)
    status, _, err = check("--report", f"json={tmp_path / 'a'}", "--report", f"html={other}")
    assert (status, engine.targets) == (2, [])
    assert f"Two reports would be written to {other}: give each a file of its own." in err
    assert check("--report", "json=/dev/null", "--report", "html=/dev/null")[0] == 0


@pytest.mark.parametrize(("findings", "expected"), [((), 2), ((fakes.finding(),), 1)])
def test_a_report_that_cannot_be_written_loses_no_other_and_no_result(check, engine, tmp_path, findings, expected):
    engine.answer = fakes.result(*findings)
    status, out, err = check("--report", "json=/dev/full", "--report", f"junit={tmp_path / 'junit.xml'}")
    assert status == expected
    assert err == "Error: The json report could not be written to /dev/full: No space left on device.\n"
    assert ("FAILED: 1 finding." if findings else "PASSED") in out
    assert "<testsuite " in (tmp_path / "junit.xml").read_text()


# What a finding, a skipped rule and the baseline make of the exit code


@pytest.mark.parametrize("status", ["skipped", "not_offered"])
def test_a_required_rule_that_was_not_judged_fails_the_check(check, engine, tmp_path, status):
    engine.answer = fakes.result(verdict="incomplete", rules=fakes.skipped("AUTH-TENANT", status=status))
    second = ("--second-token", "test-b")
    code, out, _ = check("--require", "AUTH-TENANT", *second, "--report", f"json={tmp_path / 'out.json'}")
    assert code == 1
    assert "AUTH-TENANT is required and was not judged: no second token was given" in out
    assert json.loads((tmp_path / "out.json").read_text())["verdict"] == "failed"


def test_a_required_rule_that_was_judged_does_not(check):
    assert check("--require", "auth-tenant", "--second-token", "test-b")[0] == 0


def test_a_required_rule_that_needs_a_second_token_is_refused_without_one_before_the_check(check, engine):
    status, _, err = check("--require", "AUTH-TENANT")
    assert (status, engine.targets) == (2, [])
    assert "AUTH-TENANT is required, and cannot be judged without a second token: give the token of another" in err


def test_a_check_of_nothing_but_rules_that_need_a_second_token_is_refused_without_one(check, engine):
    status, _, err = check("--rule", "AUTH-TENANT")
    assert (status, engine.targets) == (2, [])
    assert "AUTH-TENANT cannot be judged without a second token: give the token of another organisation in" in err
    assert check("--rule", "AUTH-TENANT", "--rule", "REQ-COUNT")[0] == 0


def test_a_required_rule_that_is_not_selected_is_refused_before_the_check(check, engine):
    status, _, err = check("--rule", "REQ-COUNT", "--require", "BULK-ECHO")
    assert (status, engine.targets) == (2, [])
    assert "BULK-ECHO is required and not selected: add --rule BULK-ECHO, or drop --require." in err


def test_incomplete_fails_where_that_is_wished(check, engine):
    engine.answer = fakes.result(verdict="incomplete", rules=fakes.skipped("AUTH-TENANT"))
    status, out, _ = check("--fail-on-incomplete")
    assert status == 1
    assert "The check is incomplete" in out
    engine.answer = fakes.result()
    assert check("--fail-on-incomplete")[0] == 0


def accept(path, finding, expires, reason="a known gap"):
    entry = {"fingerprint": finding.fingerprint, "rule": finding.rule, "cause": finding.cause, "reason": reason}
    path.write_text(yaml.safe_dump({"accepted": [entry | {"expires": expires}]}))
    return path


def test_an_accepted_finding_does_not_fail_and_another_does(check, engine, tmp_path):
    known, new = fakes.finding(), fakes.finding("BULK-ECHO", "last item")
    baseline = accept(tmp_path / "baseline.yaml", known, date.today())
    engine.answer = fakes.result(known)
    status, out, _ = check("--baseline", baseline)
    assert status == 0
    _, verbose, _ = check("--baseline", baseline, "--verbose")
    assert "REQ-COUNT   passed      1 accepted by the baseline" in verbose
    assert f"Accepted by the baseline: REQ-COUNT ({known.fingerprint}): 1001 is accepted" in out
    engine.answer = fakes.result(known, new)
    status, out, _ = check("--baseline", baseline)
    assert status == 1
    assert "FAILED: 1 finding." in out


@pytest.mark.parametrize("incomplete", [{"is_partial": True}, {"rules": fakes.skipped("AUTH-TENANT")}])
def test_a_baseline_does_not_make_a_check_complete(check, engine, tmp_path, incomplete):
    known = fakes.finding()
    baseline = accept(tmp_path / "baseline.yaml", known, date.today())
    engine.answer = fakes.result(known, **incomplete)
    status, out, _ = check("--baseline", baseline)
    assert status == 0
    assert "INCOMPLETE: nothing new, but " in out
    assert "PASSED" not in out
    assert check("--baseline", baseline, "--fail-on-incomplete")[0] == 1


def test_a_baseline_does_not_hide_that_it_is_unknown_what_is_left(check, engine, tmp_path):
    known = fakes.finding()
    baseline = accept(tmp_path / "baseline.yaml", known, date.today())
    engine.answer = fakes.result(known)
    engine.left_unknown = ("the lists are broken",)
    assert "INCOMPLETE: nothing new, but it is not known what is left" in check("--baseline", baseline)[1]


def test_an_acceptance_that_expired_counts_no_more(check, engine, tmp_path):
    known = fakes.finding()
    engine.answer = fakes.result(known)
    baseline = accept(tmp_path / "baseline.yaml", known, date.today() - timedelta(days=1))
    status, out, _ = check("--baseline", baseline)
    assert status == 1
    assert "no longer accepted, it expired on" in out


def test_updating_the_baseline_accepts_the_findings_from_then_on(check, engine, tmp_path):
    engine.answer = fakes.result(fakes.finding())
    baseline = tmp_path / "baseline.yaml"
    status, out, _ = check("--baseline", baseline, "--update-baseline")
    assert status == 0
    assert f"1 finding added to {baseline}: write there why each is accepted." in out
    (entry,) = yaml.safe_load(baseline.read_text())["accepted"]
    assert entry == {
        "fingerprint": fakes.finding().fingerprint,
        "rule": "REQ-COUNT",
        "cause": "1001 is accepted",
        "reason": "not yet explained",
        "expires": date.today() + timedelta(days=30),
    }
    assert check("--baseline", baseline)[0] == 0


def test_a_check_that_could_not_be_made_leaves_the_baseline_alone(check, engine, tmp_path):
    engine.answer = CouldNotCheck("no answer")
    assert check("--baseline", tmp_path / "baseline.yaml", "--update-baseline")[0] == 2
    assert not (tmp_path / "baseline.yaml").exists()


def test_a_broken_baseline_is_reported_before_anything_is_sent(check, engine, tmp_path):
    (tmp_path / "baseline.yaml").write_text("accepted: [{rule: X}]")
    status, _, err = check("--baseline", tmp_path / "baseline.yaml")
    assert status == 2
    assert "entry 1 needs a fingerprint" in err
    assert engine.targets == []


# What is asked of the engine


def test_a_loopback_address_is_checked_in_full(check, engine):
    check()
    (target,) = engine.targets
    assert (target.profile, target.budget, target.clean_up) == ("full", Budget(100_000, None, None), False)
    assert target.may_write
    assert engine.rules == [None]
    assert engine.cleaned_up == 0


def test_any_other_address_is_checked_live_without_writes_and_cleaned_up(check, engine):
    check(url="https://api.example.com/v1/")
    (target,) = engine.targets
    assert target.url == "https://api.example.com"
    assert (target.profile, target.budget, target.clean_up) == ("live", Budget(25, 500, 5.0), True)
    assert not target.may_write
    assert engine.cleaned_up == 1


@pytest.mark.parametrize(("flag", "may_write"), [("--no-writes", False), ("--allow-writes", True)])
@pytest.mark.parametrize("profile", ["full", "live"])
def test_the_flag_decides_on_a_loopback_address_too(check, engine, flag, may_write, profile):
    check(flag, "--profile", profile, "--workflow-id", W)
    (target,) = engine.targets
    assert target.may_write is may_write


def test_a_live_check_of_a_loopback_address_creates_nothing_by_default(check, engine):
    """A tunnel may lead from there to a deployment."""
    check("--profile", "live")
    (target,) = engine.targets
    assert not target.may_write


def test_every_flag_reaches_the_engine(check, engine, tmp_path):
    base = tmp_path / "base.json"
    base.write_text(f'{{"workflow_id": "{W}", "sensitive_input_values": {{"password": "tr0ub4dor&3"}}}}')
    check(
        *("--second-token", "test-b", "--workflow-id", W, "--machine-id", M, "--pool-id", P),
        *("--profile", "live", "--max-runs", 5, "--max-requests", 50, "--rate", 0.5, "--allow-writes"),
        *("--base-request", base, "--vary", "count", "--vary", "input_values,pool_ids", "--leave-runs"),
        *("--max-time", "2m", "--seed", 9, "--rule", "bulk-echo", "--rule", "REQ-COUNT", "--skip-rule", "REQ-COUNT"),
    )
    (target,) = engine.targets
    assert target.second_token == "test-b"
    assert (target.workflow_id, target.machine_id, target.pool_id) == (W, M, P)
    assert target.budget == Budget(max_runs=5, max_requests=50, rate=0.5)
    assert target.base_request["workflow_id"] == W
    assert target.varied_fields == ("count", "input_values", "pool_ids")
    assert target.leave_runs
    assert (target.max_time_s, target.seed) == (120.0, 9)
    assert engine.rules == [("BULK-ECHO",)]


def test_a_seed_is_made_up_and_shown(check, engine):
    _, out, _ = check()
    check()
    assert f"seed {engine.targets[0].seed}" in out
    assert engine.targets[0].seed != engine.targets[1].seed


def test_the_environment_provides_options_that_the_command_line_does_not(contracts, engine, monkeypatch):
    monkeypatch.setenv("CONTRACTS_URL", "http://localhost:1")
    monkeypatch.setenv("CONTRACTS_TOKEN", "test-a\n")
    monkeypatch.setenv("CONTRACTS_SECOND_TOKEN", "test-b")
    monkeypatch.setenv("CONTRACTS_MAX_TIME", "90s")
    monkeypatch.setenv("CONTRACTS_RULE", "REQ-COUNT BULK-ECHO")
    monkeypatch.setenv("CONTRACTS_CLEAN_UP", "1")
    assert contracts("check")[0] == 0
    (target,) = engine.targets
    assert (target.url, target.token, target.second_token) == ("http://localhost:1", "test-a", "test-b")
    assert (target.max_time_s, target.clean_up) == (90.0, True)
    assert engine.rules == [("REQ-COUNT", "BULK-ECHO")]


def test_a_secret_of_the_base_request_is_masked_though_no_finding_sent_it(check, engine, tmp_path):
    base = tmp_path / "base.json"
    base.write_text('{"sensitive_input_values": {"password": "tr0ub4dor&3"}}')
    engine.answer = fakes.result(notes=("the list shows tr0ub4dor&3",))
    _, out, _ = check("--base-request", base)
    assert "Note: the list shows masked-1xxx" in out


# Cleaning up


def test_runs_that_are_left_are_reported_with_the_command_that_deletes_them(check, engine):
    engine.runs_left = 3
    _, out, _ = check()
    assert "3 runs are left on the target, since --clean-up was not given: `contracts cleanup http://127" in out
    assert "3 left" in out


def test_pools_and_workflows_that_the_api_cannot_delete_are_counted(check, engine):
    engine.other_resources = {"workflows": 2, "pools": 13}
    assert "The check has created 13 pools and 2 workflows, which the API cannot delete." in check()[1]


def test_the_command_that_deletes_what_is_left_has_the_flags_it_needs(check, engine, tmp_path):
    bundle = tmp_path / "our authority.pem"
    bundle.write_bytes((Path(__file__).parent.parent / "guard/tls/loopback.pem").read_bytes())
    engine.runs_left = 3
    _, out, _ = check("--ca-bundle", bundle)
    assert f"`contracts cleanup http://127.0.0.1:4010 --ca-bundle '{bundle}'` deletes them." in out


def test_runs_that_could_not_be_deleted_are_reported(check, engine):
    engine.runs_left = 1
    engine.unfinished_runs = (W,)
    _, out, _ = check("--clean-up")
    assert "1 run is left, though the check tried to delete it" in out
    assert f"Left: {W}." in out


def test_runs_that_must_stay_are_not_said_to_have_been_deleted(check, engine):
    engine.runs_left = 1
    engine.cannot_delete = True
    engine.unfinished_runs = (W,)
    _, out, _ = check("--profile", "live", "--allow-writes", "--workflow-id", W, "--leave-runs")
    assert f"1 run is left, since the target does not offer DELETE (--leave-runs). Left: {W}." in out
    assert "tries again" not in out


def test_of_many_runs_that_are_left_some_are_named(check, engine):
    engine.runs_left = 30
    engine.unfinished_runs = tuple(f"run-{number:02}" for number in range(30))
    _, out, _ = check("--clean-up")
    assert "Left: run-00, run-01," in out
    assert "run-24, and 5 more." in out
    assert "run-25" not in out


def test_runs_that_may_belong_to_the_check_without_proof_are_reported(check, engine):
    engine.possibly_left = (
        PossibleRun(W, workflow_id=M, created_at="2026-11-28T12:00:00Z", unlikely=1.5),
        PossibleRun(P, workflow_id=None, created_at=None, unlikely=2),
    )
    out = check("--clean-up")[1]
    assert "That is not proven" in out
    told = f"likely ones first: {W} (workflow {M}, created at 2026-11-28T12:00:00Z); {P} (no workflow)"
    assert told in " ".join(out.split())


def test_ctrl_c_cleans_up_and_keeps_the_report(check, engine, tmp_path):
    engine.answer = KeyboardInterrupt()
    status, out, _ = check("--clean-up", "--report", f"json={tmp_path / 'out.json'}")
    assert status == 130
    assert engine.cleaned_up == 1
    assert "Interrupted: what was not reached is listed as skipped." in out
    assert json.loads((tmp_path / "out.json").read_text())["verdict"] == "incomplete"


def test_what_was_judged_before_ctrl_c_is_reported(check, engine):
    partial = fakes.result(
        rules=fakes.skipped("AUTH-TENANT", "not reached"),
        notes=("Interrupted: …",),
        is_partial=True,
        was_interrupted=True,
    )
    engine.answer = CheckInterrupted(partial)
    status, out, _ = check("--clean-up")
    assert (status, engine.cleaned_up) == (130, 1)
    assert "2 passed, 0 failed, 1 skipped" in out
    assert "INCOMPLETE: nothing found, but 1 rule was not judged" in out
    assert "Note: Interrupted: …" in out
    assert out.splitlines()[-1].startswith("Next: Run the check again and let it end")


def test_findings_before_ctrl_c_decide_the_exit_code(check, engine, tmp_path):
    engine.answer = CheckInterrupted(fakes.result(fakes.finding(), verdict="failed", was_interrupted=True))
    status, out, _ = check("--report", f"json={tmp_path / 'out.json'}")
    assert status == 1
    assert "FAILED: 1 finding." in out
    report = json.loads((tmp_path / "out.json").read_text())
    assert [finding["cause"] for finding in report["findings"]] == ["1001 is accepted"]


def test_an_intermittent_finding_fails_the_check_unless_it_is_allowed(check, engine, tmp_path):
    found = fakes.finding(stable=False, intermittent=True, seen=2, judged=9)
    engine.answer = fakes.result(found)

    status, out, _ = check("--report", f"json={tmp_path / 'out.json'}")
    assert (status, "seen 2 of 9 times" in out) == (1, True)

    status, out, _ = check("--allow-intermittent", "--report", f"json={tmp_path / 'out.json'}")
    assert status == 0
    report = json.loads((tmp_path / "out.json").read_text())
    assert (report["verdict"], report["findings"]) == ("passed", [])
    assert [finding["cause"] for finding in report["unstable"]] == ["1001 is accepted"]
    assert {rule["status"] for rule in report["rules"]} == {"passed"}


def test_the_check_is_told_to_stop_when_it_has_as_many_findings_as_asked_for(check, engine, tmp_path):
    found = functools.partial(fakes.finding, "REQ-COUNT")
    unstable, intermittent = found("a", stable=False), found("b", stable=False, intermittent=True)
    engine.found_before = (unstable, intermittent, found("c"), found("c"), found("d"))
    engine.answer = fakes.result(*engine.found_before[1:])

    check()
    assert engine.stops == [False] * 5
    check("--max-findings", "2")
    assert engine.stops == [False, False, True, True, True]
    check("--max-findings", "2", "--allow-intermittent")
    assert engine.stops == [False, False, False, False, True]
    accepted = tmp_path / "accepted.yaml"
    check("--baseline", accepted, "--update-baseline")
    check("--max-findings", "1", "--baseline", accepted)
    assert engine.stops == [False] * 5


@pytest.mark.parametrize("text", ["0/4", "5/4", "x", "1/", "1/0"])
def test_an_invalid_shard_is_refused(check, text):
    status, _, err = check("--shard", text)
    assert status == 2
    assert "1/4, 2/4, 3/4 and 4/4" in err


def test_the_salt_and_the_shard_are_those_of_the_target(check, engine):
    check("--salt", "a salt", "--shard", "2/4")
    (target,) = engine.targets
    assert (target.salt, target.shard) == ("a salt", (2, 4))


def test_a_terminated_job_cleans_up_as_after_ctrl_c(check, engine):
    engine.while_judging = lambda: os.kill(os.getpid(), signal.SIGTERM)
    before = signal.getsignal(signal.SIGTERM)
    assert check("--clean-up")[0] == 130
    assert engine.cleaned_up == 1
    assert signal.getsignal(signal.SIGTERM) == before


def test_an_interrupted_cleaning_says_what_may_be_left(check, engine):
    engine.interrupts_cleaning = True
    status, out, _ = check("--clean-up")
    assert status == 130
    assert "Cleaning up was interrupted, at most 3 runs are left: `contracts cleanup" in out


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_while_cleaning_up_does_not_stop_that(check, engine, stop):
    engine.while_cleaning = lambda: os.kill(os.getpid(), stop)
    status, out, err = check("--clean-up")
    assert (status, engine.cleaned_up) == (0, 1)
    assert err == "Still cleaning up; press Ctrl-C again to stop and leave the runs.\n"
    assert "PASSED: nothing found." in out
    assert check()[2] == "Still counting what is left; press Ctrl-C again to stop.\n"


def test_the_second_signal_while_cleaning_up_stops_that_and_the_next_step_is_to_clean_up(check, engine):
    def stop_twice():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)

    engine.while_cleaning = stop_twice
    engine.answer = fakes.result(verdict="incomplete", rules=fakes.skipped("AUTH-TENANT"))
    status, out, _ = check("--clean-up")
    assert status == 130
    assert "Cleaning up was interrupted, at most 3 runs are left: `contracts cleanup" in out
    assert out.splitlines()[-1].startswith("Next: `contracts cleanup http://127.0.0.1:4010` tries again to delete")


# Plan


def test_a_plan_sends_nothing_and_needs_no_token(check, engine):
    status, out, _ = check("--plan", token=None)
    assert status == 0
    assert "REQ-COUNT: at most 1001 runs on http://127.0.0.1:4010" in out
    assert engine.targets == []


# Progress


def test_the_check_says_what_it_does_on_a_terminal_only(check, engine, monkeypatch):
    monkeypatch.setattr("contracts.cli.progress._is_terminal", lambda: True)
    assert "  now    REQ-COUNT: 1/3" in check()[2]
    monkeypatch.setattr("contracts.cli.progress._is_terminal", lambda: False)
    assert check()[2] == ""


# Fuzz


@pytest.fixture
def fuzz(contracts, engine):
    return lambda *args: contracts("fuzz", "http://127.0.0.1:4010", "--token", "test-a", *args)


def test_fuzz_prints_each_finding_at_once_and_the_report_at_the_end(fuzz, engine):
    found = fakes.finding()
    engine.found_before = (found,)
    engine.answer = fakes.result(found)
    status, out, _ = fuzz("--for", "90s")
    assert status == 1
    assert engine.targets[-1].max_time_s == 90.0
    assert out.index("REQ-COUNT (moderate) count is an integer") < out.index(
        "1. REQ-COUNT (moderate) count is an integer"
    )
    assert "test-a" not in out


def test_fuzz_searches_for_ten_minutes_unless_told_otherwise(fuzz, engine):
    fuzz()
    assert engine.targets[-1].max_time_s == 600.0


def test_ctrl_c_keeps_what_fuzz_has_found(fuzz, engine):
    found = (fakes.finding(), fakes.finding("BULK-ECHO", "last item"))
    engine.answer = CheckInterrupted(fakes.result(*found, verdict="failed", was_interrupted=True))
    status, out, _ = fuzz()
    assert (status, "FAILED: 2 findings." in out) == (1, True)


def test_findings_that_fuzz_prints_at_once_are_masked(fuzz, engine):
    body = b'{"sensitive_input_values": {"a": "tr0ub4dor&3"}}'
    request = fakes.replace(fakes.CREATE, body=body)
    exchange = fakes.replace(fakes.finding().exchanges[0], request=request)
    engine.found_before = (fakes.finding(got="tr0ub4dor&3", exchanges=(exchange,)),)
    assert "tr0ub4dor" not in fuzz()[1]


def test_the_verdict_is_printed_before_the_reports_are_written_and_har_is_written_last(
    check, engine, monkeypatch, capfd
):
    from contracts import report

    written = []

    def rendering(name):
        def render(_):
            printed = capfd.readouterr().out
            written.append((name, "PASSED" in printed))
            return ""

        return render

    for name in ("har", "json"):
        monkeypatch.setitem(report.FORMATS, name, rendering(name))
    check("--report", "har=/dev/null", "--report", "json=/dev/null")
    assert written == [("json", True), ("har", False)]


def test_only_har_has_the_exchanges_of_the_whole_check(check, engine, tmp_path):
    body = b'{"sensitive_input_values": {"a": "tr0ub4dor&3", "b": "null", "c": 4010}}'
    create = Request("POST", "/v1/runs", (), body)
    engine.exchanges = (Exchange(create, Answer(201, (), b'{"a": "tr0ub4dor&3", "b": "null"}')),)
    engine.answer = fakes.result(notes=("null, empty and absent",))
    engine.runs_left = 2
    _, out, _ = check("--report", f"har={tmp_path / 'out.har'}")
    assert "null, empty and absent" in out
    assert "`contracts cleanup http://127.0.0.1:4010`" in out
    assert "masked" not in out
    [entry] = json.loads((tmp_path / "out.har").read_text())["log"]["entries"]
    assert entry["request"]["url"] == "http://127.0.0.1:4010/v1/runs"
    assert json.loads(entry["response"]["content"]["text"]) == {"a": "masked-1xxx", "b": "masked-2"}


def test_fuzz_takes_for_in_place_of_max_time(fuzz, engine, monkeypatch):
    status, _, err = fuzz("--max-time", "5s")
    assert (status, engine.targets) == (2, [])
    assert err.endswith("Error: fuzz takes --for in place of --max-time.\n")
    monkeypatch.setenv("CONTRACTS_MAX_TIME", "5s")
    assert fuzz("--for", "1m")[0] == 0
    assert engine.targets[-1].max_time_s == 60


def test_a_baseline_that_is_not_there_is_refused_unless_it_is_to_be_written(check, engine, tmp_path):
    path = tmp_path / "none.yaml"
    status, _, err = check("--baseline", path)
    assert (status, engine.targets) == (2, [])
    assert f"{path} is not there: correct --baseline, or write the file with --update-baseline." in err
    assert check("--baseline", path, "--update-baseline")[0] == 0
    assert check("--baseline", path)[0] == 0


def test_a_baseline_with_a_rule_that_does_not_exist_is_refused(check, engine, tmp_path):
    path = tmp_path / "b.yaml"
    path.write_text("accepted: [{fingerprint: a, rule: REQ-COUN, reason: c, expires: 2130-01-01}]")
    status, _, err = check("--baseline", path)
    assert (status, engine.targets) == (2, [])
    assert f"{path}: There is no rule 'REQ-COUN': did you mean REQ-COUNT?" in err


@pytest.mark.parametrize(
    ("rule", "status"), [("BULK-ECHO", "skipped"), ("BULK-ECHO", "not_offered"), ("HTTP-LIMIT", "skipped")]
)
def test_a_check_that_judged_nothing_was_not_possible(check, engine, rule, status):
    engine.answer = fakes.result(rules=(RuleResult(rule, status, "the target kept answering 429"),))
    code, out, _ = check()
    assert code == 2
    assert "COULD NOT CHECK: nothing was judged (see above)." in out


@pytest.mark.parametrize("flags", [("--fail-on-incomplete",), ("--rule", "BULK-ECHO", "--require", "BULK-ECHO")])
def test_a_condition_that_is_not_met_counts_also_if_nothing_was_judged(check, engine, flags):
    engine.answer = fakes.result(rules=(RuleResult("BULK-ECHO", "skipped", "the target kept answering 429"),))
    assert check(*flags)[0] == 1


def test_a_rate_limit_that_there_is_not_makes_no_check_incomplete(check, engine):
    engine.answer = fakes.result(rules=(RuleResult("HTTP-LIMIT", "skipped", ""), RuleResult("A", "passed", "")))
    assert "PASSED: nothing found." in check()[1]
