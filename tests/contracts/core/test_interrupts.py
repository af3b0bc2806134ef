"""When Ctrl-C is felt."""

import os
import signal
import threading

import pytest

from contracts.core.interrupts import interrupt_delayed, sigterm_as_interrupt


def through(ended: list, *signals: int, failing: bool = False) -> None:
    """Something that is under way while signals come."""
    with interrupt_delayed():
        for each in signals:
            press(each)
        if failing:
            raise ValueError
        ended.append(True)


def press(sent: int = signal.SIGINT) -> None:
    os.kill(os.getpid(), sent)


@pytest.fixture(autouse=True)
def same_handlers_after():
    before = {stop: signal.getsignal(stop) for stop in (signal.SIGINT, signal.SIGTERM)}
    yield
    assert {stop: signal.getsignal(stop) for stop in before} == before


def test_a_block_ends_before_ctrl_c_interrupts():
    ended = []
    with pytest.raises(KeyboardInterrupt):
        through(ended, signal.SIGINT)
    assert ended


def test_a_second_ctrl_c_does_not_wait():
    ended = []
    with pytest.raises(KeyboardInterrupt):
        through(ended, signal.SIGINT, signal.SIGINT)
    assert not ended


def test_ctrl_c_interrupts_even_if_the_block_failed():
    with pytest.raises(KeyboardInterrupt):
        through([], signal.SIGINT, failing=True)


def test_a_stopped_job_waits_too():
    ended = []
    with sigterm_as_interrupt(), pytest.raises(KeyboardInterrupt):
        through(ended, signal.SIGTERM)
    assert ended


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupt_delayed():
            press()
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_are_left_alone():
    seen = []

    def work() -> None:
        with sigterm_as_interrupt(), interrupt_delayed():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]
