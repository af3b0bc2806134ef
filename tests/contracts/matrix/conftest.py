from pathlib import Path

import pytest


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
