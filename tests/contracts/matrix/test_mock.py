"""The mock itself: the full profile finds nothing, also with two workers and lenient reading of bodies."""

import json
from contextlib import ExitStack

import pytest

from tests.mockserver.valkey import serving
from tests.processes import served


@pytest.fixture(params=["memory", "two lax workers"])
def mock(request, tmp_path):
    with ExitStack() as stack:
        flags = ()
        if request.param == "two lax workers":
            store = stack.enter_context(serving(tmp_path))
            flags = ("--store", store.url(), "--workers", "2", "--coercion", "lax")
        # Its log goes to a file: a pipe that nobody reads would hold it up when it is full.
        yield stack.enter_context(served(*flags, log=str(tmp_path / "mock.log")))


def test_the_full_profile_finds_nothing_in_the_mock(contracts, tmp_path, mock):
    status, out, err = contracts(
        *("check", mock, "--profile", "full", "--token", "test-one", "--second-token", "test-two"),
        *("--seed", 1, "--max-time", 600, "--report", "json=report.json"),
    )

    report = json.loads((tmp_path / "report.json").read_text())
    assert report["findings"] == [], out
    assert status == 0, out + err
    assert {rule["status"] for rule in report["rules"]} <= {"passed", "skipped"}
