"""The results of calls and cases, and the exceptions that end a case: a violation, or a reason not to judge it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from contracts.core.exchange import Answer, Exchange
from contracts.core.findings import Reason, Remedy
from contracts.guard import NoAnswer, Refused
from contracts.oracle import ParsedRequest, Violation, accepts, answer_in_words
from contracts.oracle.refusal import refuses


@dataclass(eq=False, repr=False)
class RuleViolated(AssertionError):
    """A case has broken a rule. `exchanges` show it (there is at least one); `all_exchanges` are all of the case."""

    violation: Violation
    exchanges: tuple[Exchange, ...]
    all_exchanges: tuple[Exchange, ...] = ()
    placeholders: Mapping[str, Any] = field(default_factory=dict)
    """The placeholders of the case and their values."""
    same_answer: tuple[tuple[str, str], ...] = ()
    """The rules and causes of other violations that the last exchange shows in the same field."""
    concurrent: tuple[tuple[Exchange, ...], ...] = ()
    """Groups of exchanges of the case whose requests were sent at the same moment."""
    is_proof: bool = False
    """Whether one answer proves the violation, so that it counts even if it does not repeat."""
    must_not_repeat: bool = False
    """Whether the violation is reported as it was seen, since every repeat would leave runs behind."""
    is_certain: bool = False
    """Whether a violation with `must_not_repeat` counts as stable."""

    def __str__(self) -> str:
        return f"{self.rule}: expected {self.violation.expected}, got {self.violation.got}"

    @property
    def rule(self) -> str:
        return self.violation.rule

    @property
    def cause(self) -> str:
        return self.violation.cause

    @property
    def dedup_key(self) -> str:
        return self.violation.dedup_key


class Inconclusive(Exception):
    """A case that cannot be judged on this target; the message says why, and `remedy` what a user can do about it."""

    def __init__(self, message: str, remedy: Remedy | None = None) -> None:
        super().__init__(message)
        self.remedy = remedy


def assume(holds: object, reason: str) -> None:
    """Raises Inconclusive with the reason unless the condition holds."""
    if not holds:
        raise Inconclusive(reason)


class OutOfTime(Exception):
    """The time of the check is over."""


@dataclass(frozen=True)
class Attempt:
    """The exchanges of one attempt at a case, and the values of its placeholders."""

    exchanges: Sequence[Exchange]
    placeholders: Mapping[str, Any] = field(default_factory=dict)
    violated: RuleViolated | None = None
    passed: bool = False
    """Whether it came to its end and showed no violation."""


INTERNAL_ERRORS: Final = (
    *(LookupError, ArithmeticError, TypeError, AttributeError, ValueError, UnboundLocalError),
    StopIteration,
    RecursionError,  # JSON that can be parsed may be nested too deeply for a recursive function
)
"""Errors of a scenario that does not find what it expects: after a broken rule, or in a case that was shrunk."""
NOT_JUDGED: Final = (Inconclusive, Refused, NoAnswer, *INTERNAL_ERRORS)
"""The exceptions that end a case without a judgement, apart from OutOfTime."""


def why_not_judged(error: Exception) -> Reason:
    """Return the reason of one of NOT_JUDGED."""
    if isinstance(error, Inconclusive | Refused):
        return Reason(str(error), error.remedy)
    return Reason(
        f"no answer: {error}" if isinstance(error, NoAnswer) else f"internal error after this answer: {error!r}"
    )


@dataclass(frozen=True, slots=True)
class CallResult:
    """An exchange, its operation and the decoded answer; `body` is None if the answer is empty or not JSON."""

    operation: str | None
    exchange: Exchange
    body: Any = None

    @classmethod
    def of(cls, operation: str | None, exchange: Exchange) -> Self:
        return cls(operation, exchange, exchange.answer.json_or_none() if exchange.answer.body else None)

    @property
    def answer(self) -> Answer:
        return self.exchange.answer

    @property
    def status(self) -> int:
        return self.exchange.answer.status

    @property
    def accepted(self) -> bool:
        return accepts(self.exchange.answer)

    @property
    def refused(self) -> bool:
        return refuses(self.exchange.answer)

    @property
    def words(self) -> str:
        return answer_in_words(self.answer)

    @property
    def resource(self) -> dict[str, Any] | None:
        """The JSON object of an accepted answer; None if it is not accepted or shows none."""
        return self.body if self.accepted and isinstance(self.body, dict) else None

    def shown(self, field: str) -> Any:
        """Return the value of a field of the resource; None if the answer shows no resource, or not this field."""
        return None if self.resource is None else self.resource.get(field)


Evidence = Sequence[CallResult | Exchange]
"""The exchanges that a finding shows."""


@dataclass(frozen=True, slots=True)
class WriteResult:
    """A judged write. `runs_are_reliable` is true if the answer keeps the contract, so that a case can use its runs."""

    parsed: ParsedRequest
    result: CallResult
    runs: tuple[dict[str, Any], ...]
    runs_are_reliable: bool

    @property
    def ids(self) -> list[str]:
        return [run["id"] for run in self.runs]
