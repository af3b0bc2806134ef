"""python -m tests.hostile.probe PORT: asks for /v1/health every few milliseconds until its standard input is closed.

Each line that comes there is answered with the longest wait in seconds since the last, so that a measurement can say
how long another client waited meanwhile.
"""

from __future__ import annotations

import socket
import sys
import threading
import time

_REQUEST = b"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
_EVERY_S = 0.005


class Probe:
    def __init__(self, port: int) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port))
        self._longest_s = 0.0
        self._asked_at: float | None = None

    def run(self) -> None:
        while True:
            self._asked_at = time.perf_counter()
            self._connection.sendall(_REQUEST)
            if not self._connection.recv(65_536):
                raise ConnectionError("the server has closed the connection of the probe")
            self._longest_s = max(self._longest_s, time.perf_counter() - self._asked_at)
            self._asked_at = None
            time.sleep(_EVERY_S)

    def take(self) -> float:
        since = self._asked_at
        waiting_s = 0.0 if since is None else time.perf_counter() - since
        longest_s, self._longest_s = max(self._longest_s, waiting_s), 0.0
        return longest_s


def main() -> None:
    probe = Probe(int(sys.argv[1]))
    threading.Thread(target=probe.run, daemon=True).start()
    for _ in sys.stdin:
        print(f"{probe.take():.4f}", flush=True)


if __name__ == "__main__":
    main()
