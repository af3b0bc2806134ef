"""The SARIF 2.1.0 report, for code scanning: one result per finding, at its operation in the OpenAPI document."""

import re
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from contracts.core.exchange import Request
from contracts.core.findings import Finding, Severity
from contracts.openapi.router import route_of
from contracts.report.report import Report, json_text, project_version

_LEVELS: dict[Severity, str] = {"critical": "error", "major": "error", "moderate": "warning", "minor": "note"}
_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_ARTIFACT = {"uri": "openapi/cyberdesk.yaml", "index": 0}


def render_sarif(report: Report) -> str:
    result = report.result
    ids = list(dict.fromkeys([*(r.id for r in result.rules), *(f.rule for f in (*result.findings, *result.baselined))]))
    results = [_result(each, ids.index(each.rule), report) for each in result.findings]
    accepted = {"suppressions": [{"kind": "external", "justification": "accepted by the baseline"}]}
    results += [_result(each, ids.index(each.rule), report) | accepted for each in result.baselined]
    run = {
        "tool": {
            "driver": {
                "name": "cyberdesk contracts",
                "semanticVersion": project_version(),
                "rules": [_rule(rule, report) for rule in ids],
            }
        },
        "automationDetails": {"id": "contracts/"},
        "invocations": [
            {
                "executionSuccessful": result.verdict != "could_not_check",
                "startTimeUtc": report.started_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "toolExecutionNotifications": _notifications(report),
            }
        ],
        "artifacts": [{"location": _ARTIFACT, "sourceLanguage": "yaml"}],
        "columnKind": "unicodeCodePoints",
        "results": results,
        "properties": {
            "target": result.target,
            "seed": result.seed,
            "salt": result.salt,
            "verdict": result.verdict,
            "runs_left": result.spent.runs_left,
        },
    }
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return json_text(document)


def _rule(rule: str, report: Report) -> dict[str, Any]:
    title = report.title_of(rule) or rule
    explanation = report.rules[rule].explanation if rule in report.rules else title
    return {
        "id": rule,
        "shortDescription": {"text": title},
        "fullDescription": {"text": explanation},
        "help": {"text": explanation, "markdown": f"**{rule}**: {title}\n\n{explanation}"},
        "defaultConfiguration": {"level": _LEVELS[report.severity_of(rule)]},
        "properties": {"severity": report.severity_of(rule)},
    }


def _result(finding: Finding, index: int, report: Report) -> dict[str, Any]:
    commands = "\n".join(report.commands(finding))
    # The answer to the last request breaks the rule; the requests before it prepare that.
    operation, line = place_of(finding.exchanges[-1].request) if finding.exchanges else ("", 1)
    text = f"{finding.sentence[0].upper()}{finding.sentence[1:]}."
    text += "".join(f" {name.capitalize()}: {words}." for name, words in finding.details.items())
    location: dict[str, Any] = {"physicalLocation": {"artifactLocation": _ARTIFACT, "region": {"startLine": line}}}
    if operation:
        location["logicalLocations"] = [{"name": operation, "kind": "function"}]
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": _LEVELS[report.severity_of(finding.rule)],
        "message": _message(f"{text}\n\n{commands}" if commands else text),
        "locations": [location],
        "partialFingerprints": {"contractFinding/v1": finding.fingerprint},
        "properties": {"cause": finding.cause, "curl": commands},
    }


def _notifications(report: Report) -> list[dict[str, Any]]:
    result = report.result
    notes = [("error", text) for text in report.failed_by]
    notes += [("note", text) for text in result.notes]
    notes += [("warning", f"{each.rule}, unstable: {each.sentence}") for each in result.unstable]
    notes += [
        ("warning", f"{rule.id} {rule.status_in_words}: {rule.why}") for rule in result.rules if not rule.was_judged
    ]
    return [{"level": level, "message": _message(text)} for level, text in notes]


def _message(text: str) -> dict[str, str]:
    """A message whose brackets are escaped, since a server could otherwise inject a link (section 3.11.6 of SARIF)."""
    return {"text": re.sub(r"[\\\[\]]", r"\\\g<0>", text) if "](" in text else text}


def place_of(request: Request) -> tuple[str, int]:
    """The operationId and the line, counted from 1, where the operation is described. If the method is not documented,
    those of its path; if the path is not, "" and the first line.
    """
    route = route_of(request.method, request.path)
    if route is None:
        return "", 1
    if route.operation is None:
        return route.template, _lines()[route.template, ""]
    return route.operation, _lines()[route.template, request.method]


@cache
def _lines() -> dict[tuple[str, str], int]:
    """The line of each path, under "", and of each of its methods."""
    text = files("openapi").joinpath("cyberdesk.yaml").read_text(encoding="utf-8")
    document: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    lines = {}
    for template, item in next(paths.value for key, paths in document.value if key.value == "paths"):
        lines[template.value, ""] = template.start_mark.line + 1
        for method, _ in item.value:
            lines[template.value, method.value.upper()] = method.start_mark.line + 1
    return lines
