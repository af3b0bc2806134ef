"""Compares two reads of a run: fields that must stay the same, and statuses that may follow one another."""

import math
import re
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from contracts.core.common_prefix import common_prefix_length
from contracts.core.counting import counted
from contracts.core.statuses import ACTIVE, TERMINAL
from contracts.openapi.schemas import exact_moment_of, resolved, success_schema
from contracts.openapi.strict import fits_field
from contracts.oracle.request import ParsedRequest
from contracts.oracle.violation import Difference, Violation, excerpt
from contracts.oracle.wording import keys_difference, value_in_words

_LATER: Final[Mapping[str, Collection[str]]] = {
    "scheduling": {"running", "running_checks", *TERMINAL},
    "running": {"running_checks", *TERMINAL},
    "running_checks": TERMINAL,
}
"""By status: the statuses that a run can reach from it without a retry, in any number of steps."""
_STAGE: Final = dict.fromkeys(("running", "running_checks"), "at work") | dict.fromkeys(
    TERMINAL - {"cancelled"}, "ended"
)


def input_difference(sent: Any, read: Any, *, may_gain: bool) -> Difference | None:
    """Describe how input_values differ from those sent; None if they are equal. `may_gain` allows further keys."""
    if not sent and not read:
        return None
    if not isinstance(read, dict):
        return Difference(f"input_values {value_in_words(read)} instead of {value_in_words(sent)}")
    if may_gain:
        read = {key: value for key, value in read.items() if key in (sent or {})}
    return difference(sent or {}, read, "input_values")


def difference(expected: Any, got: Any, path: str) -> Difference | None:
    """Describe the first difference between two JSON values, types included; None if they are equal. `path` is the name
    of the whole value.
    """
    found = _first_difference(expected, got)
    if found is None:
        return None
    one, other, place = found
    change = _change_in_words(one, other)
    where = path + _steps_in_words(place)
    return Difference(f"{where} {change}", change if place else _change_of_form(one, other))


