"""The experiment that counts what only schemathesis finds: which parts each check has, and how it counts."""

import sys

import pytest

import contracts.check
from contracts.explore import exploration, schema_fuzz
from contracts.explore.model import SEQUENCES
from contracts.rules import SCENARIOS
from tests.contracts.matrix import schemathesis_value
from tests.standin.serving import serving


def test_one_check_is_without_schemathesis_and_the_other_is_of_schemathesis_alone(monkeypatch):
    checked = []
    monkeypatch.setattr(
        schemathesis_value,
        "first_finding",
        lambda guard: checked.append(
            (len(contracts.check.SCENARIOS), [part.name for part in exploration._PARTS], schema_fuzz.MOST_S)
        ),
    )
    most_s = schema_fuzz.MOST_S

    assert schemathesis_value.found_without(serving, 9) is None
    assert schemathesis_value.found_by_schemathesis(serving, 9, times=3) is None

    assert checked == [(len(SCENARIOS), [SEQUENCES.name], most_s), (0, ["schema-wide requests"], 3 * most_s)]


@pytest.mark.parametrize(
    ("without", "alone", "total"),
    [
        ("NO-5XX", "NO-5XX", "1 by both"),
        ("NO-5XX", None, "1 only without schemathesis"),
        (None, "NO-5XX", "1 only by schemathesis"),
        (None, None, "1 by neither"),
    ],
)
def test_the_totals_say_what_found_how_many(without, alone, total, monkeypatch, capsys):
    monkeypatch.setattr(schemathesis_value, "found_without", lambda serving, max_time_s: without)
    monkeypatch.setattr(schemathesis_value, "found_by_schemathesis", lambda serving, max_time_s, times: alone)
    monkeypatch.setattr(sys, "argv", ["schemathesis_value", "--defect", "retry_is_open"])

    schemathesis_value.main()

    assert capsys.readouterr().out.splitlines()[-1] == f"Of 1: {total}."
