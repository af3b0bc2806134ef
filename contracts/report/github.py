"""Annotations for GitHub Actions: workflow commands that show the findings on the page of the run."""

from collections.abc import Iterator
from typing import Final

from contracts.core.counting import counted
from contracts.core.printable import printable
from contracts.report.report import Report

MAX_ANNOTATIONS: Final = 10
"""GitHub shows no more errors of one step."""


def annotation_lines(report: Report) -> Iterator[str]:
    """Yield the lines for the findings, the first ones of the report; the last line counts the others."""
    findings = report.main_findings
    for finding in findings[:MAX_ANNOTATIONS]:
        title = f"{finding.rule} ({report.severity_of(finding.rule)}): {report.title_of(finding.rule)}"
        text = f"{finding.sentence} (fingerprint {finding.fingerprint})"
        yield f"::error title={_message(title).replace(':', '%3A').replace(',', '%2C')}::{_message(text)}"
    more = len(findings) - MAX_ANNOTATIONS
    if more > 0:
        found = counted(more, "more finding", "is", "are")
        yield f"::notice title=contracts::{found} in the log and the reports"


def _message(text: str) -> str:
    """Escape control characters, then `%` as GitHub's toolkit does."""
    return printable(text).replace("%", "%25")
