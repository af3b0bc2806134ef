"""Turns a violation into a finding: with a summary, the most similar request that works, and a guess at the cause."""

from collections.abc import Sequence
from typing import Final

from contracts.core.exchange import Exchange
from contracts.core.findings import Finding
from contracts.engine.guess import guess
from contracts.engine.neighbour import ABSENT, Neighbour, also_failing, neighbours
from contracts.engine.results import Attempt, RuleViolated
from contracts.engine.summary import commands_note_of, exchange_in_words, request_in_words, shorten_ids, summary_of
from contracts.oracle import accepts

_MOST_DIFFERENCES: Final = 2
"""An attempt that differs in more places is not shown: its request says nothing about the one that fails."""


def finding_of(
    violated: RuleViolated,
    exchanges: tuple[Exchange, ...],
    passed: Sequence[Attempt] = (),
    failed: Sequence[Attempt] = (),
    *,
    recorded: Sequence[Exchange] = (),
    secrets: Sequence[bytes] = (),
    cause_in_words: str = "",
    stable: bool,
    intermittent: bool,
) -> Finding:
    """`exchanges` reproduce the violation, and `recorded` are the last ones of the check. `passed` are the attempts at
    smaller cases that showed no violation, and `failed` other attempts that showed it; they are used only if the
    violation is stable. `secrets` are the forms of sensitive values. A neighbour with one of them is left out, since a
    report masks only the values in the finding's exchanges. Without `cause_in_words`, the most similar of `passed`
    gives a guess at the cause.
    """
    judged = violated.exchanges[-1]
    failing = failing_part(violated)
    near = neighbours(failing, passed) if stable and not cause_in_words else []
    why = cause_in_words or guess(near, also_failing(failing, failed))
    # If only bodies without the field passed, its other values are unknown. The summary then leaves out the guess, also
    # if the guess only names the field. The finding keeps it, since findings with equal guesses show one fault.
    is_said = not _lack_the_field(near, violated) and why != f"only with {violated.violation.field}?"
    said = why if is_said else ""
    shown = (_in_words(one) for one in near if len(one.differences) <= _MOST_DIFFERENCES)
    violation = violated.violation
    expected, got = shorten_ids([violation.expected, violation.got])
    shown_until = exchanges_until(judged, exchanges)
    return Finding(
        violation.rule,
        violation.cause,
        expected,
        got,
        exchanges,
        stable=stable,
        intermittent=intermittent,
        summary=summary_of(
            violation.expected, violation.got, shown_until, said, violated.concurrent, recorded, violation.field
        ),
        commands_note=commands_note_of(exchanges, violated.concurrent),
        neighbour=next((words for words in shown if not any(form in words.encode() for form in secrets)), ""),
        guess=why,
        field=violation.field,
        change=violation.change,
        same_answer=violated.same_answer,
        dedup_key=violation.dedup_key,
    )


def _in_words(neighbour: Neighbour) -> str:
    words = exchange_in_words(neighbour.judged)
    if neighbour.exchange is neighbour.judged:
        return words
    return shorten_ids([f"{words}, after {request_in_words(neighbour.exchange.request)}"])[0]


def _lack_the_field(near: Sequence[Neighbour], violated: RuleViolated) -> bool:
    """Return whether the attempts that passed only lack the field that is wrong, or a part of it that is invalid."""
    field, is_accepted = violated.violation.field, accepts(violated.exchanges[-1].answer)
    is_invalid_value = is_accepted and violated.rule.startswith("REQ-")
    compared = [one.differences[0] for one in near if len(one.differences) == 1]
    lacking = [one for one in compared if one.other in (ABSENT, None) and (is_invalid_value or one.place == field)]
    return field != "" and bool(compared) and len(lacking) == len(compared)


def failing_part(violated: RuleViolated) -> Attempt:
    """Return the attempt up to the judged request: later ones may explain why it fails."""
    exchanges = exchanges_until(violated.exchanges[-1], violated.all_exchanges)
    return Attempt(exchanges, violated.placeholders, violated)


def exchanges_until(judged: Exchange, exchanges: Sequence[Exchange]) -> Sequence[Exchange]:
    """Return the exchanges up to the judged one; all if it is not among them."""
    end = next((number for number, one in enumerate(exchanges, 1) if one is judged), None)
    return exchanges[:end]
