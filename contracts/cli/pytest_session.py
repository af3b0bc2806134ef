"""One check as a pytest session, which reports each rule as one test.

The check runs once, before the first test, for the rules that are selected by `-k` and similar options. With
pytest-xdist, the controller runs the check before any worker gets a test. So the guard with its budget and journal is
in one process, and the verdict does not depend on the number of workers.
"""

import argparse
import dataclasses
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import click
import pytest

from contracts.cli.main import check as check_command
from contracts.cli.main import cli, load_rules
from contracts.cli.options import CheckOptions, options_from, refuse_misspelled_variables, selected_rules, target_from
from contracts.cli.run import Checked, check_target, prepare, write_reports
from contracts.core.findings import CouldNotCheck, Rule
from contracts.core.printable import printable
from contracts.core.target import Target
from contracts.report.report import unstable_heading
from contracts.report.text import plain_finding

NO_TARGET = "no server to check: give its URL, as in  pytest --pyargs contracts --target http://127.0.0.1:4010"
_SESSION = pytest.StashKey["ContractSession | ContractWorker"]()
_SHARED = "contracts_shared"
_RULES_KEY = "contracts_rules"
_VERDICTS = "verdicts.json"
_RULE_TEST = re.compile(r"test_contract\.py::test_rule\[([A-Z0-9-]+)\]")


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """The verdict on a rule. `text` is the message of a failing test."""

    status: str
    why: str
    text: str


def begin(config: pytest.Config) -> None:
    """Set up the check of this session, if the flags or the environment give a URL. Raises pytest.UsageError if the
    flags are invalid.
    """
    workerinput = getattr(config, "workerinput", None)
    if workerinput is None:
        session = _session_from_flags(config)
        if session is not None:
            config.stash[_SESSION] = session
            config.pluginmanager.register(session, "contracts-session")
    elif _SHARED in workerinput:
        config.stash[_SESSION] = ContractWorker(Path(workerinput[_SHARED]), tuple(workerinput[_RULES_KEY]))


def rules_to_test(config: pytest.Config) -> tuple[str, ...] | None:
    """Return the ids of the selected rules; None if there is no target."""
    session = config.stash.get(_SESSION, None)
    return None if session is None else session.rules


def verdict_of(rule: str, session: pytest.Session) -> RuleVerdict:
    return session.config.stash[_SESSION].verdicts(session)[rule]


