"""The mock itself, with its own check of each answer on: the full profile finds nothing."""

import json

import pytest

from tests.processes import served


@pytest.fixture
def mock(tmp_path):
    # Its log goes to a file: a pipe that nobody reads would hold it up when it is full.
    with served(log=str(tmp_path / "mock.log")) as url:
        yield url


def test_the_full_profile_finds_nothing_in_the_mock(contracts, tmp_path, mock):
    status, out, err = contracts(
        *("check", mock, "--profile", "full", "--token", "test-one", "--second-token", "test-two"),
        *("--seed", 1, "--max-time", 90, "--report", "json=report.json"),
    )

    report = json.loads((tmp_path / "report.json").read_text())
    assert report["findings"] == [], out
    assert status == 0, out + err
    assert {rule["status"] for rule in report["rules"]} <= {"passed", "skipped"}
