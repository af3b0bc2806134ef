"""The mock keeps freed memory for its next large answer. Page faults are counted, and no time is measured."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import pytest

from mockserver import allocator
from tests.bench.measures import MOCK, bulk, send_call
from tests.processes import serving

_PAGES_OF_AN_ANSWER = 150


def page_faults(process: subprocess.Popen[bytes]) -> int:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2].split()
    return int(fields[7])


def page_faults_of_a_create(environment: dict[str, str]) -> float:
    """The page faults of a bulk create of 1000 runs."""
    with serving(command=MOCK, environment=environment) as (process, url):
        for _ in range(20):
            send_call(bulk(url, 1000))
        before = page_faults(process)
        for _ in range(50):
            send_call(bulk(url, 1000))
        return (page_faults(process) - before) / 50


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this C library is not glibc")
def test_a_large_answer_takes_no_new_memory_from_the_system():
    assert page_faults_of_a_create({}) < _PAGES_OF_AN_ANSWER / 3
    assert page_faults_of_a_create({"MALLOC_TRIM_THRESHOLD_": "0"}) > _PAGES_OF_AN_ANSWER


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"])
def test_what_the_environment_says_comes_first(name, monkeypatch):
    monkeypatch.setenv(name, "1")

    assert not allocator.keep_freed_memory()


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: object())

    assert not allocator.keep_freed_memory()
