"""The Markdown report: a short summary, for the page of a CI job (`$GITHUB_STEP_SUMMARY`) or a pull request."""

import re
import shlex
from collections import Counter
from collections.abc import Iterator
from typing import Final

from contracts.core.counting import counted
from contracts.core.findings import Finding
from contracts.core.printable import printable
from contracts.report.report import Report, unstable_heading
from contracts.report.text import plain_finding

_MAX_FINDING_LENGTH: Final = 20_000
"""Pages of CI jobs take 1 MiB in all."""
_MAX_LINE_LENGTH: Final = 600


def render_markdown(report: Report) -> str:
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    result = report.result
    verdict = result.verdict.replace("_", " ").capitalize()
    yield f"## {verdict}{report.count_in_words}: contract of {_code(result.target)}"
    yield ""
    count = Counter(rule.status_in_words for rule in result.rules)
    counts = ", ".join(f"{number} {status}" for status, number in count.items())
    yield f"Rules: {counts or 'none was judged'}"
    yield result.spent.in_words
    yield f"Repeat with {_code(f'--seed {result.seed} --salt {shlex.quote(result.salt)}')}"
    yield ""
    for reason in report.failed_by:
        yield f"- **{_code(reason)}**"
    yield from (f"- {_code(note)}" for note in (*report.accepted, *result.notes))
    for number, finding in enumerate(report.main_findings, 1):
        yield from _finding(f"{number}. {finding.rule} ({report.severity_of(finding.rule)})", finding, report)
    for finding in result.unstable:
        yield from _finding(f"{unstable_heading(finding)}: {finding.rule}", finding, report)
    if result.findings or result.unstable:
        yield from ("", *report.hints)
    yield from _not_passed(report)


def _finding(heading: str, finding: Finding, report: Report) -> Iterator[str]:
    lines = [finding.first_line] if finding.summary else [f"expected {finding.expected}", f"got {finding.got}"]
    lines += [f"works: {finding.neighbour}"] if finding.neighbour else []
    lines += [f"also seen: {', '.join(finding.also_seen)}"] if finding.also_seen else []
    yield from ("", f"### {heading}", "", *(line for one in lines for line in (_code(one), "")))
    text = plain_finding(finding, report).strip("\n")
    if len(text) > _MAX_FINDING_LENGTH:
        text = text[:_MAX_FINDING_LENGTH] + "\n… (the JSON report has all of it)"
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    yield f"<details><summary>Fingerprint and commands: {counted(len(finding.exchanges), 'request')}</summary>"
    yield from ("", fence, text, fence, "", "</details>")


def _not_passed(report: Report) -> Iterator[str]:
    others = [rule for rule in report.result.rules if not rule.was_judged]
    if others:
        yield from ("", "| rule | | why |", "|---|---|---|")
    for rule in others:
        yield f"| {rule.id} | {rule.status_in_words} | {_code(rule.why)} |"


def _code(text: str) -> str:
    """Return a text of one line as a code span, in which nothing but a bar of a table has a meaning."""
    shown = " ".join(printable(text).split()).replace("|", "¦")
    if len(shown) > _MAX_LINE_LENGTH:
        shown = f"{shown[: _MAX_LINE_LENGTH - 1]}…"
    if not shown:
        return ""
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    return f"{fence} {shown} {fence}" if shown.startswith("`") or shown.endswith("`") else f"{fence}{shown}{fence}"
