"""The mock in tests: a server in a thread, and objects to control it."""

from mockserver.testing.clock import MockClock
from mockserver.testing.faults import AddedFault
from mockserver.testing.mock import CyberdeskMock
from mockserver.testing.requests import Answer, Request
from mockserver.testing.runs import Run, Runs
from mockserver.testing.server import MockServer

__all__ = ["AddedFault", "Answer", "CyberdeskMock", "MockClock", "MockServer", "Request", "Run", "Runs"]
