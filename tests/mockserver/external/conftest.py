"""Mocks to send to, and tokens that keep the tests apart."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from uuid import uuid4

import pytest
from cyberdesk import CyberdeskClient

from tests.mockserver.external.published import Client, MakeClient
from tests.processes import served


@pytest.fixture(scope="module")
def mock() -> Iterator[str]:
    """The URL of a mock with no flags of its own."""
    with served() as url:
        yield url


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Starts a mock with the given flags, and gives its URL."""
    with ExitStack() as stack:
        yield lambda *flags: stack.enter_context(served(*flags))


@pytest.fixture
def token() -> str:
    """A token that no other test has, and so an organisation that no other test sees."""
    return f"test-{uuid4()}"


@pytest.fixture(params=["sync", "async"])
def make_client(request: pytest.FixtureRequest, token: str) -> Iterator[MakeClient]:
    with asyncio.Runner() as runner:
        yield lambda url, **settings: Client(
            CyberdeskClient(token, base_url=url, **settings), runner if request.param == "async" else None
        )
