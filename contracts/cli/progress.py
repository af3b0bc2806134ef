"""Shows the progress of a check on stderr: on a terminal a block that is redrawn in place, else an occasional line."""

import os
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Self

import click

from contracts.core.counting import counted
from contracts.core.findings import Finding, Spent
from contracts.core.printable import printable

REDRAW_S: Final = 0.25
LINE_S: Final = 15.0
"""How often a line is written if stderr is not a terminal."""
_BAR_WIDTH: Final = 30
_UP: Final = "\x1b[{}A"
_CLEAR_BELOW: Final = "\x1b[J"


class ProgressDisplay:
    """Shows nothing before `begin`. A context manager: leaving it stops the display and clears the block."""

    def __init__(self, target: str, max_time_s: float, *, now: Callable[[], float] = time.monotonic) -> None:
        self._target = target
        self._max_time_s = max_time_s
        self._now = now
        self._is_block = _is_terminal()
        self._spent: Callable[[], Spent] | None = None
        self._step = "starting"
        self._check_has_ended = False
        self._rules: dict[str, str] = {}
        """The rule of each finding, by fingerprint."""
        self._begun_at = 0.0
        self._line_at = 0.0
        self._drawn_lines = 0
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        with self.hidden():
            pass

    def begin(self, spent: Callable[[], Spent]) -> None:
        """Begin to show the progress. `spent` returns what the check has spent so far; it is called from any thread."""
        self._spent = spent
        self._begun_at = self._line_at = self._now()
        self._thread = threading.Thread(target=self._redraw_regularly, name="progress", daemon=True)
        self._thread.start()

    def show_step(self, step: object) -> None:
        self._step = str(step)
        self.redraw()

    def show_end(self, step: object) -> None:
        """Show a step that follows the check. Its time may be over by then."""
        self._check_has_ended = True
        self.show_step(step)

    def show_finding(self, finding: Finding) -> None:
        """Count a finding. One that is reported again, because it repeated later, for example, counts only once."""
        self._rules[finding.fingerprint] = finding.rule
        self.redraw()

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Remove the block while other text is written. The next redraw shows the block below that text."""
        with self._lock:
            if self._drawn_lines:
                _control_terminal(f"\r{_UP.format(self._drawn_lines)}{_CLEAR_BELOW}")
                self._drawn_lines = 0
            yield

    def redraw(self) -> None:
        if self._spent is None or self._stopped.is_set():
            return
        with self._lock:
            if self._is_block:
                self._draw_block(self._spent())
            elif self._now() - self._line_at >= LINE_S:
                self._line_at = self._now()
                click.echo(self._line(self._spent()), err=True)

    def _redraw_regularly(self) -> None:
        while not self._stopped.wait(REDRAW_S):
            self.redraw()

    def _draw_block(self, spent: Spent) -> None:
        columns, rows = shutil.get_terminal_size()
        # A line as wide as the terminal would be wrapped, and the next redraw would begin below the block's first line.
        lines = [line[: columns - 1] for line in self._block(spent)][: max(1, rows - 1)]
        back = f"\r{_UP.format(self._drawn_lines)}" if self._drawn_lines else ""
        _control_terminal(back + "".join(f"{line}\x1b[K\n" for line in lines) + _CLEAR_BELOW)
        self._drawn_lines = len(lines)

    def _block(self, spent: Spent) -> list[str]:
        filled = round(_BAR_WIDTH * min(1.0, self._elapsed_s / self._max_time_s))
        return [
            f"Checking {printable(self._target)}",
            f"  time   {'█' * filled}{'░' * (_BAR_WIDTH - filled)} {self._time}",
            f"  sent   {spent.sent}",
            f"  found  {self._findings}",
            f"  now    {self._shown_step}",
        ]

    def _line(self, spent: Spent) -> str:
        return f"{self._time}: {spent.sent}; found: {self._findings}; now: {self._shown_step}"

    @property
    def _elapsed_s(self) -> float:
        return max(0.0, self._now() - self._begun_at)

    @property
    def _time(self) -> str:
        if self._time_is_over:
            return f"{_clock(self._elapsed_s)}, the {_clock(self._max_time_s)} are over"
        return f"{_clock(self._elapsed_s)} of at most {_clock(self._max_time_s)}"

    @property
    def _time_is_over(self) -> bool:
        return self._elapsed_s >= self._max_time_s + 1.0  # the clock shows whole seconds

    @property
    def _shown_step(self) -> str:
        return "finishing the last cases" if self._time_is_over and not self._check_has_ended else printable(self._step)

    @property
    def _findings(self) -> str:
        counts = Counter(list(self._rules.values()))
        return ", ".join(f"{count} {rule}" for rule, count in counts.items()) or "nothing"


class CleaningProgress:
    """Writes a line when the clean-up of a journal begins, and one every `LINE_S` seconds while it runs."""

    def __init__(self, origin: str, runs: int, *, now: Callable[[], float] = time.monotonic) -> None:
        self._runs = runs
        self._now = now
        self._line_at = now()
        self._cleaned = 0
        self._lock = threading.Lock()
        click.echo(f"Cleaning up {counted(runs, 'run')} at {printable(origin)} ...", err=True)

    def count(self) -> None:
        with self._lock:
            self._cleaned += 1
            if self._now() - self._line_at >= LINE_S:
                self._line_at = self._now()
                click.echo(f"  {self._cleaned:,} of {self._runs:,} done", err=True)


def _control_terminal(text: str) -> None:
    """Write text with control sequences. `color=True` keeps them even without a terminal or with NO_COLOR."""
    click.echo(text, err=True, nl=False, color=True)


def _is_terminal() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
