"""The page of the planted defects: what it says of each, and which are measured."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from tests.contracts.matrix import defects_table, schemathesis_tuning
from tests.contracts.matrix.defects_table import Row
from tests.standin.defects import DEFECTS


def test_the_page_says_for_each_defect_what_finds_it():
    one, other, third = list(DEFECTS)[:3]
    rows = {
        one: Row("NO-5XX", "yes (ST101)", 1.0, 5, 2),
        other: Row(None, "no", 120.0, 20_000, 30_000),
        third: Row("NO-5XX", "", 1.0, 5, 2),
    }

    page = defects_table.written(rows, {"2026-01-03", "2026-01-01", "2026-01-02"})

    by_name = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    assert "| NO-5XX | yes (ST101) | 1.0 | 5 | 2 |" in by_name[one]
    assert f"| **no** ({DEFECTS[other].rule}) | no |" in by_name[other]
    assert "| NO-5XX |  | 1.0 |" in by_name[third]
    assert (
        f"run for 3 of {len(DEFECTS)} defects: 2 of 3 found; seconds: median 1.0, 95 % within 1.0; requests: median 5"
    ) in page
    assert f"Not found: {other}." in page
    assert len(by_name) == len(DEFECTS)
    assert "- schemathesis alone: 1 of the 2 it was given" in page
    assert "measured on 2026-01-01 to 2026-01-03," in page
    assert defects_table.read(page)[0].items() >= rows.items()


def test_the_page_in_the_tree_is_what_its_rows_give():
    page = defects_table.PAGE.read_text(encoding="utf-8")
    assert defects_table.written(*defects_table.read(page)) == page


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], [("check", "the one"), ("schemathesis", "(healthy)"), ("schemathesis", "the one")]),
        (["--only", "check"], [("check", "the one")]),
        (["--defect", "another"], [("check", "another")]),
    ],
)
def test_what_has_a_row_is_measured_only_when_asked_for(tmp_path, monkeypatch, arguments, expected):
    sample = defects_table.sample(2)
    names = {"the one": sample[0], "another": sample[1]}
    rows = {name: Row("NO-5XX", "no", 1.0, 5, 2) for name in DEFECTS if name != sample[0]}
    monkeypatch.setattr(defects_table, "PAGE", tmp_path / "defects.md")
    defects_table.PAGE.write_text(defects_table.written(rows, {"2026-01-01"}))
    asked = []

    def measured(work, jobs):
        asked.extend(jobs)
        for kind, name in jobs:
            found = {"failures": ["ST101 GET /"]} if kind == "schemathesis" else {"found": "SCHEMA"}
            yield kind, name, found | {"s": 2.5, "requests": 7, "runs": 3}

    pool = SimpleNamespace(imap=measured)
    monkeypatch.setattr(defects_table, "get_context", lambda kind: SimpleNamespace(Pool=lambda _: nullcontext(pool)))
    monkeypatch.setattr(
        sys, "argv", ["defects_table", "--schemathesis", "2", *(names.get(one, one) for one in arguments)]
    )

    defects_table.main()

    assert asked == [(kind, names.get(name, name)) for kind, name in expected]
    after, days = defects_table.read(defects_table.PAGE.read_text())
    for kind, name in asked:
        if kind == "check":
            assert (after[name].found, after[name].s, after[name].requests, after[name].runs) == ("SCHEMA", 2.5, 7, 3)
    unmeasured = after.keys() - {name for _, name in asked}
    assert all(after[name] == rows.get(name, Row()) for name in unmeasured)
    assert len(days) == 2


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
