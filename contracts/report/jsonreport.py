"""The JSON report, for programs. Its schema is report.schema.json in this directory."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any

from contracts.core.exchange import Answer, Exchange, Request
from contracts.core.findings import Finding
from contracts.core.printable import printable_json
from contracts.report.curl import curls
from contracts.report.report import Report, project_version

# The answer to a create with count 1000 has half a megabyte. Findings mostly concern its beginning and end.
_ANSWER_MAX = 200_000
_ANSWER_TAIL = 50_000


def render_json(report: Report) -> str:
    return printable_json(json.dumps(as_json(report), indent=2, ensure_ascii=False)) + "\n"


def as_json(report: Report) -> dict[str, Any]:
    result = report.result
    return {
        "version": project_version(),
        "target": result.target,
        "seed": result.seed,
        "salt": result.salt,
        "verdict": result.verdict,
        "rules": [{"id": rule.id, "status": rule.status, "why": rule.why} for rule in result.rules],
        "findings": [_finding(finding, result.target) for finding in result.findings],
        "unstable": [_finding(finding, result.target) for finding in result.unstable],
        "baselined": [_finding(finding, result.target) for finding in result.baselined],
        "spent": {
            "requests": result.spent.requests,
            "runs_created": result.spent.runs_created,
            "runs_left": result.spent.runs_left,
            "seconds": round(result.spent.seconds, 3),
        },
        "scenarios": [dataclasses.asdict(each) for each in result.scenarios],
        "notes": [*report.failed_by, *result.notes],
    }


def _finding(finding: Finding, target: str) -> dict[str, Any]:
    commands = curls(finding.exchanges, target)
    return {
        "rule": finding.rule,
        "fingerprint": finding.fingerprint,
        "cause": finding.cause,
        "expected": finding.expected,
        "got": finding.got,
        "exchanges": [
            _exchange(exchange, command) for exchange, command in zip(finding.exchanges, commands, strict=True)
        ],
    }


def _exchange(exchange: Exchange, command: str) -> dict[str, Any]:
    return {"request": _request(exchange.request), "answer": _answer(exchange.answer), "curl": command}


def _request(request: Request) -> dict[str, Any]:
    return {
        "method": request.method,
        "path": request.path,
        "headers": _headers(request.headers),
        "body": None if request.body is None else _body(request.body, at_most=None),
    }


def _answer(answer: Answer) -> dict[str, Any]:
    return {
        "status": answer.status,
        "headers": _headers(answer.headers),
        "body": _body(answer.body, at_most=_ANSWER_MAX),
    }


def _headers(headers: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in headers]


def _body(body: bytes, *, at_most: int | None) -> dict[str, Any]:
    """The body as `text` if it is UTF-8, else as `base64`. `left_out` is the number of bytes cut from the middle.

    A body that is cut is always `text`, with replacement characters for what is not UTF-8.
    """
    left_out = 0
    if at_most is not None and len(body) > at_most:
        left_out = len(body) - at_most
        tail = body[-_ANSWER_TAIL:].decode("utf-8", "replace")
        text = f"{body[: at_most - _ANSWER_TAIL].decode('utf-8', 'replace')}\n… {left_out} bytes left out …\n{tail}"
        return {"text": text, "bytes": len(body), "left_out": left_out}
    try:
        return {"text": body.decode(), "bytes": len(body), "left_out": 0}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode(), "bytes": len(body), "left_out": 0}
