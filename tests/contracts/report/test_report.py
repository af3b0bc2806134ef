"""The order of the findings in a report."""

import dataclasses

from contracts.report.report import worst_first
from contracts.rules import REGISTRY
from tests.contracts.report.samples import COUNT, RESULT


def test_the_most_severe_findings_come_first_by_the_severity_that_they_show() -> None:
    major = dataclasses.replace(COUNT, rule="NO-5XX", cause="a 5xx")
    consequence = dataclasses.replace(COUNT, rule="AUTH-REQUIRED", cause="503", part_of=major.fingerprint)
    critical = dataclasses.replace(COUNT, rule="SECRET-LEAK", cause="a leak")
    minor = dataclasses.replace(COUNT, rule="HTTP-SCHEMA", cause="a form")

    ordered = worst_first(dataclasses.replace(RESULT, findings=(minor, major, critical, consequence)), REGISTRY)

    assert [finding.rule for finding in ordered.findings if not finding.part_of] == [
        "SECRET-LEAK",
        "NO-5XX",
        "HTTP-SCHEMA",
    ]
