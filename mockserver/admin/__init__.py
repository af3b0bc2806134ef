"""The control API of the mock, under `/__admin`: not part of the mocked API."""

from mockserver.admin.application import PREFIX, Admin
from mockserver.admin.context import Dependencies

__all__ = ["PREFIX", "Admin", "Dependencies"]