class ContractSession:
    """The check of this session, which runs when its first verdict is requested."""

    def __init__(self, target: Target, check_options: CheckOptions, rules: Mapping[str, Rule]) -> None:
        self._target = target
        self._options = check_options
        self._all_rules = rules
        self._checked: Checked | None = None
        self._unwritten: list[str] = []
        self._error: Exception | None = None
        self._shared = Path(tempfile.mkdtemp(prefix="contracts-"))
        chosen = selected_rules(check_options, tuple(rules))
        self.rules = tuple(rules) if chosen is None else chosen

    def verdicts(self, session: pytest.Session) -> dict[str, RuleVerdict]:
        return self._verdicts(_tested_rules(item.nodeid for item in session.items))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        for problem in self._unwritten:
            terminalreporter.line(printable(problem))
        if self._checked is None or self._checked.problem is not None:
            return
        result = self._checked.report.result
        terminalreporter.section(f"contract of {result.target}")
        for finding in result.unstable:
            terminalreporter.line(printable(f"{unstable_heading(finding)}: {finding.rule}: {finding.got}"))
        for note in (*self._checked.report.failed_by, *result.notes):
            terminalreporter.line(printable(note))
        terminalreporter.line(
            f"{result.verdict.replace('_', ' ')}; {result.spent.in_words}, seed {result.seed}, salt {result.salt}"
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        shutil.rmtree(self._shared, ignore_errors=True)
        # Skipped tests do not fail a session, but with --fail-on-incomplete they must.
        if self._checked is not None and self._checked.exit_code == 1 and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        elif self._unwritten and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR

    # With pytest-xdist

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput[_SHARED] = str(self._shared)
        node.workerinput[_RULES_KEY] = list(self.rules)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        """Run the check and write its verdicts. pytest-xdist distributes the tests only after this hook."""
        tested = _tested_rules(ids)
        if self._checked is None and tested:
            verdicts = {rule: dataclasses.asdict(verdict) for rule, verdict in self._verdicts(tested).items()}
            (self._shared / _VERDICTS).write_text(json.dumps(verdicts), encoding="utf-8")

    def _verdicts(self, tested: tuple[str, ...]) -> dict[str, RuleVerdict]:
        if self._error is not None:
            raise self._error
        if self._checked is None:
            try:
                self._checked = self._check(tested)
            except CouldNotCheck as error:
                _end_session(str(error))
            except Exception as error:
                self._error = error  # raised for every test, so that the check is not repeated
                raise
            if self._checked.problem is not None:
                _end_session("; ".join((self._checked.problem, *self._checked.left)))
            if self._checked.interrupted:
                raise KeyboardInterrupt
        return _verdicts_by_rule(self._checked, self._options.required)

    def _check(self, tested: tuple[str, ...]) -> Checked:
        from contracts.check import check

        check_options = dataclasses.replace(self._options, rules=tested, skip_rules=())
        checked = check_target(self._target, check_options, self._all_rules, check)
        self._unwritten = write_reports(checked, check_options)
        return checked


@dataclass(frozen=True, slots=True)
class ContractWorker:
    """A pytest-xdist worker. It reports the verdicts of the controller and sends nothing itself."""

    shared: Path
    rules: tuple[str, ...]

    def verdicts(self, session: pytest.Session) -> dict[str, RuleVerdict]:
        found = json.loads((self.shared / _VERDICTS).read_text(encoding="utf-8"))
        return {rule: RuleVerdict(**verdict) for rule, verdict in found.items()}


def _end_session(problem: str) -> NoReturn:
    """End the session with the reason why nothing could be checked, so that it is shown once and not for every rule."""
    pytest.exit(f"could not check: {printable(problem)}", returncode=pytest.ExitCode.USAGE_ERROR)


def _verdicts_by_rule(checked: Checked, required: Iterable[str]) -> dict[str, RuleVerdict]:
    """Return the verdicts. They come from the masked report, since the messages of tests may be logged."""
    report = checked.report
    verdicts = {}
    for rule in report.result.rules:
        findings = report.findings_of(rule.id)
        if findings:
            text = "\n\n".join(plain_finding(finding, report) for finding in findings)
            verdict = RuleVerdict("failed", rule.why, text)
        elif rule.id in required and not rule.was_judged:
            verdict = RuleVerdict("failed", rule.why, f"{rule.id} is required and was not judged: {rule.why}")
        else:
            verdict = RuleVerdict(rule.status, rule.why, rule.why)
        verdicts[rule.id] = verdict
    return verdicts


def _tested_rules(nodeids: Iterable[str]) -> tuple[str, ...]:
    return tuple(found[1] for found in map(_RULE_TEST.search, nodeids) if found)


# Flags: the same as those of the command line, which also parses them


def _flags() -> list[click.Option]:
    """Return the flags of `contracts check`, except those that pytest does not need, or for which it has its own."""
    options = (option for option in check_command.params if isinstance(option, click.Option))
    return [option for option in options if option.name not in {"plan", "verbose"}]


def add_flags(parser: pytest.Parser) -> None:
    """Add the flags. Raises pytest.UsageError if another plugin has a flag of the same name."""
    try:
        _add_flags(parser)
    except (ValueError, argparse.ArgumentError) as error:
        message = f"Another plugin has a flag of this name ({error}): leave it out, -p no:NAME."
        raise pytest.UsageError(message) from error


def _add_flags(parser: pytest.Parser) -> None:
    group = parser.getgroup("contracts", "the contract of the runs API (contracts check --help tells more)")
    group.addoption("--target", dest="contracts_url", metavar="URL", help="The server to check: its URL, before /v1.")
    for option in _flags():
        settings: dict[str, Any] = {"dest": f"contracts_{option.name}", "help": (option.help or "").replace("%", "%%")}
        if option.is_flag:
            for names, value in ((option.opts, True), (option.secondary_opts, False)):
                if names:
                    group.addoption(*names, action="store_const", const=value, default=None, **settings)
        else:
            group.addoption(*option.opts, action="append", default=None, **settings)


def _session_from_flags(config: pytest.Config) -> ContractSession | None:
    """Return the check of this session; None without a URL. Raises pytest.UsageError if the flags are invalid."""
    url = config.getoption("contracts_url") or os.environ.get("CONTRACTS_URL")
    if not url:
        return None
    args = [url]
    for option in _flags():
        given = config.getoption(f"contracts_{option.name}")
        if isinstance(given, bool):
            args += option.opts[:1] if given else option.secondary_opts[:1]
        else:
            args += [part for value in given or () for part in (option.opts[0], value)]
    try:
        refuse_misspelled_variables(cli)
        flags = check_command.make_context("pytest", args, **cli.context_settings).params
        rules = load_rules()
        target, check_options = target_from(flags), options_from(flags, rules)
        prepare(target, check_options, rules)
        return ContractSession(target, check_options, rules)
    except click.ClickException as error:
        raise pytest.UsageError(" ".join(error.format_message().split())) from error
