"""The JSON report, for programs. Its schema is report.schema.json in this directory."""

import base64
import dataclasses
import json
from typing import Any

from contracts.core.exchange import Answer, Request
from contracts.core.findings import Finding, Reproduction
from contracts.report.json_reader import SAME_FIELDS
from contracts.report.report import Report, json_headers, json_text, project_version

# The answer to a create with count 1000 has half a megabyte. Findings mostly concern its beginning and end.
_ANSWER_MAX = 200_000
_ANSWER_TAIL = 50_000


def render_json(report: Report) -> str:
    result = report.result
    document = {
        "version": project_version(),
        "target": result.target,
        "seed": result.seed,
        "salt": result.salt,
        "verdict": result.verdict,
        "rules": [dataclasses.asdict(rule) for rule in result.rules],
        "findings": [_finding(finding, report) for finding in result.findings],
        "unstable": [_finding(finding, report) for finding in result.unstable],
        "baselined": [_finding(finding, report) for finding in result.baselined],
        "spent": dataclasses.asdict(result.spent) | {"seconds": round(result.spent.seconds, 3)},
        "scenarios": [dataclasses.asdict(each) for each in result.scenarios],
        "coverage": result.coverage,
        "notes": [*report.failed_by, *result.notes],
    }
    return json_text(document)


def _finding(finding: Finding, report: Report) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "severity": report.severity_of(finding.rule),
        "fingerprint": finding.fingerprint,
        **{name: getattr(finding, name) for name in SAME_FIELDS},
        "also_seen": list(finding.also_seen),
        "commands_note": finding.commands_note,
        "not_sent_again": finding.not_sent_again,
        "seen": finding.seen,
        "judged": finding.judged,
        "reproductions": [{**_case(each), "beside": list(map(_case, each.beside))} for each in finding.reproductions],
        "exchanges": [
            {"request": _request(exchange.request), "answer": _answer(exchange.answer), "curl": command}
            for exchange, command in zip(finding.exchanges, report.commands(finding), strict=True)
        ],
    }


def _case(one: Reproduction) -> dict[str, Any]:
    return {"scenario": one.scenario, "case": json.loads(one.case)}


def _request(request: Request) -> dict[str, Any]:
    return {
        "method": request.method,
        "path": request.path,
        "headers": json_headers(request.headers),
        "body": None if request.body is None else _body(request.body, at_most=None),
    }


def _answer(answer: Answer) -> dict[str, Any]:
    return {
        "status": answer.status,
        "headers": json_headers(answer.headers),
        "body": _body(answer.body, at_most=_ANSWER_MAX),
        "lost": answer.lost,
    }


def _body(body: bytes, *, at_most: int | None) -> dict[str, Any]:
    """The body as `text` if it is UTF-8, else as `base64`. `left_out` is the number of bytes cut from the middle.

    A body that is cut is always `text`, with replacement characters for what is not UTF-8.
    """
    if at_most is not None and len(body) > at_most:
        left_out = len(body) - at_most
        tail = body[-_ANSWER_TAIL:].decode("utf-8", "replace")
        text = f"{body[: at_most - _ANSWER_TAIL].decode('utf-8', 'replace')}\n… {left_out} bytes left out …\n{tail}"
        return {"text": text, "bytes": len(body), "left_out": left_out}
    try:
        return {"text": body.decode(), "bytes": len(body), "left_out": 0}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode(), "bytes": len(body), "left_out": 0}
