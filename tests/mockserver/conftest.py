"""Tests of what answers depend on the state run over both stores: the memory of the process, and a Valkey server."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from tests.mockserver import inprocess, valkey
from tests.mockserver.admin.control import ControlledMock

_HERE = Path(__file__).parent
_BOTH = {
    "behaviour/test_attachments.py",
    "behaviour/test_chains.py",
    "behaviour/test_lifecycle.py",
    "behaviour/test_machines_pools_workflows.py",
    "behaviour/test_outputs.py",
    "behaviour/test_run_index.py",
    "behaviour/test_runs_bulk.py",
    "behaviour/test_runs_create.py",
    "behaviour/test_runs_delete.py",
    "behaviour/test_runs_list.py",
    "behaviour/test_runs_retry.py",
    "behaviour/test_runs_update.py",
    "behaviour/test_secrets.py",
    "admin/test_clock.py",
    "admin/test_first_runs.py",
    "admin/test_foreign_pages.py",
    "admin/test_har.py",
    "admin/test_journal.py",
    "admin/test_journal_filters.py",
    "admin/test_masking.py",
    "admin/test_mixed_operations.py",
    "admin/test_run_control.py",
    "admin/test_seeds.py",
    "admin/test_server.py",
    "admin/test_state.py",
    "faults/test_answers.py",
    "faults/test_occasions.py",
    "test_downloads.py",
    "test_idempotency.py",
    "test_namespaces.py",
    "test_prefer.py",
    "test_rate_limit.py",
}
_prefixes = count(1)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.path.relative_to(_HERE).as_posix() in _BOTH:
        metafunc.parametrize("store", ["memory", "valkey"], indirect=True, scope="module")


@pytest.fixture(scope="module", autouse=True)
def store(request: pytest.FixtureRequest) -> Iterator[None]:
    """The store of the mocks in this process."""
    if getattr(request, "param", "memory") == "memory":
        yield
        return
    server: valkey.Valkey = request.getfixturevalue("valkey_server")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inprocess, "new_store", partial(_new_prefix, server))
        yield


def _new_prefix(server: valkey.Valkey) -> str:
    return server.url(f"test-{next(_prefixes)}:")


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[valkey.Valkey]:
    with valkey.serving(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def url(valkey_server: valkey.Valkey) -> str:
    """A store that no other test uses."""
    return valkey_server.url(f"test-{next(_prefixes)}:")


@pytest.fixture
def pair(url: str) -> tuple[ControlledMock, ControlledMock]:
    """Two servers on one store, with one clock."""
    return ControlledMock(store=url), ControlledMock(store=url, freezes=False)


@pytest.fixture
def hangup() -> Iterator[signal.Signals]:
    """Let a server that is started end with SIGHUP, also where the tests run under nohup, which has it ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield signal.SIGHUP
    signal.signal(signal.SIGHUP, before)
