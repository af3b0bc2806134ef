"""The file of accepted findings."""

import dataclasses
from datetime import date, timedelta

import click
import pytest
import yaml

from contracts.cli.baseline import Accepted, Baseline
from contracts.core.findings import ScenarioProgress
from tests.contracts.cli import fakes

TODAY = date(2030, 6, 15)
FOUND = fakes.finding()
OTHER = fakes.finding("BULK-ECHO", "last item")


def entry(finding=FOUND, expires=TODAY, reason="a known gap") -> Accepted:
    return Accepted(finding.fingerprint, finding.rule, finding.cause, reason, expires)


def test_a_written_baseline_is_read_the_same(tmp_path):
    baseline = Baseline((entry(reason="grün: 'quoted' # no comment"), entry(OTHER)))
    baseline.write(tmp_path / "b.yaml")
    assert Baseline.from_path(tmp_path / "b.yaml") == baseline


def test_a_file_that_is_not_there_or_empty_accepts_nothing(tmp_path):
    assert Baseline.from_path(tmp_path / "none.yaml") == Baseline()
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    assert Baseline.from_path(tmp_path / "empty.yaml") == Baseline()


GOOD = {"fingerprint": "0123456789abcdef", "rule": "REQ-COUNT", "reason": "because", "expires": TODAY}


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("[]", "needs a list under `accepted:`"),
        ("accepted: 1", "needs a list under `accepted:`"),
        ("accepted: [1]", "entry 1 is not a mapping"),
        ("{", "is not YAML"),
        (yaml.safe_dump({"accepted": [GOOD, GOOD | {"reason": " "}]}), "entry 2 needs a reason"),
        (yaml.safe_dump({"accepted": [GOOD | {"rule": True}]}), "entry 1 needs a rule"),
        (yaml.safe_dump({"accepted": [GOOD | {"expires": "soon"}]}), "needs the day it expires"),
        ("accepted: [{fingerprint: a, rule: b, reason: c, expires: 2030-01-01T00:00:00Z}]", "needs the day it expires"),
        ("accepted: [{fingerprint: a, rule: b, reason: c}]", "needs the day it expires"),
    ],
)
def test_an_invalid_entry_is_reported_with_its_file_and_number(tmp_path, document, told):
    path = tmp_path / "b.yaml"
    path.write_text(document)
    with pytest.raises(click.UsageError) as raised:
        Baseline.from_path(path)
    assert told in str(raised.value)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.write_bytes(b"\xff")])
def test_a_file_that_cannot_be_read_is_reported(tmp_path, make):
    make(tmp_path / "b.yaml")
    with pytest.raises(click.UsageError, match="cannot be read"):
        Baseline.from_path(tmp_path / "b.yaml")


def test_a_fingerprint_of_digits_only_is_a_text(tmp_path):
    (tmp_path / "b.yaml").write_text(
        "accepted: [{fingerprint: 1234567812345678, rule: X, reason: y, expires: 2030-01-01}]"
    )
    assert Baseline.from_path(tmp_path / "b.yaml").accepted[0].fingerprint == "1234567812345678"


def test_an_acceptance_counts_on_its_last_day_and_not_after():
    result = fakes.result(FOUND)
    assert Baseline((entry(),)).apply(result, TODAY).baselined == (FOUND,)
    after = Baseline((entry(),)).apply(result, TODAY + timedelta(days=1))
    assert after.findings == (FOUND,)
    assert after.notes[0].startswith("no longer accepted, it expired on 2030-06-15: REQ-COUNT")


def test_a_rule_with_only_accepted_findings_has_passed_and_says_why():
    another = fakes.finding(cause="another", expected="404", got="500")
    applied = Baseline((entry(),)).apply(fakes.result(FOUND, another), TODAY)
    assert (applied.rules[0].status, applied.rules[0].why) == ("failed", "expected 404, got 500")
    applied = Baseline((entry(),)).apply(fakes.result(FOUND), TODAY)
    assert (applied.rules[0].status, applied.rules[0].why) == ("passed", "1 accepted by the baseline")


def test_an_entry_that_is_no_longer_found_is_called_fixed_only_if_its_rule_was_judged():
    baseline = Baseline((entry(),))
    assert baseline.apply(fakes.result(), TODAY).notes[0].startswith("fixed, so take it out of the baseline: REQ-COUNT")
    assert baseline.apply(fakes.result(rules=fakes.skipped("REQ-COUNT")), TODAY).notes == ()
    assert baseline.apply(fakes.result(unstable=(FOUND,)), TODAY).notes == ()
    stopped = dataclasses.replace(fakes.result(), scenarios=(ScenarioProgress("counts", 1, 2, False),))
    assert baseline.apply(stopped, TODAY).notes == ()


def test_an_update_keeps_entries_adds_new_ones_and_renews_expired_ones():
    old = entry(reason="explained", expires=TODAY - timedelta(days=1))
    kept = entry(OTHER, reason="explained too")
    new = fakes.finding("AUTH-TENANT", "reads")
    updated = Baseline((old, kept)).updated((FOUND, OTHER, new), TODAY)
    until = TODAY + timedelta(days=30)
    assert updated.accepted == (
        dataclasses.replace(old, expires=until),
        kept,
        Accepted(new.fingerprint, "AUTH-TENANT", "reads", "not yet explained", until),
    )
