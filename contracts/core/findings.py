"""The rules, and the result of a check: findings, a status for each rule, and the cost.

The runner sends the case of a violation again. What it then saw decides about the finding:

    finding        the violation                                               stable   intermittent   fails
    stable         repeated when its case was sent again alone,                yes      no             yes
                   or must not be repeated and is certain
    intermittent   did not repeat alone, but one answer proves it, or it       no       yes            yes
                   repeated while other cases ran at the same time
    unstable       neither: it may depend on the state of the target           no       no             no

The scenario or the guard says it of a `RuleViolated` (`engine/results.py`): `is_proof` (one answer proves it),
`must_not_repeat` (a repeat would leave runs behind) and, of such a violation, `is_certain`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, NamedTuple

from contracts.core.counting import counted
from contracts.core.exchange import Exchange

RuleStatus = Literal["passed", "failed", "skipped", "not_offered"]
VerdictName = Literal["passed", "failed", "incomplete", "could_not_check"]
Severity = Literal["critical", "major", "moderate", "minor"]

SEVERITIES: Final[dict[Severity, str]] = {
    "critical": "runs are lost or created unasked, or a secret or another organisation's data is exposed",
    "major": "stored or returned data is wrong, or the server fails",
    "moderate": "a valid request is refused, or an invalid one accepted",
    "minor": "the form of an answer is wrong: its status, headers or schema",
}
"""What a violation of each severity means, the most severe first."""


EVERY_FIELD: Final = "*"
"""In `Rule.value_fields`: the rule compares whole answers."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`source` is `doc` for what the reference page of the bulk create states, and `api` for other public facts about
    the API. `needs` are the operations without which the rule cannot be judged; of `needs_one_of` one is enough.
    """

    id: str
    source: Literal["doc", "api"]
    severity: Severity
    title: str
    explanation: str
    group: str
    needs: tuple[str, ...] = ()
    needs_one_of: tuple[str, ...] = ()
    needs_second_token: bool = False
    """Whether only requests of two organisations can judge it."""
    value_fields: tuple[str, ...] = ()
    """The fields of an answer whose values the rule judges, beyond their schema (`contracts rules --coverage` shows
    them). A field of a run counts in every answer that shows a run, and in lists of runs.
    """


class Remedy(StrEnum):
    """What a user can do about a rule that was skipped (`report/next_step.py` has the words)."""

    ALLOW_WRITES = "allow_writes"
    LARGER_BUDGET = "larger_budget"
    MORE_REQUESTS = "more_requests"
    ALLOW_FIELDS = "allow_fields"
    SECOND_TOKEN = "second_token"
    LOWER_RATE = "lower_rate"


class Reason(NamedTuple):
    """Why something was not judged, in words, and what a user can do about it, if it is one of `Remedy`."""

    text: str
    remedy: Remedy | None = None


class CouldNotCheck(Exception):
    """The check is impossible: no answer, no create that succeeds, a wrong token. The message is one line."""


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A case that shows a finding, as JSON text, and the name of its scenario. `beside` are cases that ran at the same
    time, if the finding showed only then.
    """

    scenario: str
    case: str
    beside: tuple[Reproduction, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """`cause` is a short stable text (no ids, no random values) that distinguishes the causes of one rule.

    `stable` says that it was reproduced, or is certain without that. `seen` and `judged` are how often the violation
    was seen, and how often its rule was judged, in the whole check.
    """

    rule: str
    cause: str
    expected: str
    got: str
    exchanges: tuple[Exchange, ...]
    stable: bool = True
    intermittent: bool = False
    """Whether it fails the check though it did not repeat alone: a single answer proves it, or it repeated when other
    requests were sent at the same time.
    """
    not_sent_again: str = ""
    """Why it was not sent again alone; empty if it was."""
    seen: int = 1
    judged: int = 0
    summary: str = ""
    """What was found, in one sentence: the request, the answer, and what was expected."""
    commands_note: str = ""
    """How the requests must be sent, if not one after the other."""
    neighbour: str = ""
    """The most similar request that was answered correctly, and its answer, in words; empty if none was tried."""
    guess: str = ""
    """A guess at the cause, which follows from requests that were answered correctly. The summary ends with it."""
    field: str = ""
    """The wrong field of the resource; empty if not exactly one field is wrong."""
    change: str = ""
    """What changed in a part of the field, or in its form; empty if it is not known."""
    same_answer: tuple[tuple[str, str], ...] = ()
    """The rules and causes of other violations that the same answer shows in the same field."""
    also_seen: tuple[str, ...] = ()
    """Where else the same fault was seen: "RULE on METHOD PATH" for each finding that is part of this one."""
    part_of: str = ""
    """The fingerprint of the main finding of the same fault; empty if this is the main one."""
    dedup_key: str = ""
    reproductions: tuple[Reproduction, ...] = ()
    """What `contracts replay` sends again, judged by the violation with that key; the smallest case first."""

    @property
    def sentence(self) -> str:
        return self.first_line or self.expected_and_got

    @property
    def first_line(self) -> str:
        """The summary, and how often the violation was seen if it did not repeat; empty without a summary."""
        if not self.summary or not self.intermittent or self.not_sent_again:
            return self.summary
        others = ", while other requests were answered" if any(one.beside for one in self.reproductions) else ""
        return f"{self.summary} ({self._times}{others})"

    @property
    def _times(self) -> str:
        times = f"{self.seen:,} of {self.judged:,}" if self.judged >= self.seen else f"{self.seen:,}"
        return f"{times} {'time' if times == '1' else 'times'}"

    @property
    def command_hints(self) -> tuple[str, ...]:
        """What to know before the commands are run."""
        alone = ""
        if self.intermittent and not self.not_sent_again:
            alone = "Sent again alone, they did not show it: send them many times, while other requests are answered."
        return tuple(filter(None, (self.commands_note, alone)))

    @property
    def expected_and_got(self) -> str:
        return f"expected {self.expected}, got {self.got}"

    @property
    def frequency(self) -> str:
        """How often an intermittent violation was seen, in words; empty for others."""
        if not self.intermittent:
            return ""
        why = self.not_sent_again
        again = f"not sent again: {why}" if why else "not seen when it was sent again alone"
        return f"seen {self._times}; {again}"

    @property
    def details(self) -> dict[str, str]:
        """What else is known of the finding, in words by name: only what is known."""
        found = {"works": self.neighbour, "also seen": ", ".join(self.also_seen), "intermittent": self.frequency}
        return {name: words for name, words in found.items() if words}

    @property
    def fails(self) -> bool:
        """Whether the finding fails the check; if not, it is unstable."""
        return self.stable or self.intermittent

    @property
    def fingerprint(self) -> str:
        """The key of a baseline entry: the same for the same rule and cause in every check."""
        return fingerprint_of(self.rule, self.cause)


def fingerprint_of(rule: str, cause: str) -> str:
    return hashlib.sha256(f"{rule}\n{cause}".encode(errors="surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class RuleResult:
    id: str
    status: RuleStatus
    why: str
    remedy: Remedy | None = None

    @property
    def status_in_words(self) -> str:
        return self.status.replace("_", " ")

    @property
    def was_judged(self) -> bool:
        return self.status in {"passed", "failed"}

    @property
    def makes_incomplete(self) -> bool:
        """Whether this result makes the check incomplete. HTTP-LIMIT never does: a target may have no rate limit."""
        return self.status == "skipped" and self.id != "HTTP-LIMIT"


@dataclass(frozen=True, slots=True)
class ScenarioProgress:
    """How many cases of a scenario were tried. `planned` does not count generated cases. After an interruption, it
    counts only those that were tried.
    """

    scenario: str
    done: int
    planned: int
    finished: bool

    @property
    def cases(self) -> str:
        """How far a scenario has come that is not finished. Only generated cases are left if all others were tried."""
        return f"{self.done} of {self.planned} cases" if self.done < self.planned else f"{self.done} cases so far"


@dataclass(frozen=True, slots=True)
class Spent:
    """`runs_left` is None if the number of runs that were not cleaned up is unknown."""

    requests: int
    runs_created: int
    runs_left: int | None
    seconds: float
    throttled: int = 0
    """How many requests were answered with 429. Each was sent again after a wait, so many of them make a check slow."""

    @property
    def sent(self) -> str:
        throttled = f" ({self.throttled:,} answered 429)" if self.throttled else ""
        return f"{counted(self.requests, 'request')}{throttled}, {counted(self.runs_created, 'run')} created"

    @property
    def in_words(self) -> str:
        left = "an unknown number left" if self.runs_left is None else f"{self.runs_left:,} left"
        return f"{self.sent}, {left}, {self.seconds:.1f} s"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The verdict of a check, its findings and its cost.

    `findings` were reproduced, or are certain without that, or intermittent; `unstable` were not reproduced;
    `baselined` are accepted by the baseline.
    """

    target: str
    seed: int
    verdict: VerdictName
    rules: tuple[RuleResult, ...]
    findings: tuple[Finding, ...]
    spent: Spent
    unstable: tuple[Finding, ...] = ()
    baselined: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    salt: str = ""
    scenarios: tuple[ScenarioProgress, ...] = ()
    coverage: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)
    """How often each rule was judged: operationId → part of the request or answer → rule → count."""
    is_partial: bool = False
    """Whether not everything was tried, or an error of the suite may have hidden a violation. It makes the check
    incomplete, also if a baseline accepts all findings.
    """
    was_interrupted: bool = False
    had_enough_findings: bool = False
    """Whether the check ended early because of `--max-findings`."""
    needs_cleanup: bool = False
    """Whether runs are left that the check should have deleted."""

    @property
    def judged_nothing(self) -> bool:
        """Whether there are rules, and none was judged."""
        return bool(self.rules) and not any(rule.was_judged for rule in self.rules)


class CheckInterrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM ended the check. `result` is what it has judged until then."""

    def __init__(self, result: CheckResult) -> None:
        super().__init__()
        self.result = result
