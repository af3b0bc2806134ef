import os

import pytest

from contracts.cli.main import main
from tests.contracts.cli import fakes


@pytest.fixture
def engine(monkeypatch):
    """The fake engine, and an environment that says nothing."""
    for name in [name for name in os.environ if name.startswith("CONTRACTS_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    return fakes.install(monkeypatch)


@pytest.fixture
def contracts(capfd):
    """Runs the command as a shell would, and gives its exit code and both outputs."""

    def run(*args):
        with pytest.raises(SystemExit) as exited:
            main([str(arg) for arg in args])
        out, err = capfd.readouterr()
        return exited.value.code, out, err

    return run


@pytest.fixture
def check(contracts, engine):
    def run(*args, url="http://127.0.0.1:4010", token="test-a"):
        return contracts("check", url, *(("--token", token) if token else ()), *args)

    return run
