import os
import subprocess
import sys

import pytest

from tests.contracts.checks import TOKENS


@pytest.fixture
def program(tmp_path):
    """Starts `contracts` as a program, in a folder and with a journal of its own."""
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
