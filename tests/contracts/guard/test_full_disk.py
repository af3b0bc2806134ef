"""A journal that cannot be written any more: nothing is created from then on, and what was created is cleaned up."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from contracts.core.findings import CouldNotCheck
from contracts.core.target import Target
from contracts.guard import Guard, clean_up_journals
from contracts.guard.effect import effect_of
from contracts.guard.journal import Journal
from tests.contracts.guard.requests import bulk
from tests.contracts.guard.standin import FIRST, SECOND, Received, Reply, StandIn

Disk = Callable[[int | None], None]


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Sets how many bytes the disk still takes; None: any number."""
    write = os.write
    left: list[int | None] = [None]

    def limited(file: int, data: bytes) -> int:
        if left[0] is None:
            return write(file, data)
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(file, data[: left[0]])
        left[0] -= written
        return written

    monkeypatch.setattr(os, "write", limited)

    def set_left(number: int | None) -> None:
        left[0] = number

    return set_left


def full_at(server: StandIn, disk: Disk, method: str, *, left: int = 0) -> None:
    """The disk is full once the server has acted on the first request with that method."""

    def meddle(received: Received) -> Reply | None:
        if received.method != method:
            return None
        server.meddle = lambda _: None
        reply = server.answer(received)
        disk(left)
        return reply

    server.meddle = meddle


@pytest.mark.parametrize("left", [0, 10])
@pytest.mark.parametrize("kind", ["full", "live"])
def test_a_run_whose_id_cannot_be_written_down_is_cleaned_up_all_the_same(
    request: pytest.FixtureRequest, server: StandIn, disk: Disk, kind: str, left: int
) -> None:
    guard: Guard = request.getfixturevalue("live_guard" if kind == "live" else "guard")
    full_at(server, disk, "POST", left=left)
    assert guard.send(bulk(2)).answer.status == 201
    with pytest.raises(CouldNotCheck, match="No space left"):
        guard.send(bulk())
    assert len(server.sent("POST")) == 1
    assert guard.clean_up() == 0
    assert not server.runs
    assert not guard.left_unknown


def test_a_disk_that_gets_full_while_cleaning_up_does_not_stop_that(
    live_guard: Guard, server: StandIn, disk: Disk, journal_dir: Path
) -> None:
    live_guard.send(bulk(3))
    full_at(server, disk, "DELETE")
    assert live_guard.clean_up() == 0
    live_guard.__exit__()
    assert not server.runs
    assert not list(journal_dir.iterdir())


def test_what_could_not_be_written_is_written_before_the_next_create(
    live_guard: Guard, server: StandIn, disk: Disk, journal_dir: Path
) -> None:
    """A crash then finds the runs in the journal, although a line was cut short in between."""
    full_at(server, disk, "POST", left=10)
    live_guard.send(bulk(2))
    disk(None)
    live_guard.send(bulk(1))
    live_guard.__exit__()  # as after a crash: nothing is cleaned up
    report = clean_up_journals(server.url, token=FIRST, second_token=SECOND, journal_dir=journal_dir)
    assert (report.cleaned, report.left, report.problems) == (3, 0, [])
    assert not server.runs


def test_a_later_clean_up_works_on_a_full_disk(
    live_guard: Guard, server: StandIn, disk: Disk, journal_dir: Path
) -> None:
    live_guard.send(bulk(2))
    live_guard.__exit__()
    [path] = journal_dir.glob("*.jsonl")
    with path.open("ab") as file:
        file.write(b'{"gone": [')  # a line that a crash cut short
    disk(0)
    report = clean_up_journals(server.url, token=FIRST, second_token=SECOND, journal_dir=journal_dir)
    assert (report.cleaned, report.left, report.problems) == (2, 0, [])
    assert not server.runs


def test_an_intent_that_does_not_reach_the_disk_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, journal_dir: Path
) -> None:
    journal = Journal.create(journal_dir, Target("https://runs.example.test", FIRST), "marker", datetime.now(UTC))

    def failing(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        with pytest.raises(CouldNotCheck, match="Input/output error"):
            journal.intend(bulk(), effect_of(bulk()), datetime.now(UTC), keeps_digest=True)
    assert not journal.record.open_intents
    journal.close(keep=False)
