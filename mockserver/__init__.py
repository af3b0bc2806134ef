"""A mock of the Cyberdesk runs API that behaves like the real one."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mockserver.app import MockApp, create_app
    from mockserver.clock import Clock, ManualClock
    from mockserver.errors import ControlError, StartError
    from mockserver.settings import Limits, Settings
    from mockserver.testing import CyberdeskMock, MockServer

__all__ = [
    "Clock",
    "ControlError",
    "CyberdeskMock",
    "Limits",
    "ManualClock",
    "MockApp",
    "MockServer",
    "Settings",
    "StartError",
    "create_app",
]

_MODULES = {
    "Clock": "clock",
    "ControlError": "errors",
    "CyberdeskMock": "testing",
    "Limits": "settings",
    "ManualClock": "clock",
    "MockApp": "app",
    "MockServer": "testing",
    "Settings": "settings",
    "StartError": "errors",
    "create_app": "app",
}


def __getattr__(name: str) -> Any:
    """Import on first access, so that the command can handle signals before the rest of the package is loaded."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
