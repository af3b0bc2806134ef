"""Conversations of hostile and careless clients, drawn from a seed: what is sent, how it is cut, how it ends."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Any

PATIENCE_S = 30
TOKENS = (b"test", b"test-two")
NAMESPACES = (b"", b"/__ns/fuzz")
_WORKFLOWS = [b"10000000-0000-4000-8000-00000000000%d" % number for number in range(1, 8)]
_ID = b"e67a1534-2013-463c-800c-e6aa0d582f7f"
_PATHS = [
    b"/v1/health",
    b"/v1/runs",
    b"/v1/runs/bulk",
    b"/v1/runs/chain",
    b"/v1/runs/" + _ID,
    b"/v1/runs/" + _ID + b"/retry",
    b"/v1/run-attachments",
    b"/v1/run-attachments/" + _ID + b"/download-url",
    b"/v1/machines",
    b"/v1/pools",
    b"/v1/workflows",
    b"/v1/none",
    b"/__downloads/-/-/-",
    b"/",
    b"*",
    b"//v1/runs",
    b"/v1/runs/%00",
    b"/v1/runs/%ff%fe",
    b"/__ns/%ff/v1/runs",
    b"http://other.example/v1/runs",
]
_METHODS = [*[b"GET", b"POST"] * 4, b"PATCH", b"DELETE", b"PUT", b"HEAD", b"OPTIONS", b"TRACE"]
_QUERIES = [
    b"",
    b"?limit=1000",
    b"?limit=0",
    b"?skip=1e9",
    b"?status=success",
    b"?search=%00%ff",
    b"?search=" + b"a" * 3_000,
    b"?fields=id&fields=" + b"x" * 500,
    b"?include=workflow,machine,machine.pools",
    b"?created_at_from=0000-00-00",
    b"?sort_mode=created_at_desc&limit=5",
    b"?__code=503",
    b"?&&==&%",
]
_HEADERS = [
    b"Prefer: code=422",
    b"Prefer: outcome=success;duration=0, failed=2, delay=0.001",
    b'Prefer: a="' + b"\\" * 300,
    b"Prefer: " + b"," * 300,
    b"Prefer: example=none, dynamic=true",
    b"Idempotency-Key: k1",
    b"Idempotency-Key: k2",
    b"Idempotency-Key: " + b"k" * 256,
    b"Origin: http://localhost:3000",
    b"Origin: https://other.example",
    b"Sec-Fetch-Site: cross-site",
    b"Host: rebound.example",
    b"Connection: close",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c",
    b"Expect: 100-continue",
    b"Content-Type: text/plain",
    b"Content-Type: application/json; charset=utf-16",
    b"Transfer-Encoding: gzip, chunked",
    b"Content-Length: 5",
    b"Content-Length: 99999999999",
    b"X-Forwarded-Proto: https",
    b"A: " + b"b" * 2_000,
    b"A: \x01",
    b"A\x00: b",
    b" folded",
]


def body(random: Random) -> bytes:
    kind = random.randrange(12)
    if kind == 0:
        return b""
    if kind == 1:
        return random.randbytes(random.randrange(200))
    if kind == 2:
        return random.choice([b"{", b'{"a":', b"[" * 3_000, b"\xef\xbb\xbf{}", b"null", b'"text"', b"NaN", b"1e999"])
    if kind == 3:
        return b'{"workflow_id":' + b'"' + b"x" * random.randrange(20_000) + b'"}'
    if kind == 4:
        many = random.choice([b"1,", b"[],", b'"x",', b"1e400,", b"{},"]) * random.randrange(2_000)
        return b'{"count":1,"' + random.choice([b"pool_ids", b"steps", b"file_inputs"]) + b'":[' + many + b"1]}"
    sent: dict[str, Any] = {
        "workflow_id": random.choice(_WORKFLOWS).decode(),
        "count": random.choice([1, 1, 2, 3, 0, "1"]),
    }
    for name, values in _FIELDS.items():
        if random.random() < 0.15:
            sent[name] = random.choice(values)
    if random.random() < 0.1:
        sent = {"steps": [sent] * random.randrange(4), "shared_inputs": {"a": "b"}}
    text = json.dumps(sent).encode()
    if random.random() < 0.2:
        at = random.randrange(len(text))
        text = (
            text[:at] + random.choice([b"", b"\x00", b",", b"\xff", b"1e400", b'"']) + text[at + random.randrange(3) :]
        )
    return text


_FIELDS: dict[str, list[Any]] = {
    "input_values": [
        {},
        {"a": "\ud800"},
        {"a": [1, 2.5, None]},
        {"invoice_number": 1},
        "x",
        None,
        {"k" * 500: "v" * 3_000},
    ],
    "sensitive_input_values": [{"pin": "s" * 30}, [], {"a": {"b": "c"}}],
    "sensitve_inputs": [{"pin": "s" * 30}],
    "file_inputs": [[], [{"filename": "a\r\nb", "content": "aGk="}], [{"filename": "x", "content": "!"}], [1]],
    "pool_ids": [[], ["30000000-0000-4000-8000-000000000001"], [_ID.decode()] * 50, "x"],
    "machine_id": [None, _ID.decode(), 5],
    "session_id": [_ID.decode(), "x"],
    "start_session": [True, False, "yes", None],
    "status": ["cancelled", "running", "success", "x"],
    "started_at": ["2025-01-01T00:00:00Z", 5, "x"],
    "output_data": [{"a": 1}, []],
    "name": ["n", 5],
    "main_prompt": ["p"],
    "machine_ids": [[_ID.decode()], 5],
}


def request(random: Random) -> bytes:
    """One request, valid or not."""
    if random.random() < 0.01:
        return random.choice(
            [random.randbytes(random.randrange(1, 300)), b"\x16\x03\x01\x02", b"what\r\n\r\n", b"\r\n"]
        )
    method = random.choice(
        [b"GET", b"GET", b"POST", b"POST", b"POST", b"PATCH", b"DELETE", b"PUT", b"HEAD", b"OPTIONS", b"TRACE"]
    )
    path = random.choice(NAMESPACES) + random.choice(_PATHS)
    if method == b"POST" and random.random() < 0.5:
        path = random.choice([b"/v1/runs", b"/v1/runs/bulk", b"/v1/runs/chain"])
    lines = [
        method
        + b" "
        + path
        + random.choice(_QUERIES)
        + b" "
        + random.choice([b"HTTP/1.1"] * 30 + [b"HTTP/1.0", b"HTTP/2"])
    ]
    if random.random() < 0.95:
        lines.append(b"Host: 127.0.0.1")
    if random.random() < 0.9:
        lines.append(b"Authorization: Bearer " + random.choice([*TOKENS, *TOKENS, b"other", b""]))
    for _ in range(random.choice([0, 0, 0, 1, 1, 2])):
        lines.append(random.choice(_HEADERS))
    content = body(random) if method in (b"POST", b"PATCH", b"PUT") or random.random() < 0.05 else b""
    if content:
        if random.random() < 0.9:
            lines.append(b"Content-Type: application/json")
        if random.random() < 0.2:
            lines.append(b"Transfer-Encoding: chunked")
            content = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in cut(random, content)) + b"0\r\n\r\n"
            if random.random() < 0.05:
                content = content[: random.randrange(len(content))]
        else:
            lines.append(b"Content-Length: %d" % len(content))
    return b"\r\n".join(lines) + b"\r\n\r\n" + content


def cut(random: Random, stream: bytes) -> list[bytes]:
    """The stream in a few segments, none of them empty."""
    cuts = sorted({0, len(stream), *(random.randrange(len(stream) + 1) for _ in range(random.choice([0, 0, 1, 3, 8])))})
    return [stream[start:stop] for start, stop in pairwise(cuts)]


@dataclass
class Outcome:
    """What was sent, and how it was answered."""

    requests: int = 0
    statuses: dict[int, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


async def converse(port: int, random: Random, outcome: Outcome) -> None:
    """One connection: some requests, cut anywhere, and an end that is as good or bad as chance has it."""
    count = random.choice([1, 1, 2, 5, 20])
    outcome.requests += count
    stream = b"".join(request(random) for _ in range(count))
    if random.random() < 0.1:
        stream = stream[: random.randrange(len(stream) + 1)]
    leaves = random.random() < 0.1
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    try:
        async with asyncio.timeout(PATIENCE_S):
            for segment in cut(random, stream):
                writer.write(segment)
                await writer.drain()
            if leaves:
                writer.transport.abort()
                return
            writer.write_eof()
            received = await reader.read()
    except TimeoutError:  # an OSError too
        outcome.problems.append(f"no end after {PATIENCE_S} s of: {stream[:2_000]!r}")
        return
    except OSError:
        pass  # the server had enough of it
    finally:
        writer.close()
    for status in map(int, re.findall(rb"HTTP/1\.1 (\d{3}) ", received)):
        outcome.statuses[status] = outcome.statuses.get(status, 0) + 1
        # A client may ask for any status.
        if status >= 500 and b"__code=503" not in stream:
            outcome.problems.append(f"{status} for: {stream[:2_000]!r}")


async def attack(
    port: int, *, seed: int, requests: int, on_progress: Callable[[Outcome], None] | None = None
) -> Outcome:
    """So many requests and some more, on sixteen connections at a time; it ends early where much is wrong."""
    outcome = Outcome()

    async def client(number: int) -> None:
        random = Random(f"{seed} {number}")
        while outcome.requests < requests and len(outcome.problems) < 20:
            await converse(port, random, outcome)

    clients = [asyncio.ensure_future(client(number)) for number in range(16)]
    while not all(each.done() for each in clients):
        await asyncio.wait(clients, timeout=5)
        if on_progress is not None:
            on_progress(outcome)
    await asyncio.gather(*clients)
    return outcome
