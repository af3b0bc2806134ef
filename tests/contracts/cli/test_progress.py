"""The progress of a check, as a terminal shows it."""

import re
import threading

import click
import pytest

from contracts.cli.progress import LINE_S, CleaningProgress, ProgressDisplay
from contracts.core.findings import Spent
from tests.contracts.cli import fakes


class Screen:
    """What a terminal shows: understands the sequences that the display uses, and fails at any other."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.lines = [""]
        self.row = self.column = 0

    def write(self, text: str) -> None:
        for sequence, character in re.findall(r"(\x1b\[[0-9]*[A-Za-z])|(.)", text, re.DOTALL):
            if sequence:
                self._control(sequence)
            elif character == "\n":
                self.row, self.column = self.row + 1, 0
                self.lines += [""] * (self.row + 1 - len(self.lines))
            elif character == "\r":
                self.column = 0
            else:
                assert self.column < self.columns, "the terminal would wrap the line"
                line = self.lines[self.row].ljust(self.column)
                self.lines[self.row] = line[: self.column] + character + line[self.column + 1 :]
                self.column += 1

    def _control(self, sequence: str) -> None:
        if found := re.fullmatch(r"\x1b\[([0-9]+)A", sequence):
            self.row -= int(found[1])
            assert self.row >= 0
        elif sequence == "\x1b[K":
            self.lines[self.row] = self.lines[self.row][: self.column]
        elif sequence == "\x1b[J":
            self.lines[self.row] = self.lines[self.row][: self.column]
            del self.lines[self.row + 1 :]
        else:
            raise AssertionError(f"an unknown sequence: {sequence!r}")

    @property
    def shown(self) -> list[str]:
        return "\n".join(self.lines).rstrip("\n").split("\n")


@pytest.fixture
def screen(monkeypatch):
    screen = Screen(80)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setattr("contracts.cli.progress._is_terminal", lambda: True)
    monkeypatch.setattr("contracts.cli.progress.REDRAW_S", 3600)
    monkeypatch.setattr("click.echo", lambda text, err=False, nl=True, color=None: screen.write(text + "\n" * nl))
    return screen


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def spent(requests: int, runs: int = 0) -> Spent:
    return Spent(requests, runs, None, 0.0)


def test_the_block_is_redrawn_in_place_and_gone_at_the_end(screen):
    clock = Clock()
    cost = [spent(1)]
    screen.write("$ contracts check\n")
    with ProgressDisplay("http://127.0.0.1:4010", 120.0, now=clock) as progress:
        progress.begin(lambda: cost[0])
        progress.show_step("creates of every count (1 of 80 batches of cases done)")
        clock.now_s += 60
        cost[0] = spent(12_345, 6_789)
        for rule, cause in (("BULK-ECHO", "one"), ("AUTH-TENANT", "one"), ("BULK-ECHO", "two"), ("BULK-ECHO", "two")):
            progress.show_finding(fakes.finding(rule, cause))
        assert screen.shown == [
            "$ contracts check",
            "Checking http://127.0.0.1:4010",
            "  time   " + "█" * 15 + "░" * 15 + " 1:00 of at most 2:00",
            "  sent   12,345 requests, 6,789 runs created",
            "  found  2 BULK-ECHO, 1 AUTH-TENANT",
            "  now    creates of every count (1 of 80 batches of cases done)",
        ]
    assert screen.shown == ["$ contracts check"]


def test_lines_that_are_written_meanwhile_are_above_the_block(screen):
    with ProgressDisplay("http://127.0.0.1:4010", 120.0) as progress:
        progress.begin(lambda: spent(1))
        progress.show_step("one")
        with progress.hidden():
            screen.write("a finding\n")
        progress.show_step("two")
        assert screen.shown[:2] == ["a finding", "Checking http://127.0.0.1:4010"]
        assert screen.shown[-1] == "  now    two"
        assert len(screen.shown) == 6
    assert screen.shown == ["a finding"]


def test_a_long_line_is_cut_and_a_low_terminal_shows_the_first_lines(screen, monkeypatch):
    monkeypatch.setenv("LINES", "3")
    with ProgressDisplay("http://127.0.0.1:4010/" + "x" * 100, 120.0) as progress:
        progress.begin(lambda: spent(1))
        progress.show_step("one")
        progress.show_step("two")
        assert len(screen.shown) == 2
        assert len(screen.shown[0]) == 79


def test_the_time_is_redrawn_without_news(screen, monkeypatch):
    monkeypatch.setattr("contracts.cli.progress.REDRAW_S", 0.001)
    redrawn = threading.Event()

    def cost() -> Spent:
        redrawn.set()
        return spent(1)

    with ProgressDisplay("http://127.0.0.1:4010", 120.0) as progress:
        progress.begin(cost)
        assert redrawn.wait(timeout=10)


def test_without_a_terminal_a_line_is_written_now_and_then_and_its_numbers_only_grow(monkeypatch, capfd):
    monkeypatch.setattr("contracts.cli.progress._is_terminal", lambda: False)
    monkeypatch.setattr("contracts.cli.progress.REDRAW_S", 3600)
    clock = Clock()
    with ProgressDisplay("http://127.0.0.1:4010", 5400.0, now=clock) as progress:
        requests = iter(range(100, 1000, 100))
        progress.begin(lambda: spent(next(requests)))
        for second in range(61):
            clock.now_s = 1000.0 + second
            progress.show_step(f"part {second}")
    lines = capfd.readouterr().err.splitlines()
    assert lines == [
        f"0:{second:02} of at most 1:30:00: {100 * n} requests, no runs created; found: nothing; now: part {second}"
        if second < 60
        else f"1:00 of at most 1:30:00: {100 * n} requests, no runs created; found: nothing; now: part {second}"
        for n, second in enumerate(range(int(LINE_S), 61, int(LINE_S)), 1)
    ]


def test_cleaning_up_shows_its_progress_now_and_then(capfd):
    clock = Clock()
    progress = CleaningProgress("http://127.0.0.1:4010", 25_000, now=clock)
    for _ in range(480):
        clock.now_s += 0.0625
        progress.count()
    assert capfd.readouterr().err.splitlines() == [
        "Cleaning up 25,000 runs at http://127.0.0.1:4010 ...",
        "  240 of 25,000 done",
        "  480 of 25,000 done",
    ]


def test_the_block_is_redrawn_in_place_with_no_color_too(monkeypatch, capfd):
    monkeypatch.setattr("contracts.cli.progress._is_terminal", lambda: True)
    monkeypatch.setattr("contracts.cli.progress.REDRAW_S", 3600)
    with (
        click.Context(click.Command("check"), color=False),
        ProgressDisplay("http://127.0.0.1:4010", 120.0) as progress,
    ):
        progress.begin(lambda: spent(1))
        progress.show_step("one")
        progress.show_step("two")
    assert "\x1b[5A" in capfd.readouterr().err


def test_when_the_time_is_over_it_says_what_is_going_on(screen):
    clock = Clock()
    with ProgressDisplay("http://127.0.0.1:4010", 10.0, now=clock) as progress:
        progress.begin(lambda: spent(1))
        clock.now_s += 10.5
        progress.show_step("creates of every count")
        assert screen.shown[1].endswith(" 0:10 of at most 0:10")
        clock.now_s += 4.5
        progress.show_step("creates of every count")
        assert screen.shown[1].endswith(" 0:15, the 0:10 are over")
        assert screen.shown[-1] == "  now    finishing the last cases"
        progress.show_end("cleaning up")
        assert screen.shown[-1] == "  now    cleaning up"


def test_requests_that_were_answered_429_are_counted_since_they_make_a_check_slow():
    assert Spent(52, 1, None, 25.0, throttled=26).sent == "52 requests (26 answered 429), 1 run created"
