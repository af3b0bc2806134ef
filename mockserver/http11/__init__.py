"""HTTP/1.1 as an asyncio protocol that runs an ASGI application, with a limit on every size and every wait.

`ConnectionFactory` replaces uvicorn's protocol class: `uvicorn.Config(app, http=ConnectionFactory(limits))`. It
needs only `Limits` and the key of a scope from the rest of the mock.
"""

from mockserver.http11.connection import Connection
from mockserver.http11.factory import ConnectionFactory
from mockserver.http11.room import Delay

__all__ = ["Connection", "ConnectionFactory", "Delay"]
