"""HTTP/1.1 as an asyncio protocol that runs an ASGI application: bounded in every amount and in every wait.

`Connection` takes uvicorn's place for a protocol: `uvicorn.Config(app, http=ConnectionFactory(limits))`. It knows
nothing of what the application does.
"""

from mockserver.http11.connection import Connection, ConnectionFactory

__all__ = ["Connection", "ConnectionFactory"]
