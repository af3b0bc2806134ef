"""How much memory a server takes while a million requests go through its bounded journal.

    python -m tests.bench.journal_memory [--requests 1000000] [--journal-bytes 33554432]

Requests are sent in batches over one connection, ahead of their answers: bulk creates of one, refused ones and reads.
"""

from __future__ import annotations

import argparse
import json
import socket
from urllib.parse import urlsplit

import httpx

from tests.processes import resident_kib, serving

_BATCH = 500
_WORKFLOW = "10000000-0000-4000-8000-000000000001"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--journal-bytes", type=int, default=32 * 1024 * 1024)
    parser.add_argument("--creates", action="store_true", help="one in ten creates a run, which is kept")
    asked = parser.parse_args()
    flags = ("--journal-bytes", str(asked.journal_bytes), "--log-level", "warning")
    with serving(*flags) as (process, url):
        address = urlsplit(url)
        assert address.hostname is not None
        step = max(_BATCH, asked.requests // 10)
        print(f"{0:>9,} requests: {resident_kib(process.pid) / 1024:7.1f} MiB")
        with socket.create_connection((address.hostname, address.port or 80)) as connection:
            batch = _batch(creates=asked.creates)
            for sent in range(_BATCH, asked.requests + 1, _BATCH):
                connection.sendall(batch)
                _take_answers(connection, _BATCH)
                if sent % step < _BATCH:
                    print(f"{sent:>9,} requests: {resident_kib(process.pid) / 1024:7.1f} MiB", flush=True)
        count = httpx.post(f"{url}/__admin/requests/count", json={}, timeout=60).json()
        print(f"{count['count']:,} entries in the journal, complete: {count['complete']}")


def _batch(*, creates: bool) -> bytes:
    body = json.dumps({"workflow_id": _WORKFLOW, "count": 1}).encode()
    headers = b"Host: localhost\r\nAuthorization: Bearer test-one\r\n"
    posted = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    create = b"POST /v1/runs/bulk HTTP/1.1\r\n" + headers + posted % len(body) + body
    refused = b"POST /v1/runs/bulk?limt=1 HTTP/1.1\r\n" + headers + posted % 2 + b"{}"
    read = b"GET /v1/workflows HTTP/1.1\r\n" + headers + b"\r\n"
    requests = [refused if place % 10 < 3 else read for place in range(_BATCH)]
    if creates:
        requests[::10] = [create] * len(requests[::10])
    return b"".join(requests)


def _take_answers(connection: socket.socket, count: int) -> None:
    """Each answer begins with a status line, which no body of these holds."""
    seen, kept, left = 0, b"", 0
    while seen < count or left:
        data = kept + connection.recv(1 << 20)
        assert data, "the server closed the connection"
        while data:
            if left:
                taken = min(left, len(data))
                left -= taken
                data = data[taken:]
                continue
            head, end, rest = data.partition(b"\r\n\r\n")
            if not end:
                break
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            seen, left, data = seen + 1, int(length[15:]), rest
        kept = data


if __name__ == "__main__":
    main()
