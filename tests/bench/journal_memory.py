"""How much memory a server takes while a million requests go through its bounded journal.

    python -m tests.bench.journal_memory [--requests 1000000] [--journal-bytes 33554432]

Requests are sent in batches over one connection, ahead of their answers: bulk creates of one, refused ones and reads.
"""

from __future__ import annotations

import argparse
import json

import httpx

from tests.bench.pipeline import Pipeline
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
        step = max(_BATCH, asked.requests // 10)
        print(f"{0:>9,} requests: {resident_kib(process.pid) / 1024:7.1f} MiB")
        with Pipeline(url) as server:
            batch = _batch(creates=asked.creates)
            for sent in range(_BATCH, asked.requests + 1, _BATCH):
                server.send(batch)
                if sent % step < _BATCH:
                    print(f"{sent:>9,} requests: {resident_kib(process.pid) / 1024:7.1f} MiB", flush=True)
        count = httpx.post(f"{url}/__admin/requests/count", json={}, timeout=60).json()
        print(f"{count['count']:,} entries in the journal, complete: {count['complete']}")


def _batch(*, creates: bool) -> list[bytes]:
    body = json.dumps({"workflow_id": _WORKFLOW, "count": 1}).encode()
    headers = b"Host: localhost\r\nAuthorization: Bearer test-one\r\n"
    posted = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    create = b"POST /v1/runs/bulk HTTP/1.1\r\n" + headers + posted % len(body) + body
    refused = b"POST /v1/runs/bulk?limt=1 HTTP/1.1\r\n" + headers + posted % 2 + b"{}"
    read = b"GET /v1/workflows HTTP/1.1\r\n" + headers + b"\r\n"
    requests = [refused if place % 10 < 3 else read for place in range(_BATCH)]
    if creates:
        requests[::10] = [create] * len(requests[::10])
    return requests


if __name__ == "__main__":
    main()