def is_same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal, types included: 1, 1.0 and true are not, but 1e16 and 10**16 are."""
    return one is other or _first_difference(one, other) is None


def _first_difference(one: Any, other: Any) -> tuple[Any, Any, Any] | None:
    """Return the first two parts that differ, and their place: None for the whole value, else (the place of the outer
    value, step). `difference` puts it into words; most comparisons only need to know whether there is a difference.
    """
    todo: list[tuple[Any, Any, Any]] = [(one, other, None)]
    while todo:
        one, other, place = found = todo.pop()
        if one is other:
            continue
        if type(one) is not type(other):
            if not _is_same_large_number(one, other):
                return found
        elif isinstance(one, dict):
            if one.keys() != other.keys():
                return found
            todo += [(one[key], other[key], (place, key)) for key in one]
        elif isinstance(one, list):
            if len(one) != len(other):
                return found
            todo += [(a, b, (place, index)) for index, (a, b) in enumerate(zip(one, other, strict=True))]
        elif isinstance(one, float):
            if not _is_same_double(one, other):
                return found
        elif one != other:
            return found
    return None


def _is_same_large_number(one: Any, other: Any) -> bool:
    """Whether an integer and a double are equal, and so large that every double is an integer: 1e16 may come back as
    10000000000000000, as PostgreSQL and JavaScript write it. For 1e23, PostgreSQL writes the decimal number, not the
    double that is nearest to it.
    """
    if {type(one), type(other)} != {int, float} or abs(one) < 2**53:
        return False
    double, integer = (one, other) if type(one) is float else (other, one)
    return bool(double == integer or Decimal(repr(double)) == integer)


def _change_in_words(one: Any, other: Any) -> str:
    if type(one) is not type(other):
        return f"{value_in_words(other)} instead of {value_in_words(one)}"
    if isinstance(one, dict):
        return keys_difference(one, other)
    if isinstance(one, list):
        return f"with {counted(len(other), 'item')} instead of {len(one):,}"
    return _change_of_scalar(one, other)


def _steps_in_words(place: Any) -> str:
    steps: list[str] = []
    while place is not None:
        place, step = place
        steps.append(f"[{step}]" if isinstance(step, int) else f".{excerpt(step, 20)}")
    return "".join(reversed(steps))


def _change_of_form(one: Any, other: Any) -> str:
    """Describe how two texts or numbers differ apart from their digits: one is a moment without its fraction, for
    example. Empty if they do not, and for other values.
    """
    forms = {_DIGITS.sub("0", value_in_words(value)) for value in (one, other) if isinstance(value, str | int | float)}
    return " or ".join(sorted(forms)) if len(forms) == 2 else ""


_DIGITS: Final = re.compile("[0-9]+")


def _is_same_double(one: float, other: float) -> bool:
    """Compare with the sign of zero: -0.0 and 0.0 are two doubles."""
    if one == other:
        return math.copysign(1, one) == math.copysign(1, other)
    return math.isnan(one) and math.isnan(other)


def _change_of_scalar(expected: Any, got: Any) -> str:
    """Describe two different values of one type. For long texts, show the place where they differ."""
    if not isinstance(expected, str) or max(len(expected), len(got)) <= _SHORT:
        return f"{value_in_words(got)} instead of {value_in_words(expected)}"
    if len(expected) != len(got) and (expected.startswith(got) or got.startswith(expected)):
        return f"with {counted(len(got), 'character')} instead of {len(expected):,}"
    start = max(0, common_prefix_length(expected, got) - 5)
    one, other = (value_in_words(text[start : start + 20]) for text in (expected, got))
    lengths = "" if len(expected) == len(got) else f" ({counted(len(got), 'character')} instead of {len(expected):,})"
    return f"{other} instead of {one} at character {start + 1:,}{lengths}"


_SHORT: Final = 60


STABLE: Final = (
    *("id", "workflow_id", "user_id", "organization_id", "input_attachment_ids", "sensitive_input_aliases"),
    *("session_id", "session_alias", "release_session_after", "created_at"),
)
"""Fields that change only by a request. For pool_ids, machine_id and input_values, this depends on the create."""
_MOMENTS: Final = frozenset({"created_at", "started_at", "ended_at"})
PRECISION: Final = timedelta(milliseconds=1)
"""Two answers may show one moment with this difference: a server may store the moments of an update in milliseconds,
and one answer may round up where the other rounds down.
"""


def stable_fields(parsed: ParsedRequest | None) -> tuple[str, ...]:
    """Return the fields of a run created by that request that stay the same until a request changes them."""
    if parsed is None:
        return STABLE
    machine, session = parsed.given("machine_id"), parsed.given("session_id")
    more = ["input_values"]
    if machine is not None and session is None:
        more.append("machine_id")
    if machine is None and session is None:
        more.append("pool_ids")
    return (*STABLE, *more)


def gains_inputs(parsed: ParsedRequest | None) -> bool:
    """Whether the target may add keys of the machine or the pools to input_values."""
    return parsed is not None and (parsed.given("machine_id") is not None or bool(parsed.given("pool_ids")))


def changed_field(
    before: Mapping[str, Any], after: Mapping[str, Any], fields: Iterable[str] = STABLE, *, may_gain: bool = False
) -> tuple[str, str] | None:
    """Return (field, difference in words) for the first of the fields that changed.

    Null, empty and absent count as equal. A field that is absent in `before` is not compared. Neither is a field that
    violates the schema, which is judged with its answer.
    """
    for name in fields:
        if name not in before:
            continue
        one, other = before.get(name), after.get(name)
        if one is other or (one in (None, [], {}) and other in (None, [], {})):
            continue
        if name in _MOMENTS and _is_same_moment(name, one, other):
            continue
        if name == "input_values":
            problem = input_difference(one, other, may_gain=may_gain)
        else:
            problem = difference(one, other, name)
        if problem is not None and all(fits_field("RunResponse", name, run) for run in (before, after)):
            return name, problem
    return None


def item_difference(item: Mapping[str, Any], read: Mapping[str, Any], operation: str) -> tuple[str, str] | None:
    """Return (field, difference in words) for the first field in which a listed item differs from a read of the same
    machine, pool, workflow or attachment. Only documented fields that both show, and that do not change by themselves,
    are compared. `operation` is that of the read.
    """
    documented = resolved(success_schema(operation) or {})["properties"].keys() - _CHANGES_BY_ITSELF
    both = [name for name in item if item[name] is not None and read.get(name) is not None]
    return changed_field(item, read, [name for name in both if name in documented])


_CHANGES_BY_ITSELF: Final = frozenset(
    {
        *("status", "is_available", "reserved_session_id", "last_seen", "version", "os_info", "hostname"),
        *("pools", "machines", "machine_count", "updated_at", "storage_path"),
    }
)


def _is_same_moment(name: str, one: Any, other: Any) -> bool:
    before, after = exact_moment_of(one), exact_moment_of(other)
    if before is None or after is None:
        return False
    return before == after if name == "created_at" else abs(before[0] - after[0]) <= PRECISION


def can_follow(before: str, after: str) -> bool:
    """Return whether a run can get from the first status to the second, in any number of steps and without a retry."""
    return before == after or after in _LATER.get(before, ())


def step_violation(before: str, after: str, rule: str = "LIFECYCLE") -> Violation | None:
    """Return a violation if the second status cannot follow the first.

    The dedup key has stages instead of statuses: on many targets the final status of a run is random, so a case that is
    sent again may show the same fault with another status.
    """
    if can_follow(before, after):
        return None
    dedup_key = f"{rule}: {_STAGE.get(before, before)} to {_STAGE.get(after, after)}"
    got = f"status {value_in_words(after)} after {value_in_words(before)}"
    return Violation(rule, f"{before} to {after}", f"a status that can follow {before}", got, dedup_key)


def status_contradiction(run: Mapping[str, Any]) -> str | None:
    """Describe how error or output_data contradict the status. Only for runs that no request has updated."""
    status, error, output = run.get("status"), run.get("error"), run.get("output_data")
    if status in ACTIVE:
        if error:
            return f"an error while {status}"
        if output:
            return f"output_data while {status}"
    elif status == "success" and error:
        return "an error in a success"
    elif status == "error" and not error:
        return "no error in status error"
    elif status == "task_failed" and not error and not output:
        return "neither error nor output_data in status task_failed"
    return None
