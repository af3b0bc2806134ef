"""`contracts` as a program, in a folder and with a journal of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contracts.checks import TOKENS

FULL = os.environ.get("STANDIN_MATRIX") == "full"


@pytest.fixture
def program(tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONTRACTS_")}
    environment |= {"CONTRACTS_JOURNAL_DIR": str(tmp_path / "journal"), "CONTRACTS_TOKEN": TOKENS[0]}
    started = []

    def start(*args, **settings):
        process = subprocess.Popen(
            [sys.executable, "-m", "contracts", *map(str, args)],
            cwd=tmp_path,
            env=environment | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture
def contracts(program):
    def run(*args, **settings):
        process = program(*args, **settings)
        out, err = process.communicate(timeout=240)
        return process.returncode, out, err

    return run


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.matrix)
