"""One report with something of everything in it."""

import dataclasses
from datetime import UTC, datetime

from contracts.core.exchange import TOKEN, Answer, Exchange, Request
from contracts.core.findings import CheckResult, Finding, Remedy, RuleResult, Spent
from contracts.report import Report
from contracts.report.masking import Mask
from tests.contracts.cli.fakes import fake_rule

RULES = {
    rule: fake_rule(rule, source, title, group="Requests" if rule.startswith("REQ-") else "Answers")
    for rule, source, title in (
        ("REQ-COUNT", "doc", "count is an integer from 1 to 1000"),
        ("BULK-ECHO", "doc", "a run shows what was sent"),
        ("READ-UNKNOWN", "api", "an unknown id is 404"),
        ("AUTH-TENANT", "api", "one organisation sees nothing of another"),
        ("CHAIN-RULES", "api", "a chain is one run a step <in order> & one session"),
        ("IDEM-REPLAY", "api", "the same key gives the same answer"),
    )
}

CREATE = Request(
    "POST",
    "/v1/runs/bulk",
    (("Authorization", TOKEN), ("Content-Type", "application/json")),
    b'{"workflow_id": "3c90c3cc-0d44-4b50-8888-8dd25736052a", "count": 1001,'
    b' "sensitive_input_values": {"password": "tr0ub4dor&3-and-more"}}',
)
CREATED = Answer(
    201,
    (("Content-Type", "application/json"), ("X-Request-Id", "7")),
    b'{"created_runs": [{"id": "9f2c8a54-6d0e-4b1f-8f0a-2f6f3b1c0d11", '
    b'"input_values": {"a": "<b>bold</b> \\u001b[31m"}}],'
    b' "failed_count": 0}',
)
READ = Request("GET", "/v1/runs/9f2c8a54-6d0e-4b1f-8f0a-2f6f3b1c0d11?include=machine", (("Authorization", TOKEN),))
BINARY = Exchange(
    Request("PATCH", "/v1/runs/9f2c8a54-6d0e-4b1f-8f0a-2f6f3b1c0d11", (("Authorization", TOKEN),), b"\xff\xfe"),
    Answer(599, (), b"\xff\x00\x1b"),
)

COUNT = Finding("REQ-COUNT", "1001 is accepted", "422 for count 1001", "201", (Exchange(CREATE, CREATED),))
ECHO = Finding(
    "BULK-ECHO",
    "last item differs",
    "input_values as sent, in every run \x00\x1b[31m]]>",
    "another <value> in the last",
    (Exchange(CREATE, CREATED), Exchange(READ, Answer(200, (), b'{"id": 1}')), BINARY),
)

RESULT = CheckResult(
    target="http://127.0.0.1:4010",
    seed=77,
    verdict="failed",
    rules=(
        RuleResult("REQ-COUNT", "failed", "1001 is accepted"),
        RuleResult("BULK-ECHO", "failed", "last item differs"),
        RuleResult("READ-UNKNOWN", "passed", ""),
        RuleResult("AUTH-TENANT", "skipped", "no second token was given", Remedy.SECOND_TOKEN),
        RuleResult("CHAIN-RULES", "not_offered", "POST /v1/runs/chain is 404, whatever is sent"),
        RuleResult("IDEM-REPLAY", "passed", "1 accepted by the baseline"),
    ),
    findings=(COUNT, ECHO),
    unstable=(dataclasses.replace(COUNT, cause="once only"),),
    baselined=(dataclasses.replace(COUNT, rule="IDEM-REPLAY", cause="known"),),
    spent=Spent(requests=1234, runs_created=5678, runs_left=3, seconds=12.3456),
    notes=("3 runs are left",),
)

STARTED_AT = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


def report(result: CheckResult = RESULT, **fields) -> Report:
    exchanges = tuple(exchange for finding in result.findings for exchange in finding.exchanges)
    usual = {"rules": RULES, "exchanges": exchanges, "started_at": STARTED_AT}
    return Report(result=result, **(usual | fields)).masked(Mask())


def without_findings(**fields) -> CheckResult:
    rules = tuple(dataclasses.replace(rule, status="passed") for rule in RESULT.rules)
    usual = {"verdict": "passed", "rules": rules, "findings": (), "unstable": (), "baselined": (), "notes": ()}
    return dataclasses.replace(RESULT, **(usual | fields))
