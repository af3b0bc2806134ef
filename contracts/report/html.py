"""The HTML report: one file that needs no network and no colour vision. Its script searches and copies commands; the
page's policy allows it by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from html import escape
from http import HTTPStatus
from importlib.resources import files
from typing import Final
from urllib.parse import unquote_plus

from contracts.core.counting import counted
from contracts.core.exchange import Exchange, Headers
from contracts.core.findings import Finding, RuleResult, RuleStatus
from contracts.core.printable import printable
from contracts.report.report import Report, common_unstable_heading, project_version, shortened

_VERDICTS: Final = {
    "passed": "Passed: nothing found",
    "failed": "Failed",
    "incomplete": "Incomplete: nothing found, but not every rule was judged in full",
    "could_not_check": "Could not check",
}
_SEARCH: Final = (
    '<form id="search" hidden><label>Search findings and rules <input type="search"></label> <output></output></form>'
)
"""Hidden without the script that it needs."""
_COMMAND: Final = re.compile("`([^`]+)`")
_STATUSES: Final[tuple[RuleStatus, ...]] = ("failed", "skipped", "not_offered", "passed")
_MAX_LINES: Final = 120
"""Lines of a body that are shown; of a longer one, the ends and what is near the marked lines."""
_MAX_LINE: Final = 600
_NEAR: Final = 3
_MAX_MARKED: Final = 12

_FIELD: Final = re.compile(r"[a-z]+(?:_[a-z]+)+")
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)+"')
_ID: Final = re.compile(r"\b[0-9a-f]{8}(?=-[0-9a-f]{4}-|…)")
_MEMBER: Final = re.compile(r'\s*("(?:[^"\\]|\\.)*"): ')


def render_html(report: Report) -> str:
    verdict = _VERDICTS[report.result.verdict]
    if report.result.verdict == "passed" and report.result.baselined:
        verdict = "Passed: nothing new"
    unstable, style, script = report.result.unstable, _file("page.css"), _file("page.js")
    policy = f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(verdict)} – contract of {_text(report.result.target)}</title>",
        f"<style>{style}</style>\n</head>\n<body>",
        *_header(report, verdict),
        "<main>",
        *_groups(report),
        _SEARCH,
        *_findings("Findings", report.main_findings, report, explains=True),
        *_findings(common_unstable_heading(unstable), unstable, report, explains=not report.result.findings),
        *_findings("Accepted by the baseline", report.result.baselined, report),
        *_rules(report.result.rules, report),
        f"</main>\n<script>{script}</script>\n</body>\n</html>\n",
    ]
    return "\n".join(parts)


def _header(report: Report, verdict: str) -> Iterator[str]:
    result, spent = report.result, report.result.spent
    left = "unknown" if spent.runs_left is None else f"{spent.runs_left:,}"
    facts = {
        _noun("finding", len(report.main_findings)): f"{len(report.main_findings):,}",
        _noun("rule", len(result.rules)): f"{len(result.rules):,}",
        _noun("request", spent.requests): f"{spent.requests:,}",
        f"{_noun('run', spent.runs_created)} created": f"{spent.runs_created:,}",
        f"{_noun('run', spent.runs_left or 0)} left": left,
        "seconds": f"{spent.seconds:.1f}",
    }
    yield f"<header>\n<h1>Contract of {_text(result.target)}</h1>"
    yield f'<p class="verdict {result.verdict}">{escape(verdict)}{report.count_in_words}</p>'
    yield from (f"<p><strong>{_text(reason)}</strong></p>" for reason in report.failed_by)
    items = "".join(f"<li><strong>{value}</strong>{name}</li>" for name, value in facts.items())
    yield f'<ul class="facts">{items}</ul>'
    yield (
        f"<p>{escape(report.started_at.strftime('%Y-%m-%d %H:%M:%S %Z'))}, version {escape(project_version())}. Repeat"
        f" with <code>--seed {result.seed} --salt {_text(shlex.quote(result.salt))}</code>.</p>"
    )
    yield from (f"<p>{_with_code(note)}</p>" for note in result.notes)
    yield "</header>"


def _noun(singular: str, number: int) -> str:
    return singular if number == 1 else f"{singular}s"


def _groups(report: Report) -> Iterator[str]:
    """A bar for each group of rules, with the same in words."""
    counts = report.counts_by_group
    if not counts:
        return
    yield '<section>\n<h2>Rules by group</h2>\n<ul class="groups">'
    for group, count in counts.items():
        words = ", ".join(f"{count[status]} {status.replace('_', ' ')}" for status in _STATUSES if count[status])
        yield f'<li><span>{escape(group)}</span>{_bar(count)}<span class="counts">{escape(words)}</span></li>'
    yield "</ul>\n</section>"


def _bar(count: Counter[RuleStatus]) -> str:
    parts, start = [], 0
    for status in _STATUSES:
        if count[status]:
            parts.append(f'<rect class="{status}" x="{start}" width="{count[status]}" height="1"/>')
            start += count[status]
    return (
        f'<svg class="bar" viewBox="0 0 {start} 1" preserveAspectRatio="none" aria-hidden="true">{"".join(parts)}</svg>'
    )


def _findings(heading: str, findings: Iterable[Finding], report: Report, *, explains: bool = False) -> list[str]:
    shown = [_finding(finding, report, is_open=explains and not number) for number, finding in enumerate(findings)]
    if not shown:
        return []
    explanation = [f"<p>{escape(' '.join(report.hints))}</p>"] if explains else []
    return ["<section>", f"<h2>{escape(heading)}</h2>", *explanation, *shown, "</section>"]


def _finding(finding: Finding, report: Report, *, is_open: bool) -> str:
    severity = report.severity_of(finding.rule)
    parts = [
        f'<details class="finding"{" open" if is_open else ""}>',
        f'<summary><span class="severity {severity}">{severity}</span> <h3>{escape(finding.rule)}</h3>'
        f" {_text(finding.first_line or report.title_of(finding.rule))}</summary>\n<div>",
        "<dl>",
        f"<dt>Rule</dt><dd>{escape(report.title_of(finding.rule))}</dd>",
        f"<dt>Expected</dt><dd>{_text(finding.expected)}</dd>",
        f"<dt>Got</dt><dd>{_text(finding.got)}</dd>",
        *(f"<dt>{name.capitalize()}</dt><dd>{_text(words)}</dd>" for name, words in finding.details.items()),
        f"<dt>Fingerprint</dt><dd><code>{finding.fingerprint}</code></dd>",
        "</dl>",
    ]
    places = _Places(finding.cause, finding.expected, finding.got)
    for number, exchange in enumerate(finding.exchanges, 1):
        is_last = number == len(finding.exchanges)
        parts.append(_exchange(number, exchange, places if is_last else _NO_PLACES, is_open=is_last))
    if finding.exchanges:
        commands = "\n".join(report.commands(finding))
        notes = "".join(f"<p>{escape(note)}</p>" for note in finding.command_hints)
        parts.append(
            f'<details class="commands"><summary>Commands that repeat it</summary>{notes}'
            f'<pre tabindex="0" aria-label="Commands that repeat it">{escape(commands)}</pre></details>'
        )
    return "\n".join([*parts, "</div>\n</details>"])


def _exchange(number: int, exchange: Exchange, places: _Places, *, is_open: bool) -> str:
    """A request next to its answer, with the places marked."""
    request, answer = exchange.request, exchange.answer
    line = printable(f"{request.method} {request.path[:200]}")
    status = str(answer.status) if answer.status else f"no answer: {answer.lost}"
    target = (f"{request.method} {request.path}", places.names_target(request.path))
    sent = _message(target, request.headers, request.body or b"", places)
    first = (status, places.names_status(answer.status))
    received = _message(first, answer.headers, answer.body, places)
    return "\n".join(
        [
            f'<details class="exchange"{" open" if is_open else ""}>'
            f"<summary>Request {number}: <code>{escape(line)}</code> → {_text(status)}</summary>",
            '<div class="pair">',
            f'<div><h4>Request</h4><pre tabindex="0" aria-label="Request {number}">{sent}</pre></div>',
            f'<div><h4>Answer</h4><pre tabindex="0" aria-label="Answer {number}">{received}</pre></div>',
            "</div></details>",
        ]
    )


def _message(first: tuple[str, bool], headers: Headers, body: bytes, places: _Places) -> str:
    lines = [first]
    lines += [(f"{name}: {value}", places.names_header(name)) for name, value in headers]
    lines.append(("", False))
    if body:
        lines += _body_lines(body, places)
    return "\n".join(_marked(_text(line)) if is_marked else _text(line) for line, is_marked in lines)


def _marked(line: str) -> str:
    text = line.lstrip(" ")
    return f"{' ' * (len(line) - len(text))}<mark>{text}</mark>"


def _rules(rules: Iterable[RuleResult], report: Report) -> list[str]:
    rows = [
        f'<tr><th scope="row">{_explained(rule.id, report)}</th>'
        f'<td class="status {rule.status}">{rule.status_in_words}</td>'
        f"<td>{_text(rule.why)}</td></tr>"
        for rule in sorted(rules, key=lambda rule: _STATUSES.index(rule.status))
    ]
    if not rows:
        return []
    return [
        "<section>\n<h2>Rules</h2>\n<table>\n<caption>Each rule, whether it was kept, and why.</caption>",
        '<thead><tr><th scope="col">Rule</th><th scope="col">Status</th><th scope="col">Why</th></tr></thead>\n<tbody>',
        *rows,
        "</tbody>\n</table>\n</section>",
    ]


def _explained(rule: str, report: Report) -> str:
    if rule not in report.rules:
        return escape(rule)
    text = report.rules[rule]
    return (
        f"<details><summary>{escape(rule)}: {escape(text.title)}</summary>"
        f"<p>Severity: {text.severity}. {escape(text.explanation)}</p></details>"
    )


def _with_code(note: str) -> str:
    return _COMMAND.sub(r"<code>\1</code>", _text(note))


def _text(text: str) -> str:
    return escape(printable(text))


@cache
def _file(name: str) -> str:
    return files("contracts.report").joinpath(name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


class _Places:
    """The fields, values and ids that the texts of a finding name."""

    def __init__(self, cause: str, expected: str, got: str) -> None:
        self._got = got
        self._text = f"{cause} {expected} {got}"
        self._fields = {f'"{name}"' for name in _FIELD.findall(self._text.lower())}
        # The word "Server" in "500 Internal Server Error" does not name the header.
        for status in HTTPStatus:
            self._text = self._text.replace(f"{status.value} {status.phrase}", str(status.value))
        self._values = [*_QUOTED.findall(f"{expected} {got}"), *_ID.findall(got)]

    def names_status(self, status: int) -> bool:
        return re.search(rf"\b{status}\b", self._got) is not None

    def names_target(self, path: str) -> bool:
        """Return whether the query has a value that the finding names."""
        query = unquote_plus(path.partition("?")[2])
        return any(value.strip('"') in query for value in self._values)

    def names_header(self, name: str) -> bool:
        if "-" not in name:  # "date" is also an ordinary word
            return (
                re.search(rf"\b{re.escape(name.title())}\b|\bheader {re.escape(name.lower())}\b", self._text)
                is not None
            )
        words = re.escape(name.lower()).replace(r"\-", "[- ]")
        return re.search(rf"\b{words}\b", self._text, re.IGNORECASE) is not None

    def names_line(self, line: str) -> bool:
        """Return whether a line of an indented JSON body has a member or a value that the finding names."""
        member = _MEMBER.match(line)
        if member is not None and member[1] in self._fields:
            return True
        value = line[member.end() :] if member is not None else line
        return any(one in value for one in self._values)


_NO_PLACES: Final = _Places("", "", "")


def _body_lines(body: bytes, places: _Places) -> list[tuple[str, bool]]:
    """Return the lines of a body, JSON indented, each with whether it is to be marked. Long bodies are cut."""
    try:
        text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "backslashreplace")
    # Only what JSON and HTTP call a line break: a text may have others in it.
    lines = text.split("\n")
    marked = [index for index, line in enumerate(lines) if places.names_line(line)]
    marked = marked[:_MAX_MARKED]
    kept = _kept(len(lines), marked)
    shown: list[tuple[str, bool]] = []
    before = -1
    for index in kept:
        if index != before + 1:
            shown.append((f"… {counted(index - before - 1, 'line')} left out …", False))
        shown.append((shortened(lines[index], _MAX_LINE), index in marked))
        before = index
    return shown


def _kept(count: int, marked: Sequence[int]) -> list[int]:
    if count <= _MAX_LINES:
        return list(range(count))
    end = _MAX_LINES // 3
    kept = {*range(end), *range(count - end, count)}
    for index in marked:
        kept |= {near for near in range(index - _NEAR, index + _NEAR + 1) if 0 <= near < count}
    return sorted(kept)
