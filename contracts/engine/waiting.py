"""Runs the cases of scenarios that mostly wait for time to pass: many at the same time, each in its own thread."""

import time
from collections.abc import Callable, Collection, Iterator
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, NamedTuple

from contracts.engine.results import OutOfTime, RuleViolated
from contracts.engine.scenario import Scenario

_MAX_THREADS: Final = 16
"""How many cases wait at the same time. With more of them, each would poll its runs so seldom that a change which lasts
a short time is missed.
"""


class WaitingCase(NamedTuple):
    """A case that runs or has ended. `is_repeat`: it runs again, since a known violation may have hidden others."""

    scenario: Scenario[Any]
    case: Any
    outcome: Future[RuleViolated | None]
    is_repeat: bool


class WaitingCases:
    def __init__(self, run: Callable[[Scenario[Any], Any], RuleViolated | None]) -> None:
        self._run = run
        self._waiting: list[WaitingCase] = []
        self._pool = ThreadPoolExecutor(_MAX_THREADS)

    def start(self, scenario: Scenario[Any], case: Any, *, is_repeat: bool = False) -> None:
        self._waiting.append(WaitingCase(scenario, case, self._pool.submit(self._run, scenario, case), is_repeat))

    def take_ended(self, until: float) -> Iterator[WaitingCase]:
        """Yield the cases that have ended, and then each one that ends before `until` (monotonic) as soon as it does.
        Those that ran out of time are left out.
        """
        while True:
            running = [case.outcome for case in self._waiting if not case.outcome.done()]
            ended = [case for case in self._waiting if case.outcome.done() and not _ran_out_of_time(case)]
            for case in ended:
                self._waiting.remove(case)
                yield case  # the caller may start others
            if ended:
                continue
            left_s = until - time.monotonic()
            if not running or left_s <= 0:
                return
            futures.wait(running, timeout=left_s, return_when=futures.FIRST_COMPLETED)

    @property
    def have_failed(self) -> bool:
        """Whether a case has failed, so that `take_ended` yields something to investigate."""
        ended = [case.outcome for case in self._waiting if case.outcome.done()]
        return any(outcome.exception() is not None or outcome.result() is not None for outcome in ended)

    @property
    def scenarios(self) -> Collection[Scenario[Any]]:
        """The scenarios with cases that have not ended."""
        return dict.fromkeys(case.scenario for case in self._waiting)

    def end(self) -> None:
        self._pool.shutdown(cancel_futures=True)


def _ran_out_of_time(case: WaitingCase) -> bool:
    return isinstance(case.outcome.exception(), OutOfTime)
