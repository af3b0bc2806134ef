"""The control API of the mock, under `/__admin`: never a part of the API that is mocked."""

from mockserver.admin.application import PREFIX, Admin
from mockserver.admin.context import Server

__all__ = ["PREFIX", "Admin", "Server"]
