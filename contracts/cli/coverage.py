"""`contracts rules --coverage`: shows what the rules judged, in the check of a report or in a whole check."""

import dataclasses
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import click

from contracts.core.findings import Rule
from contracts.report.coverage import Recorded, coverage_of, render_coverage
from contracts.report.json_reader import read_report
from contracts.report.report import json_text


def print_coverage(path: Path | None, rules: Mapping[str, Rule], *, as_json: bool) -> None:
    """Without `path`, print what a whole check of a healthy server judges, without counts. Raises click.UsageError if
    the report cannot be used.
    """
    recorded = read_report(path).coverage if path is not None else recorded_coverage()
    coverage = list(coverage_of(recorded, {rule.id: rule.value_fields for rule in rules.values()}))
    if as_json:
        click.echo(json_text(list(map(dataclasses.asdict, coverage))), nl=False)
        return
    for line in render_coverage(coverage, has_counts=path is not None):
        click.echo(line)


def recorded_coverage() -> Recorded:
    """Return what `python -m tests.contracts.matrix.coverage` has measured, with 1 as each count."""
    text = files("contracts").joinpath("rules/coverage.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, list[str]]] = json.loads(text)
    return {
        operation: {part: dict.fromkeys(rules, 1) for part, rules in parts.items()}
        for operation, parts in found.items()
    }
