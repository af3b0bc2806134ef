"""`pytest --pyargs contracts --target URL`, run by pytest's own tester, with a fake engine in the same process."""

import json
import subprocess
import sys

import pytest

from contracts.core.findings import CouldNotCheck
from tests.contracts.cli import fakes

pytest_plugins = "pytester"

URL = "http://127.0.0.1:4010"
WITHOUT = tuple(f"-pno:{name}" for name in ("cov", "hypothesispytest", "schemathesis"))
"""The plugins that stay out of these sessions: to import them takes most of the time of a session."""


@pytest.fixture
def run(pytester, engine):
    """A session in this process."""

    def run_it(*args, target=URL, token="test-a", **settings):
        given = [*(("--target", target) if target else ()), *(("--token", token) if token else ())]
        args = (*WITHOUT, "--pyargs", "contracts", *given, *map(str, args))
        return pytester.runpytest_inprocess(*args, **settings)

    return run_it


def test_every_rule_is_a_test(run, engine):
    outcome = run("-v")
    outcome.assert_outcomes(passed=3)
    outcome.stdout.fnmatch_lines(["*::test_rule[[]REQ-COUNT[]] PASSED*"])
    outcome.stdout.fnmatch_lines(
        ["*contract of http://127.0.0.1:4010*", "passed; 12 requests, 3 runs created, 0 left, 1.2 s, seed *"]
    )
    assert outcome.ret == 0
    assert engine.rules == [("REQ-COUNT", "BULK-ECHO", "AUTH-TENANT")]


def test_a_failing_rule_shows_expectation_outcome_and_command(run, engine):
    engine.answer = fakes.result(fakes.finding())
    outcome = run()
    outcome.assert_outcomes(passed=2, failed=1)
    outcome.stdout.fnmatch_lines(["*expected     422", "*got          201", "curl -sS*", '*Bearer $TOKEN"*'])
    assert "test-a" not in outcome.stdout.str()
    assert "\x1b" not in outcome.stdout.str()  # pytest does not remove them where there is no terminal
    assert outcome.ret == 1


def test_a_rule_that_was_not_judged_is_skipped_with_the_reason(run, engine):
    engine.answer = fakes.result(
        verdict="incomplete", rules=fakes.skipped("AUTH-TENANT", "no such path", "not_offered")
    )
    outcome = run("-rs")
    outcome.assert_outcomes(passed=2, skipped=1)
    outcome.stdout.fnmatch_lines(["SKIPPED*not offered: no such path"])
    assert outcome.ret == 0


def test_a_required_rule_fails_where_it_was_not_judged(run, engine):
    engine.answer = fakes.result(verdict="incomplete", rules=fakes.skipped("AUTH-TENANT"))
    outcome = run("--require", "AUTH-TENANT", "--second-token", "test-b")
    outcome.assert_outcomes(passed=2, failed=1)
    outcome.stdout.fnmatch_lines(["AUTH-TENANT is required and was not judged: no second token was given"])


def test_an_incomplete_check_fails_the_session_where_that_is_wished(run, engine):
    engine.answer = fakes.result(verdict="incomplete", rules=fakes.skipped("AUTH-TENANT"))
    outcome = run("--fail-on-incomplete")
    outcome.assert_outcomes(passed=2, skipped=1)
    outcome.stdout.fnmatch_lines(["The check is incomplete*"])
    assert outcome.ret == 1


def test_only_the_rules_that_k_leaves_are_judged(run, engine):
    outcome = run("-k", "BULK or AUTH")
    outcome.assert_outcomes(passed=2, deselected=1)
    assert engine.rules == [("BULK-ECHO", "AUTH-TENANT")]


def test_rules_can_be_selected_by_the_flags_of_the_command_line(run, engine):
    run("--rule", "req-count", "--rule", "BULK-ECHO", "--skip-rule", "BULK-ECHO").assert_outcomes(passed=1)
    assert engine.rules == [("REQ-COUNT",)]


def test_x_ends_at_the_first_failing_rule(run, engine):
    engine.answer = fakes.result(fakes.finding(), fakes.finding("BULK-ECHO"))
    run("-x").assert_outcomes(failed=1)


