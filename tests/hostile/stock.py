"""The application behind uvicorn's own protocol, as others may serve it.

python -m tests.hostile.stock [--self-check]
"""

from __future__ import annotations

import socket
import sys

import uvicorn

from mockserver import Settings, create_app

if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    app = create_app(Settings(self_check="--self-check" in sys.argv))
    # Without `ws`, a request to upgrade would be answered in another way where a library for websockets is installed.
    config = uvicorn.Config(app, http="httptools", ws="none", log_level="error", access_log=False, timeout_keep_alive=2)
    uvicorn.Server(config).run(sockets=[listener])
