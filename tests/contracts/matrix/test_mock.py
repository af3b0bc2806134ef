"""The mock itself, with its own check of each answer on: the full profile finds nothing."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def mock(tmp_path):
    command = [str(Path(sys.executable).with_name("mockserver")), "serve", "--port", "0", "--self-check"]
    # Its log goes to a file: a pipe that nobody reads would hold it up when it is full.
    with (tmp_path / "mock.log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert process.stdout is not None
        url = next(found[0] for line in process.stdout if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
        yield url
        process.terminate()
        process.communicate(timeout=30)


def test_the_full_profile_finds_nothing_in_the_mock(contracts, tmp_path, mock):
    status, out, err = contracts(
        *("check", mock, "--profile", "full", "--token", "test-one", "--second-token", "test-two"),
        *("--seed", 1, "--max-time", 120, "--report", "json=report.json"),
    )

    report = json.loads((tmp_path / "report.json").read_text())
    assert report["findings"] == [], out
    assert status == 0, out + err
    assert {rule["status"] for rule in report["rules"]} <= {"passed", "skipped"}
