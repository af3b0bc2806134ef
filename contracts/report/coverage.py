"""Shows which rules judge each part of each operation, and which parts no rule judges."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import click

from contracts.core.findings import EVERY_FIELD
from contracts.openapi.fields import parts_of
from contracts.openapi.schemas import operations

Recorded = Mapping[str, Mapping[str, Mapping[str, int]]]
"""operationId → part → rule → count, as a JSON report has it."""

_LISTS: Final = ("created_runs[].", "items[].")


@dataclass(frozen=True, slots=True)
class PartCoverage:
    """`rules` judge the part; for a field of an answer they judge its value, and `form_rules` its schema."""

    operation: str
    part: str
    rules: Mapping[str, int]
    form_rules: Mapping[str, int]

    @property
    def is_checked(self) -> bool:
        return bool(self.rules or self.form_rules)

    @property
    def is_form_only(self) -> bool:
        return not self.rules and bool(self.form_rules)


def coverage_of(recorded: Recorded, value_fields: Mapping[str, Sequence[str]]) -> Iterator[PartCoverage]:
    """Yield every part of every operation of the document, and the undocumented statuses that answers had.
    `value_fields` are the fields of answers whose values a rule judges.
    """
    for operation in operations():
        found = recorded.get(operation, {})
        success = [rules for part, rules in found.items() if part.startswith("status 2")]
        parts = dict.fromkeys((*parts_of(operation), *found))
        statuses = sorted(part for part in parts if part.startswith("status "))
        for part in (*statuses, *(part for part in parts if part not in statuses)):
            rules = found.get(part, {})
            if not part.startswith("answer "):
                yield PartCoverage(operation, part, rules, {})
                continue
            values = {
                rule: sum(counts.get(rule, 0) for counts in success)
                for rule, fields in value_fields.items()
                if rules and (_field_of(part) in fields or EVERY_FIELD in fields)
            }
            yield PartCoverage(operation, part, {rule: count for rule, count in values.items() if count}, rules)


def _field_of(part: str) -> str:
    """The name of a field of a run or of an answer itself; a field of a resource within a run has its path."""
    path = part.removeprefix("answer ")
    for prefix in _LISTS:
        path = path.removeprefix(prefix)
    return path


def render_coverage(coverage: Sequence[PartCoverage], *, has_counts: bool) -> Iterator[str]:
    """Yield the lines: parts that no rule judges, fields for which only the schema is judged, and all parts."""
    yield from _section(
        "Not checked (no rule judges the field or parameter; no answer had the status)",
        [one for one in coverage if not one.is_checked],
        "Every status, parameter and field of the document is checked.",
    )
    yield from _section(
        "Checked by schema only: no rule judges the value",
        [one for one in coverage if one.is_form_only],
        "The value of every field is judged.",
    )
    yield click.style("All parts, and the rules that judge them", bold=True)
    operation = ""
    width = max((len(one.part) for one in coverage), default=0)
    for one in coverage:
        if one.operation != operation:
            operation = one.operation
            yield operation
        words = _rules(one.rules, has_counts) or ("schema only" if one.is_form_only else "")
        shown = words or click.style("not checked", fg="yellow")
        yield f"  {one.part:<{width}}  {shown}"
    checked = sum(one.is_checked for one in coverage)
    yield ""
    yield f"{checked} of {len(coverage)} parts are checked."


def _section(title: str, parts: Sequence[PartCoverage], otherwise: str) -> Iterator[str]:
    yield click.style(f"{title}: {len(parts)}" if parts else otherwise, bold=True)
    by_operation: dict[str, list[str]] = {}
    for one in parts:
        by_operation.setdefault(one.operation, []).append(one.part)
    for operation, names in by_operation.items():
        yield f"  {operation}: {', '.join(names)}"
    yield ""


def _rules(rules: Mapping[str, int], has_counts: bool) -> str:
    most_first = sorted(rules.items(), key=lambda item: -item[1])
    return ", ".join(f"{rule} {count:,}" if has_counts else rule for rule, count in most_first)
