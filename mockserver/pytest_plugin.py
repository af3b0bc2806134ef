"""The fixture `cyberdesk_mock`: a namespace of a mock server that runs for the whole session.

The server is neither imported nor started until a test uses the fixture.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import pytest

from mockserver.errors import StartError

if TYPE_CHECKING:
    from mockserver.settings import Settings
    from mockserver.testing import CyberdeskMock, MockServer

_INI = "cyberdesk_mock_settings"
_NOT_SETTINGS = (StartError, TypeError, ValueError)
"""What Settings raises for invalid values and unknown names."""
_MOCK = pytest.StashKey["tuple[CyberdeskMock, int]"]()
"""The mock of a test, and the last request outside of any namespace before the test."""


def pytest_addoption(parser: pytest.Parser) -> None:
    help_ = "Settings of the mock behind the fixture cyberdesk_mock, one a line: `progression: manual`."
    parser.addini(_INI, help_, type="linelist")


def pytest_configure(config: pytest.Config) -> None:
    marker = "cyberdesk_mock(**settings): settings of the mock for this test, such as progression='manual'."
    config.addinivalue_line("markers", marker)


@pytest.fixture(scope="session")
def cyberdesk_mock_settings(pytestconfig: pytest.Config) -> Settings:
    """Settings of the mock; override it to change them. Its default takes them from the ini file."""
    from mockserver.settings import Settings
    from mockserver.yaml_file import parse_yaml

    try:
        given = parse_yaml("\n".join(pytestconfig.getini(_INI)), "its lines") or {}
        if not isinstance(given, dict):
            raise TypeError("write one setting a line, such as `progression: manual`")
        return Settings(**given)
    except _NOT_SETTINGS as error:
        pytest.fail(f"{_INI} in the ini file: {error}", pytrace=False)


@pytest.fixture(scope="session")
def _cyberdesk_servers() -> Iterator[Callable[[Settings], MockServer]]:
    """One server for each distinct Settings, started on first use."""
    from mockserver.testing import MockServer

    servers: dict[Settings, MockServer] = {}
    with ExitStack() as stack:

        def server(settings: Settings) -> MockServer:
            if settings not in servers:
                servers[settings] = stack.enter_context(MockServer(settings))
            return servers[settings]

        yield server


@pytest.fixture
def cyberdesk_mock(
    request: pytest.FixtureRequest,
    cyberdesk_mock_settings: Settings,
    _cyberdesk_servers: Callable[[Settings], MockServer],
) -> Iterator[CyberdeskMock]:
    """A mock of the Cyberdesk API for this test alone: `url` and `token` are for its client, the rest controls it."""
    from mockserver.settings import Settings

    node = request.node
    given: object = cyberdesk_mock_settings  # by a fixture of the user, perhaps
    try:
        if not isinstance(given, Settings):
            what = f"the fixture cyberdesk_mock_settings returns a {type(given).__name__}"
            raise TypeError(f"{what}: let it return Settings(...)")
        # The workers of pytest-xdist can share neither a port nor a state file.
        settings = replace(given, **{**_marked(node), "port": 0})
        if settings.state is not None:
            raise ValueError("state: a test puts one into its mock with cyberdesk_mock.load_state(json.load(file))")
        server = _cyberdesk_servers(settings)
    except _NOT_SETTINGS as error:
        pytest.fail(f"The mock cannot start: {error}", pytrace=False)
    with server.namespace(_namespace_of(node.nodeid)) as mock:
        node.stash[_MOCK] = mock, mock.last_seq_outside()
        yield mock
        del node.stash[_MOCK]


def _marked(node: pytest.Item) -> dict[str, Any]:
    """Return the settings of all markers; the closest marker takes precedence. Raises TypeError."""
    marked: dict[str, Any] = {}
    for marker in reversed(list(node.iter_markers("cyberdesk_mock"))):
        if marker.args:
            raise TypeError("@pytest.mark.cyberdesk_mock takes settings by name, such as progression='manual'")
        marked |= marker.kwargs
    return marked


def _namespace_of(nodeid: str) -> str:
    """Return the same name in each session, since run ids are derived from it. It shows which test it belongs to."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", nodeid.rpartition("::")[2])[:60]
    return f"{name}-{blake2b(nodeid.encode('utf-8', 'surrogatepass'), digest_size=4).hexdigest()}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and _MOCK in item.stash:
        from mockserver.testing.failure_report import requests_text

        report.sections.append(("Requests to the mock", requests_text(*item.stash[_MOCK])))
    return report
