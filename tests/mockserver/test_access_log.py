"""The access log: a line a request, gathered, never lost."""

import asyncio
import io
import json

from mockserver.access_log import AccessLog


def test_lines_are_written_together_when_they_are_flushed():
    out = io.StringIO()
    log = AccessLog("text", out=out)

    async def requests():
        log.add("GET", "/v1/runs", 200)
        log.add("POST", "/v1/runs", 201)
        assert out.getvalue() == ""
        log.flush()

    asyncio.run(requests())

    assert [line.split(" ", 1)[1] for line in out.getvalue().splitlines()] == [
        "GET /v1/runs -> 200",
        "POST /v1/runs -> 201",
    ]


def test_lines_of_a_loop_that_was_closed_are_written_by_the_next():
    out = io.StringIO()
    log = AccessLog("json", out=out)

    async def request():
        log.add("GET", "/v1/health", 200)

    async def request_and_wait():
        written = asyncio.get_running_loop().create_future()
        log.add("GET", "/v1/health", 200)
        flush = log.flush
        asyncio.get_running_loop().call_later(0.15, written.set_result, flush)
        await written

    asyncio.run(request())
    asyncio.run(request_and_wait())

    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(line["method"], line["path"], line["status"]) for line in lines] == [("GET", "/v1/health", 200)] * 2


def test_a_path_cannot_write_to_the_terminal():
    out = io.StringIO()
    log = AccessLog("text", out=out)

    async def request():
        log.add("GET", "/\x1b[31m\n", 404)
        log.flush()

    asyncio.run(request())

    assert "\x1b" not in out.getvalue()
    assert out.getvalue().count("\n") == 1