def test_junit_xml_of_pytest_has_the_rules(run, engine, pytester):
    engine.answer = fakes.result(fakes.finding())
    run("--junitxml", "out.xml")
    text = (pytester.path / "out.xml").read_text()
    assert 'name="test_rule[REQ-COUNT]"' in text
    assert 'failures="1"' in text


def test_every_flag_of_the_command_line_reaches_the_engine(run, engine, pytester):
    run(
        *("--second-token=test-b", "--profile", "live", "--max-runs", 5, "--clean-up", "--allow-writes"),
        *("--report", "json=out.json", "--report=html=out.html", "--seed", 9, "--no-writes"),
    )
    (target,) = engine.targets
    assert (target.second_token, target.profile, target.budget.max_runs, target.seed) == ("test-b", "live", 5, 9)
    assert engine.cleaned_up == 1
    assert json.loads((pytester.path / "out.json").read_text())["seed"] == 9
    assert (pytester.path / "out.html").exists()


def test_the_environment_provides_options_that_are_not_given(run, engine, monkeypatch):
    monkeypatch.setenv("CONTRACTS_URL", "http://localhost:1")
    monkeypatch.setenv("CONTRACTS_TOKEN", "test-a")
    run(target=None, token=None).assert_outcomes(passed=3)
    assert engine.targets[0].url == "http://localhost:1"


def test_an_accepted_finding_passes(run, engine, pytester):
    engine.answer = fakes.result(fakes.finding())
    run("--baseline", "b.yaml", "--update-baseline").assert_outcomes(passed=3)
    run("--baseline", "b.yaml").assert_outcomes(passed=3)
    run().assert_outcomes(passed=2, failed=1)


def test_unstable_findings_are_shown_and_fail_no_test(run, engine):
    engine.answer = fakes.result(unstable=(fakes.finding(),), notes=("a note",))
    outcome = run()
    outcome.assert_outcomes(passed=3)
    outcome.stdout.fnmatch_lines(["Unstable, did not repeat when sent again alone: REQ-COUNT: 201", "a note"])


def test_without_a_target_there_is_one_skipped_test_that_says_so(run, engine):
    outcome = run("-rs", target=None)
    outcome.assert_outcomes(skipped=1)
    outcome.stdout.fnmatch_lines(["SKIPPED*no server to check: give its URL*--target*"])
    assert engine.targets == []


@pytest.mark.parametrize("workers", [0, 2])
def test_a_target_that_cannot_be_checked_ends_the_session_with_one_message(run, engine, workers):
    engine.answer = CouldNotCheck("a create gets no answer: lost")
    outcome = run("-n", workers)
    outcome.assert_outcomes()
    assert outcome.stdout.str().count("could not check") == 1
    assert "could not check: a create gets no answer: lost" in outcome.stdout.str()
    assert outcome.ret == pytest.ExitCode.USAGE_ERROR
    assert len(engine.targets) == 1


def test_what_is_left_is_told_if_the_target_cannot_be_checked(run, engine):
    engine.answer = CouldNotCheck("a create gets no answer")
    engine.left_unknown = ("the lists could not be read",)
    assert "How many runs are left is unknown: the lists could not be read" in run().stdout.str()


def test_a_journal_that_cannot_be_written_ends_the_session_with_one_message(run, engine):
    engine.opening_fails = CouldNotCheck("the journal cannot be written")
    outcome = run()
    outcome.assert_outcomes()
    outcome.stdout.fnmatch_lines(["*could not check: the journal cannot be written*"])
    assert outcome.ret == pytest.ExitCode.USAGE_ERROR


def test_a_fault_of_the_engine_is_shown_by_every_rule_and_the_check_not_made_again(run, engine):
    engine.answer = ZeroDivisionError("a bug")
    outcome = run()
    outcome.assert_outcomes(failed=3)
    outcome.stdout.fnmatch_lines(["*ZeroDivisionError: a bug"])
    assert len(engine.targets) == 1


def test_a_report_that_cannot_be_written_is_named_and_fails_the_session(run, engine):
    outcome = run("--report", "json=/dev/full")
    outcome.assert_outcomes(passed=3)
    outcome.stdout.fnmatch_lines(["The json report could not be written to /dev/full: No space left on device."])
    assert outcome.ret == pytest.ExitCode.USAGE_ERROR


