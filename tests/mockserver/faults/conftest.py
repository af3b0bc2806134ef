"""A mock behind a socket, and a namespace of it for each test."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.mockserver.faults.sockets import Served
from tests.processes import serving


@pytest.fixture(scope="package")
def url() -> Iterator[str]:
    with serving("--log-level", "warning") as (_, url):
        yield url


@pytest.fixture
def served(url: str) -> Served:
    return Served(url, f"t{uuid4().hex}")
