"""The table of defects: what is measured once is not measured again, and what it says of each."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from tests.contracts.matrix import defects_table, schemathesis_tuning
from tests.standin.defects import DEFECTS


def test_the_table_says_for_each_defect_what_finds_it():
    row = {"found": "NO-5XX", "s": 1.0, "requests": 5, "runs": 2, "on": "2026-01-01"}
    one, other, third = list(DEFECTS)[:3]
    cache = {
        "check": {one: row, other: row | {"found": None}, third: row},
        "schemathesis": {
            defects_table.HEALTHY: {"failures": ["ST202 GET /v1/runs"], "s": 16.0},
            one: {"failures": ["ST101 GET /v1/runs", "ST202 GET /v1/runs"], "s": 17.0},
            other: {"failures": ["ST202 GET /v1/runs"], "s": 15.0},
        },
    }

    lines = defects_table.table(cache).splitlines()

    by_name = {line.split("`")[1]: line for line in lines if line.startswith("| `")}
    assert "| NO-5XX | yes (ST101) | 1.0 | 5 | 2 |" in by_name[one]
    assert f"| **no** ({DEFECTS[other].rule}) | no |" in by_name[other]
    assert "| NO-5XX |  | 1.0 |" in by_name[third]
    totals = (
        f"run for 3 of {len(DEFECTS)} defects: 2 of 3 found; seconds: median 1.0, 95 % within 1.0; requests: median 5"
    )
    assert totals in "\n".join(lines)
    assert f"Not found: {other}." in "\n".join(lines)
    assert len(by_name) == len(DEFECTS)
    assert "- schemathesis alone: 1 of the 2 it was given" in "\n".join(lines)


def test_only_defects_that_are_not_in_the_cache_are_measured(tmp_path, monkeypatch):
    cache = tmp_path / "defects.json"
    cache.write_text(json.dumps({"check": {}, "schemathesis": {defects_table.HEALTHY: {"failures": [], "s": 1.0}}}))
    (tmp_path / "docs").mkdir()
    asked = []
    pool = SimpleNamespace(imap_unordered=lambda work, jobs: asked.extend(jobs) or [])
    monkeypatch.setattr(defects_table, "ROOT", tmp_path)
    monkeypatch.setattr(
        defects_table, "get_context", lambda kind: SimpleNamespace(Pool=lambda workers: nullcontext(pool))
    )
    monkeypatch.setattr(
        sys, "argv", ["defects_table", "--cache", str(cache), "--schemathesis", "3", "--only", "schemathesis"]
    )

    defects_table.main()

    assert asked == [("schemathesis", name) for name in defects_table.sample(3)]
    assert (tmp_path / "docs" / "defects.md").exists()


@pytest.mark.parametrize(
    ("code", "message", "headers", "false_alarm"),
    [
        ("ST203", "Got 201 when missing required 'Authorization' header", {"authorization": "Bearer x"}, True),
        ("ST203", "Got 201 when missing required 'Authorization' header", {}, False),
        ("ST201", "Invalid component: parameter `created_at_to` in query", {}, True),
        ("ST201", "Invalid component: in body - count: Incorrect type", {}, False),
        ("ST105", "", {}, True),
        ("ST101", "", {}, False),
    ],
)
def test_known_false_alarms_are_dropped(code, message, headers, false_alarm):
    failure = SimpleNamespace(code=code, message=message)
    response = SimpleNamespace(request=SimpleNamespace(headers=headers))

    assert schemathesis_tuning.filter_failure(None, failure, None, response) is not false_alarm


def test_schemathesis_gets_new_keys_and_whole_counts():
    case = SimpleNamespace(headers={"Idempotency-Key": "0"}, body={"count": 5.0})

    schemathesis_tuning.before_call(None, case, {})

    assert case.headers["Idempotency-Key"] != "0"
    assert repr(case.body) == "{'count': 5}"