def test_ctrl_c_cleans_up_writes_the_report_and_ends_the_session(run, engine, pytester):
    engine.answer = KeyboardInterrupt()
    outcome = run("--clean-up", "--report", "json=out.json", no_reraise_ctrlc=True)
    assert outcome.ret == pytest.ExitCode.INTERRUPTED
    assert engine.cleaned_up == 1
    assert json.loads((pytester.path / "out.json").read_text())["verdict"] == "incomplete"


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--rule", "REQ-COUNTS"), "did you mean REQ-COUNT?"),
        (("--max-runs", "many"), "'many' is not a valid integer"),
        (("--update-baseline",), "add --baseline FILE"),
    ],
)
def test_invalid_flags_are_reported_as_on_the_command_line(run, engine, args, told):
    outcome = run(*args)
    assert outcome.ret == pytest.ExitCode.USAGE_ERROR
    assert told in outcome.stderr.str()


def test_a_misspelled_variable_is_reported_as_on_the_command_line(run, monkeypatch):
    monkeypatch.setenv("CONTRACTS_SECOND_TOKN", "x")
    outcome = run()
    assert outcome.ret == pytest.ExitCode.USAGE_ERROR
    outcome.stderr.fnmatch_lines(["*did you mean CONTRACTS_SECOND_TOKEN?*"])


def test_a_missing_extra_is_reported(run, monkeypatch):
    monkeypatch.setattr("contracts.cli.main._EXTRA", ("no_such_module",))
    outcome = run()
    assert outcome.ret == pytest.ExitCode.USAGE_ERROR
    assert "pip install '.[contracts]'" in outcome.stderr.str()


def test_another_plugin_with_a_flag_of_the_same_name_is_reported(pytester, engine):
    pytester.makepyfile(other="def pytest_addoption(parser): parser.addoption('--target')")
    pytester.syspathinsert()
    outcome = pytester.runpytest_inprocess(*WITHOUT, "-p", "other", "--pyargs", "contracts")
    assert outcome.ret == pytest.ExitCode.USAGE_ERROR
    assert "Another plugin has a flag of this name" in outcome.stderr.str()


# With pytest-xdist


def test_workers_report_the_same_and_the_check_is_made_once(run, engine):
    engine.answer = fakes.result(
        fakes.finding(),
        verdict="failed",
        rules=(fakes.result(fakes.finding()).rules[0], *fakes.skipped("AUTH-TENANT")[1:]),
    )
    alone, spread = run(), run("-n", 2)
    for outcome in (alone, spread):
        outcome.assert_outcomes(failed=1, passed=1, skipped=1)
        outcome.stdout.fnmatch_lines(["*expected     422"])
        outcome.stdout.fnmatch_lines(["failed; 12 requests*"])
    assert len(engine.targets) == 2


def test_workers_report_only_what_k_leaves(run, engine):
    run("-n", 2, "-k", "BULK").assert_outcomes(passed=1)
    assert engine.rules == [("BULK-ECHO",)]


def test_workers_skip_where_there_is_no_target(run, engine):
    run("-n", 1, target=None).assert_outcomes(skipped=1)


def test_nothing_of_a_session_with_workers_is_left_on_disk(run, engine, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run("-n", 1)
    assert not list(tmp_path.glob("contracts-*"))


# In anybody else's sessions


def test_the_plugin_imports_nothing_but_pytest():
    program = (
        "import pytest, sys; before = set(sys.modules); import contracts.pytest_plugin; "
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stdout.split()) - set(sys.stdlib_module_names)
    assert loaded == {"contracts"}


def test_other_sessions_have_no_flags_of_ours_and_may_have_the_same(pytester):
    pytester.makeconftest(
        "def pytest_addoption(parser):\n"
        "    for name in ('--target', '--token', '--seed', '--report'): parser.addoption(name)"
    )
    pytester.makepyfile("def test_it(pytestconfig): assert pytestconfig.getoption('--target') == 'x'")
    outcome = pytester.runpytest_inprocess(*WITHOUT, "--target", "x")
    outcome.assert_outcomes(passed=1)
    assert "--second-token" not in pytester.runpytest_inprocess(*WITHOUT, "--help").stdout.str()


def test_other_sessions_with_workers_are_left_alone(pytester):
    pytester.makepyfile("def test_it(): pass")
    pytester.runpytest_inprocess(*WITHOUT, "-n", "1").assert_outcomes(passed=1)
