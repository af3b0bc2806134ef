"""A connection that drops at the worst moment: the server has done what it was asked, and the client never hears."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit


class CuttingProxy:
    """Passes bytes on to a server, but closes the connection in place of the first `cuts` answers."""

    def __init__(self, server_url: str, *, cuts: int) -> None:
        parts = urlsplit(server_url)
        self._server = (parts.hostname or "", parts.port or 80)
        self._lock = threading.Lock()
        self.cuts_left = cuts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed: the test is over
            server = socket.create_connection(self._server)
            threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()
            threading.Thread(target=self._pass_back, args=(server, client), daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while chunk := client.recv(65536):
                server.sendall(chunk)
            server.shutdown(socket.SHUT_WR)
        except OSError:
            return  # one side is gone, and the other thread closes both

    def _pass_back(self, server: socket.socket, client: socket.socket) -> None:
        with server, client:
            while chunk := server.recv(65536):
                with self._lock:
                    cut, self.cuts_left = self.cuts_left > 0, max(0, self.cuts_left - 1)
                if cut:
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(chunk)


@contextmanager
def cutting_proxy(server_url: str, *, cuts: int = 1) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(server_url, cuts=cuts)
    thread = threading.Thread(target=proxy.run)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join(timeout=10)
