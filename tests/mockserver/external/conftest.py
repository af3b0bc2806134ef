"""Mocks to send to, and tokens that keep the tests apart."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from uuid import uuid4

import pytest

from tests.mockserver.external.serving import served


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
