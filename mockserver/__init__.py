"""A mock of the Cyberdesk runs API that behaves like the real one."""

from mockserver.app import MockServer, create_app
from mockserver.errors import StartError
from mockserver.settings import Settings

__all__ = ["MockServer", "Settings", "StartError", "create_app"]
