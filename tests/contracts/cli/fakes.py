"""An engine and a guard that send nothing, in place of the real ones, so that what the command says can be tested."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import ModuleType

import pytest

from contracts.core.exchange import TOKEN, Answer, Exchange, Request
from contracts.core.findings import CheckResult, Finding, Rule, RuleResult, Spent


def fake_rule(rule, source="doc", title="a title", *, severity="moderate", group="requests", **fields):
    return Rule(rule, source, severity, title, "First this.\n\nThen that.", group, **fields)


RULES = {
    "REQ-COUNT": fake_rule("REQ-COUNT", title="count is an integer from 1 to 1000"),
    "BULK-ECHO": fake_rule("BULK-ECHO", title="a run shows what was sent", severity="major"),
    "AUTH-TENANT": fake_rule(
        "AUTH-TENANT",
        source="api",
        title="one organisation sees nothing of another",
        severity="critical",
        needs_second_token=True,
    ),
}

CREATE = Request(
    "POST",
    "/v1/runs/bulk",
    (("Authorization", TOKEN), ("Content-Type", "application/json")),
    b'{"workflow_id":"3c90c3cc-0d44-4b50-8888-8dd25736052a","count":1001}',
)


def finding(rule: str = "REQ-COUNT", cause: str = "1001 is accepted", **fields) -> Finding:
    exchange = Exchange(CREATE, Answer(201, (("content-type", "application/json"),), b'{"created_runs":[]}'))
    usual = {"expected": "422", "got": "201", "exchanges": (exchange,)}
    return Finding(rule=rule, cause=cause, **(usual | fields))


def result(*findings: Finding, **fields) -> CheckResult:
    failed = {each.rule for each in findings}
    usual = {
        "target": "http://127.0.0.1:4010",
        "seed": 7,
        "verdict": "failed" if findings else "passed",
        "rules": tuple(RuleResult(rule, "failed" if rule in failed else "passed", "") for rule in RULES),
        "findings": findings,
        "spent": Spent(requests=12, runs_created=3, runs_left=0, seconds=1.25),
    }
    return CheckResult(**(usual | fields))


def skipped(rule: str, why: str = "no second token was given", status: str = "skipped") -> tuple[RuleResult, ...]:
    return tuple(RuleResult(each, status, why) if each == rule else RuleResult(each, "passed", "") for each in RULES)


@dataclass
class Engine:
    """What the fake engine answers (or raises), and what it was asked."""

    answer: CheckResult | BaseException = field(default_factory=result)
    targets: list = field(default_factory=list)
    rules: list = field(default_factory=list)
    cleaned_up: int = 0
    journals: list = field(default_factory=list)
    runs_left: int = 0
    unfinished_runs: tuple[str, ...] = ()
    cannot_delete: bool = False
    possibly_left: tuple[object, ...] = ()
    left_unknown: tuple[str, ...] = ()
    other_resources: dict[str, int] = field(default_factory=dict)
    interrupts_cleaning: bool = False
    while_cleaning: Callable[[], None] | None = None
    cleaned: object = None
    opening_fails: Exception | None = None
    while_judging: Callable[[], None] | None = None
    found_before: tuple[Finding, ...] = ()
    stops: list[bool] = field(default_factory=list)
    """What `on_finding` returned for each finding."""
    replayed: Finding | None = None
    exchanges: tuple[Exchange, ...] = ()

    def judge(self, target):
        self.targets.append(target)
        if self.while_judging is not None:
            self.while_judging()
        if isinstance(self.answer, BaseException):
            raise self.answer
        return replace(self.answer, target=target.url, seed=target.seed)


def install(monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine = Engine()

    class FakeGuard:
        def __init__(self, target, *, journal_dir=None):
            self.target = target
            self.exchanges = engine.exchanges
            self.left_unknown = engine.left_unknown
            self.cannot_delete = engine.cannot_delete
            self.other_resources = engine.other_resources

        def __enter__(self):
            if engine.opening_fails is not None:
                raise engine.opening_fails
            return self

        def __exit__(self, *exc):
            return None

        @property
        def spent(self):
            return Spent(requests=12, runs_created=3, runs_left=engine.runs_left, seconds=1.25)

        @property
        def unfinished_runs(self):
            return engine.unfinished_runs

        @property
        def possibly_left(self):
            return engine.possibly_left

        def clean_up(self):
            engine.cleaned_up += 1
            if engine.interrupts_cleaning:
                raise KeyboardInterrupt
            return self.count_left()

        def count_left(self):
            if engine.while_cleaning is not None:
                engine.while_cleaning()
            return engine.runs_left

    def check(target, guard, *, rules=None, progress=None, on_finding=None):
        engine.rules.append(rules)
        if progress is not None:
            progress("REQ-COUNT: 1/3")
        engine.stops = [on_finding(each) for each in engine.found_before]
        return engine.judge(target)

    def fuzz(target, guard, *, on_finding, rules=None, progress=None):
        for each in engine.found_before:
            on_finding(each)
        return engine.judge(target)

    def plan(target, rules=None):
        return f"REQ-COUNT: at most 1001 runs on {target.url}"

    def replay(target, guard, *, finding, rules=None, progress=None, on_finding=None):
        engine.replayed = finding
        return engine.judge(target)

    def clean_up_journals(url, *, on_begin, **others):
        on_begin("http://127.0.0.1:9", 3)
        engine.journals.append((url, others))
        return engine.cleaned

    _module(monkeypatch, "contracts.rules", REGISTRY=RULES)
    _module(monkeypatch, "contracts.check", check=check, fuzz=fuzz, require_rules_to_judge=lambda *args: None)
    _module(monkeypatch, "contracts.plan", plan=plan)
    _module(monkeypatch, "contracts.replay", replay=replay)

    def forget_journals(url):
        engine.journals.append((url, "forget"))
        return engine.cleaned

    _module(
        monkeypatch,
        "contracts.guard",
        Guard=FakeGuard,
        clean_up_journals=clean_up_journals,
        forget_journals=forget_journals,
    )
    return engine


def _module(monkeypatch: pytest.MonkeyPatch, name: str, **attributes: object) -> None:
    module = ModuleType(name)
    vars(module).update(attributes)
    monkeypatch.setitem(sys.modules, name, module)
