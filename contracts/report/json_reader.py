"""Reads what a JSON report says of its findings, so that they can be sent again, and of what was judged."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from contracts.core.exchange import Answer, Exchange, Headers, Request
from contracts.core.findings import Finding, Reproduction

SAME_FIELDS: Final = (
    *("rule", "cause", "summary", "expected", "got", "neighbour", "guess", "part_of", "intermittent", "dedup_key"),
)
"""The fields of a finding that have the same name and form in the report."""
_HOW_TO_WRITE_ONE: Final = "write one with `contracts check URL --report json=report.json`"
"""Not with the path that was given: it may be that of a file which must not be overwritten."""


@dataclass(frozen=True, slots=True)
class SavedReport:
    """`findings` also contains the unstable findings and those that a baseline accepts."""

    target: str
    findings: tuple[Finding, ...]
    coverage: dict[str, dict[str, dict[str, int]]]


def read_report(path: Path) -> SavedReport:
    """Raises click.UsageError, with one line that names the file, if it is not a JSON report of this version."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{path} is not a JSON report: {_HOW_TO_WRITE_ONE}.") from error
    if not isinstance(document, dict) or not document.keys() >= {"target", "findings"}:
        raise click.UsageError(f"{path} is not a report of contracts: {_HOW_TO_WRITE_ONE}.")
    try:
        findings = [*document["findings"], *document["baselined"]]
        found = [_finding(each, stable=not each["intermittent"]) for each in findings]
        found += [_finding(each, stable=False) for each in document["unstable"]]
        return SavedReport(str(document["target"]), tuple(found), document["coverage"])
    except (KeyError, TypeError, ValueError) as error:
        raise click.UsageError(f"{path} is not a report of this version: check the target again.") from error


def _finding(finding: dict[str, Any], *, stable: bool) -> Finding:
    return Finding(
        **{name: finding[name] for name in SAME_FIELDS},
        exchanges=tuple(map(_exchange, finding["exchanges"])),
        stable=stable,
        not_sent_again=finding.get("not_sent_again", ""),
        commands_note=finding.get("commands_note", ""),
        also_seen=tuple(finding["also_seen"]),
        reproductions=tuple(map(_reproduction, finding["reproductions"])),
    )


def _reproduction(one: dict[str, Any]) -> Reproduction:
    beside = tuple(map(_reproduction, one.get("beside", ())))
    return Reproduction(one["scenario"], json.dumps(one["case"]), beside)


def _exchange(exchange: dict[str, Any]) -> Exchange:
    request, answer = exchange["request"], exchange["answer"]
    body = None if request["body"] is None else _body(request["body"])
    return Exchange(
        Request(request["method"], request["path"], _headers(request["headers"]), body),
        Answer(
            answer["status"],
            _headers(answer["headers"]),
            _body(answer["body"]),
            lost=answer.get("lost", ""),
            left_out=answer["body"]["left_out"],
        ),
    )


def _headers(headers: list[dict[str, str]]) -> Headers:
    return tuple((header["name"], header["value"]) for header in headers)


def _body(body: dict[str, Any]) -> bytes:
    if "base64" in body:
        return base64.b64decode(body["base64"])
    return str(body["text"]).encode("utf-8", "surrogatepass")
