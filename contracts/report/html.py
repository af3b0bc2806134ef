"""The HTML report: one file that needs no script, no network and no colour vision."""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape

from contracts.core.exchange import Exchange
from contracts.core.findings import Finding, RuleResult
from contracts.core.printable import printable
from contracts.report.report import UNSTABLE, Headers, Report, project_version

_BODY_MAX = 6_000

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8881; --bad: #b3261e; --good: #17692f; --open: #7a5200; }
@media (prefers-color-scheme: dark) { :root { --bad: #ff8a80; --good: #7edb97; --open: #ffcc66; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; } h2 { margin-top: 2.5rem; } h3 { margin: 0 0 .25rem; }
code, pre { font: .85rem/1.45 ui-monospace, monospace; }
pre { background: var(--soft); padding: .75rem; overflow-x: auto; border-radius: 6px; margin: .5rem 0; }
.verdict { font-size: 1.15rem; font-weight: 700; border-left: .4rem solid; padding: .25rem .75rem; margin: 1rem 0; }
.passed { color: var(--good); } .failed, .could_not_check { color: var(--bad); }
.skipped, .incomplete, .unstable { color: var(--open); }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; padding-bottom: .5rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .75rem .4rem 0; border-bottom: 1px solid var(--line); }
td.status { font-weight: 600; white-space: nowrap; }
article { border: 1px solid var(--line); border-radius: 8px; padding: 1rem; margin: 1rem 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; margin: .5rem 0; }
dt { font-weight: 600; } dd { margin: 0; overflow-wrap: anywhere; }
summary { cursor: pointer; } summary:focus-visible { outline: 2px solid; outline-offset: 2px; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; } }
"""

_VERDICTS = {
    "passed": "Passed: nothing found",
    "failed": "Failed",
    "incomplete": "Incomplete: nothing found, but not every rule was judged in full",
    "could_not_check": "Could not check",
}


def render_html(report: Report) -> str:
    result, spent = report.result, report.result.spent
    verdict = _VERDICTS[result.verdict]
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{escape(verdict)} – contract of {escape(result.target)}</title>",
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<header>",
        f"<h1>Contract of {escape(result.target)}</h1>",
        f'<p class="verdict {result.verdict}">{escape(verdict)}{report.count_in_words}</p>',
        *(f"<p><strong>{escape(printable(reason))}</strong></p>" for reason in report.failed_by),
        f"<p>{escape(report.started_at.strftime('%Y-%m-%d %H:%M:%S %Z'))}, {spent.seconds:.1f} s: {spent.requests}"
        f" requests, {spent.runs_created} runs created, {spent.left_in_words}. Seed <code>{result.seed}</code>,"
        f" version {escape(project_version())}.</p>",
        *(f"<p>{escape(printable(note))}</p>" for note in result.notes),
        "</header>\n<main>",
        *_findings("Findings", result.findings, report, explains=True),
        *_findings(UNSTABLE, result.unstable, report, explains=not result.findings),
        *_findings("Accepted by the baseline", result.baselined, report),
        *_rules(result.rules, report),
        "</main>\n</body>\n</html>\n",
    ]
    return "\n".join(parts)


def _findings(heading: str, findings: Iterable[Finding], report: Report, *, explains: bool = False) -> list[str]:
    articles = [_finding(finding, report) for finding in findings]
    if not articles:
        return []
    explanation = [f"<p>{escape(' '.join(report.hints))}</p>"] if explains else []
    return ["<section>", f"<h2>{escape(heading)}</h2>", *explanation, *articles, "</section>"]


def _finding(finding: Finding, report: Report) -> str:
    parts = [
        "<article>",
        f"<h3>{escape(finding.rule)} ({report.severity_of(finding.rule)})</h3>",
        f"<p>{escape(report.title_of(finding.rule))}</p>",
        "<dl>",
        f"<dt>Expected</dt><dd>{escape(printable(finding.expected))}</dd>",
        f"<dt>Got</dt><dd>{escape(printable(finding.got))}</dd>",
        *([f"<dt>Intermittent</dt><dd>{escape(finding.frequency)}</dd>"] if finding.frequency else []),
        f"<dt>Fingerprint</dt><dd><code>{finding.fingerprint}</code></dd>",
        "</dl>",
    ]
    if finding.exchanges:
        commands = "\n".join(report.commands(finding))
        parts.append(f'<pre tabindex="0" aria-label="Commands that repeat it">{escape(commands)}</pre>')
    parts += [_exchange(number, exchange) for number, exchange in enumerate(finding.exchanges, 1)]
    return "\n".join([*parts, "</article>"])


def _exchange(number: int, exchange: Exchange) -> str:
    request, answer = exchange.request, exchange.answer
    line = printable(f"{request.method} {request.path[:200]}")
    sent = _message(f"{request.method} {request.path}", request.headers, request.body or b"")
    received = _message(str(answer.status), answer.headers, answer.body)
    return "\n".join(
        [
            f"<details><summary>Exchange {number}: <code>{escape(line)}</code> → {answer.status}</summary>",
            f'<pre tabindex="0" aria-label="Request {number}">{sent}</pre>',
            f'<pre tabindex="0" aria-label="Answer {number}">{received}</pre>',
            "</details>",
        ]
    )


def _message(first: str, headers: Headers, body: bytes) -> str:
    lines = [first, *(f"{name}: {value}" for name, value in headers)]
    return escape("\n".join([*map(printable, lines), "", _body(body)]))


def _body(body: bytes) -> str:
    half = _BODY_MAX // 2
    if len(body) > _BODY_MAX:
        return f"{_text(body[:half])}\n… {len(body) - 2 * half} bytes left out …\n{_text(body[-half:])}"
    try:
        return _shown(json.dumps(json.loads(body), indent=2, ensure_ascii=False))
    except (ValueError, RecursionError):
        return _text(body)


def _text(body: bytes) -> str:
    return _shown(body.decode("utf-8", "backslashreplace"))


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)


def _rules(rules: Iterable[RuleResult], report: Report) -> list[str]:
    rows = [
        f'<tr><th scope="row">{_explained(rule.id, report)}</th>'
        f'<td class="status {rule.status}">{escape(rule.status.replace("_", " "))}</td>'
        f"<td>{escape(printable(rule.why))}</td></tr>"
        for rule in rules
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
        f"<details><summary>{escape(rule)}: {escape(text.title)}</summary><p>{escape(text.explanation)}</p></details>"
    )
