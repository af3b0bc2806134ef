"""`contracts rules`, `explain`, `cleanup`, and the command as a program."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass

import pytest

from contracts.core.findings import SEVERITIES
from contracts.report import FORMATS
from contracts.report import Report as CheckReport
from tests.contracts.cli import fakes


@dataclass(frozen=True)
class Report:
    journals: int = 0
    cleaned: int = 0
    left: int = 0
    possibly_left: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    unknown: int = 0
    unclear: int = 0
    elsewhere: tuple[str, ...] = ()


def test_rules_are_listed_with_source_and_title(contracts, engine):
    status, out, err = contracts("rules")
    assert status == 0
    assert err.startswith("doc: the documentation of the bulk create; api: other public facts about the API.")
    assert out.splitlines() == [
        "REQ-COUNT    moderate  doc  count is an integer from 1 to 1000",
        "BULK-ECHO    major     doc  a run shows what was sent",
        "AUTH-TENANT  critical  api  one organisation sees nothing of another",
    ]


def test_the_coverage_of_a_report_has_its_counts(contracts, engine, tmp_path):
    result = fakes.result(coverage={"health_check": {"status 200": {"REQ-COUNT": 1234}}})
    path = tmp_path / "report.json"
    path.write_text(FORMATS["json"](CheckReport(result, fakes.RULES)), encoding="utf-8")
    status, out, _ = contracts("rules", "--coverage", path)
    assert status == 0
    assert out.startswith("Not checked (no rule judges the field")
    assert "REQ-COUNT 1,234\n" in out
    status, out, _ = contracts("rules", "--coverage", path, "--json")
    rows = json.loads(out)
    assert next(row["rules"] for row in rows if row["operation"] == "health_check") == {"REQ-COUNT": 1234}


def test_the_coverage_of_a_whole_check_needs_no_report(contracts, engine):
    status, out, _ = contracts("rules", "--coverage")
    assert status == 0
    assert "bulk_create_runs\n  status " in out


def test_an_unusable_report_for_coverage_is_one_line(contracts, engine, tmp_path):
    assert contracts("rules", "--coverage", tmp_path / "none")[2].startswith(f"Error: {tmp_path}/none cannot be read")
    (tmp_path / "other.json").write_text("{}")
    assert "other.json is not a report of contracts" in contracts("rules", "--coverage", tmp_path / "other.json")[2]


def test_the_rules_can_be_read_as_json(contracts):
    by_id = {rule["id"]: rule for rule in json.loads(contracts("rules", "--json")[1])}
    assert (by_id["REQ-COUNT"]["severity"], by_id["REQ-COUNT"]["source"]) == ("moderate", "doc")
    assert {"title", "explanation", "group"} <= by_id["REQ-COUNT"].keys()
    assert len(by_id) == len(contracts("rules")[1].splitlines())


def test_a_rule_is_explained_with_its_source(contracts, engine):
    status, out, _ = contracts("explain", "auth-tenant")
    assert status == 0
    assert out == (
        "AUTH-TENANT: one organisation sees nothing of another\n"
        "Source: other public facts about the API (api)\n"
        f"Severity: critical: {SEVERITIES['critical']}\n\n"
        "First this.\n\nThen that.\n"
    )


def test_a_rule_that_there_is_not_cannot_be_explained(contracts, engine):
    status, _, err = contracts("explain", "AUTH-TENANTS")
    assert status == 2
    assert err == "Error: There is no rule 'AUTH-TENANTS': did you mean AUTH-TENANT?\n"


def test_cleanup_reports_what_it_deleted_and_what_is_left(contracts, engine):
    engine.cleaned = Report(journals=2, cleaned=41)
    status, out, _ = contracts("cleanup", "http://127.0.0.1:4010/v1", "--token", "test-a", "--second-token", "test-b")
    assert (status, out) == (0, "41 runs cleaned up, 0 left.\n")
    ((url, others),) = engine.journals
    assert url == "http://127.0.0.1:4010"
    assert (others["token"], others["second_token"]) == ("test-a", "test-b")


def test_cleanup_without_a_url_is_for_all_that_the_token_made(contracts, engine):
    engine.cleaned = Report()
    status, out, _ = contracts("cleanup", "--token", "test-a")
    assert (status, out) == (0, "Nothing to clean up: no check left anything behind.\n")
    assert engine.journals[0][0] is None


def test_cleanup_of_a_url_names_the_others_where_something_may_be_left(contracts, engine):
    engine.cleaned = Report(elsewhere=("http://127.0.0.1:4010", "https://api.example.com"))
    status, out, _ = contracts("cleanup", "http://127.0.0.1:4040", "--token", "test-a")
    assert status == 0
    assert out.splitlines() == [
        "Nothing to clean up at http://127.0.0.1:4040: no check left anything behind there.",
        "Checks may have left something at http://127.0.0.1:4010, https://api.example.com: clean up there with that"
        " URL, or without any.",
    ]


def test_cleanup_exits_with_1_while_something_is_left(contracts, engine):
    engine.cleaned = Report(journals=1, cleaned=1, left=2, problems=("x.jsonl is in use",), possibly_left=("an-id",))
    status, out, err = contracts("cleanup", "--token", "test-a")
    assert (status, out) == (1, "1 run cleaned up, 2 left.\n")
    assert err.startswith("Cleaning up 3 runs at http://127.0.0.1:9 ...\n")
    assert "Not done: x.jsonl is in use\n" in err
    assert "  an-id\n" in err


@pytest.mark.parametrize(
    ("cleaned", "said"),
    [
        (Report(journals=1, cleaned=1, possibly_left=("an-id",)), "1 run cleaned up, an unknown number left.\n"),
        (
            Report(journals=1, problems=("the lists are broken",), unclear=1),
            "no runs cleaned up, an unknown number left.\n",
        ),
        (Report(journals=1, left=3, unknown=2), "no runs cleaned up, 3 left (2 of them perhaps: the server does not"),
    ],
)
def test_cleanup_says_if_it_is_unknown_what_is_left(contracts, engine, cleaned, said):
    engine.cleaned = cleaned
    status, out, _ = contracts("cleanup", "--token", "test-a")
    assert status == 1
    assert out.startswith(said)


def test_cleanup_forgets_the_journals_of_a_url_without_a_token(contracts, engine):
    engine.cleaned = Report(journals=1, left=3)
    status, out, _ = contracts("cleanup", "http://127.0.0.1:4010/v1", "--forget")
    assert (status, engine.journals) == (0, [("http://127.0.0.1:4010", "forget")])
    assert out == "1 journal of http://127.0.0.1:4010/v1 discarded; of the runs named in them, 3 may still exist.\n"
    engine.cleaned = Report(problems=("x.jsonl is in use",))
    assert contracts("cleanup", "http://127.0.0.1:4010", "--forget")[0] == 1
    status, _, err = contracts("cleanup", "--forget")
    assert (status, "--forget needs the URL" in err) == (2, True)


def test_cleanup_needs_a_token(contracts, engine):
    status, _, err = contracts("cleanup")
    assert status == 2
    assert "the one that created the runs" in err


def test_cleanup_looks_at_its_ca_bundle_first(contracts, engine, tmp_path):
    status, _, err = contracts("cleanup", "--token", "t", "--ca-bundle", tmp_path / "none")
    assert status == 2
    assert "name a PEM file" in err


def test_ctrl_c_anywhere_else_is_reported_and_exits_with_130(contracts, engine, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr("contracts.cli.main.load_rules", interrupt)
    assert contracts("rules") == (130, "", "\nInterrupted.\n")


def test_output_that_cannot_be_written_is_one_line():
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "contracts", "rules"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (2, "Error: The output could not be written: No space left on device.\n")


@pytest.mark.parametrize("args", [("--help",), ("check", "--help"), ("--version",)])
def test_help_and_version_are_to_be_had_without_the_engine(args):
    program = (
        "import sys; sys.modules['hypothesis'] = sys.modules['httpx'] = None\n"
        f"sys.argv = ['contracts', *{args!r}]\n"
        "import runpy; runpy.run_module('contracts', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "contracts" in done.stdout


def test_a_misspelled_variable_is_refused_and_another_unknown_one_is_warned_of(check, engine, monkeypatch):
    monkeypatch.setenv("CONTRACTS_COLOUR", "x")
    monkeypatch.setenv("CONTRACTS_JOURNAL_DIR", "")
    monkeypatch.setenv("CONTRACTS_SERVICE_HOST", "10.0.0.1")
    status, _, err = check()
    assert status == 0
    assert err.splitlines() == [
        "Warning: CONTRACTS_COLOUR is set, but there is no such option; see --help of each command and "
        "docs/contracts.md.",
    ]
    monkeypatch.setenv("CONTRACTS_SECOND_TOKN", "x")
    engine.targets.clear()
    status, _, err = check()
    assert (status, engine.targets) == (2, [])
    assert err.splitlines()[1:] == [
        "Error: CONTRACTS_SECOND_TOKN is set, but there is no such option: did you mean CONTRACTS_SECOND_TOKEN?"
    ]


@pytest.mark.parametrize("command", ["check", "fuzz", "rules", "explain", "cleanup"])
def test_every_help_has_an_example(contracts, engine, command):
    status, out, _ = contracts(command, "--help")
    assert status == 0
    assert f"Examples:\n  contracts {command}" in out


def test_the_help_of_cleanup_names_its_variables_and_exit_codes(contracts, engine):
    _, out, _ = contracts("cleanup", "--help")
    for named in ("CONTRACTS_URL", "CONTRACTS_JOURNAL_DIR", "CONTRACTS_TOKEN", "2 nothing was tried"):
        assert named in " ".join(out.split())


def test_no_line_about_a_command_is_cut(contracts, engine):
    _, out, _ = contracts("--help")
    assert "..." not in out.partition("Check a server:")[2]


def test_the_options_of_a_check_are_in_groups(contracts, engine):
    for command in ("check", "fuzz"):
        _, out, _ = contracts(command, "--help")
        others = out.partition("Other options:\n")[2].partition("\n\n")[0]
        assert others.strip().splitlines() == ["-h, --help  Show this message and exit."]
        assert out.index("Target:") < out.index("--token") < out.index("How much is sent:") < out.index("--max-runs")


@pytest.mark.parametrize(("no_color", "is_styled"), [("1", False), ("", True)])
def test_no_color_turns_colours_and_bold_off_on_a_terminal(no_color, is_styled):
    terminal, end = os.openpty()
    environment = {**os.environ, "NO_COLOR": no_color, "TERM": "xterm"}
    for args in (("explain", "BULK-COUNT"), ("explain", "NONE")):
        command = [sys.executable, "-m", "contracts", *args]
        subprocess.run(command, stdout=end, stderr=end, stdin=subprocess.DEVNULL, env=environment, timeout=60)
        shown = os.read(terminal, 10_000).decode()
        assert ("BULK-COUNT" if args[1] == "BULK-COUNT" else "There is no rule") in shown
        assert ("\x1b[" in shown) is is_styled
    os.close(terminal)
    os.close(end)
