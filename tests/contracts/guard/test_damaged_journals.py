"""Journals that were changed, or that the given tokens do not fit: no token goes elsewhere, no run of others is
deleted, and nothing counts as cleaned up that is not.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from contracts.core.exchange import SECOND_TOKEN
from contracts.core.target import Budget
from contracts.guard import Guard, NoAnswer, clean_up_journals
from tests.contracts.guard.conftest import OpenGuard
from tests.contracts.guard.requests import bulk
from tests.contracts.guard.standin import CUT, FIRST, SECOND, StandIn


@pytest.fixture
def journal(live_guard: Guard, server: StandIn, journal_dir: Path) -> Path:
    """The journal of a check that was killed after it had created two runs."""
    live_guard.send(bulk(2))
    live_guard.__exit__()
    [path] = journal_dir.glob("*.jsonl")
    return path


def change(path: Path, **header: Any) -> None:
    first, *lines = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps(json.loads(first) | header), *lines, ""]))


@pytest.mark.parametrize("names_url", [True, False])
def test_a_token_does_not_go_to_a_url_that_was_put_into_a_journal(
    server: StandIn, journal: Path, journal_dir: Path, *, names_url: bool
) -> None:
    with StandIn() as other:
        change(journal, url=other.url) if names_url else change(journal, url=other.url, origin=other.url)
        report = clean_up_journals(
            server.url if names_url else None, token=FIRST, second_token=SECOND, journal_dir=journal_dir
        )
        assert other.received == []
    assert (report.cleaned, report.left, len(server.runs)) == (0, 2, 2)
    assert journal.exists()


@pytest.mark.parametrize("marker", ["", "a", "contracts-"])
def test_a_marker_that_others_may_have_proves_nothing(
    server: StandIn, journal: Path, journal_dir: Path, marker: str
) -> None:
    theirs = server.add_run(input_values={"name": "contracts- a"})
    change(journal, marker=marker)
    report = clean_up_journals(server.url, token=FIRST, second_token=SECOND, journal_dir=journal_dir)
    assert theirs in server.runs
    assert (report.cleaned, bool(report.unclear)) == (0, True)


@pytest.mark.parametrize(
    "line",
    [
        '{"ids": 5, "as": "first"}',
        '{"ids": [{"a": 1}], "as": "first"}',
        '{"ids": [7], "as": "first"}',
        '{"ids": ["x"], "as": "nobody"}',
        '{"ids": ["x"]}',
        '{"intent": "x"}',
        '{"intent": 9, "at": "x", "as": "first", "runs": 1}',
        '{"intent": 9, "at": 1, "as": "nobody", "runs": 1}',
        '{"gone": 7}',
        '{"listed": [["a"]], "as": "first"}',
        '{"listed": [], "as": "first", "oldest": "x"}',
        '{"session": 4}',
        '{"closed": 4}',
    ],
)
def test_a_damaged_journal_is_reported_and_others_are_cleaned_up(
    open_guard: OpenGuard, server: StandIn, journal: Path, journal_dir: Path, line: str
) -> None:
    with journal.open("a") as file:
        file.write(line + "\n")
    guard = open_guard(profile="live", budget=Budget(max_runs=25, max_requests=500))
    guard.send(bulk(3))
    guard.__exit__()
    report = clean_up_journals(server.url, token=FIRST, second_token=SECOND, journal_dir=journal_dir)
    assert report.problems == [f"{journal.name} is not a journal that this version can read"]
    assert (report.cleaned, report.unclear, len(server.runs)) == (3, 1, 2)
    assert journal.exists()


def test_an_answer_to_an_intent_that_the_disk_lost_still_names_its_runs(
    server: StandIn, journal: Path, journal_dir: Path
) -> None:
    lines = [line for line in journal.read_text().splitlines() if '"intent"' not in line]
    journal.write_text("\n".join([*lines, ""]))
    report = clean_up_journals(server.url, token=FIRST, second_token=SECOND, journal_dir=journal_dir)
    assert (report.cleaned, report.left, server.runs) == (2, 0, {})


@pytest.mark.parametrize(
    ("given", "problem"),
    [({"token": "another-token-0123456789"}, "another token"), ({"token": FIRST}, "could not be searched for")],
)
def test_a_create_without_an_answer_counts_until_its_own_token_has_searched_for_its_runs(
    live_guard: Guard, server: StandIn, journal_dir: Path, given: dict[str, str], problem: str
) -> None:
    def lose(*_: object) -> Any:
        server.meddle = lambda _: None
        server.answer(server.received[-1])
        return CUT

    server.meddle = lambda received: lose() if received.method == "POST" else None
    with pytest.raises(NoAnswer):
        live_guard.send(bulk(1, authorization=SECOND_TOKEN))
    live_guard.__exit__()
    report = clean_up_journals(server.url, journal_dir=journal_dir, **given)
    assert (report.cleaned, report.unclear) == (0, 1)
    assert any(problem in each for each in report.problems)
    assert list(journal_dir.glob("*.jsonl"))
    report = clean_up_journals(server.url, token=FIRST, second_token=SECOND, journal_dir=journal_dir)
    assert [each.id for each in report.possibly_left] == list(server.runs)
