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
        log.add("GET", "/v1/first", 200)

    async def request_until_written():
        while not out.getvalue():
            log.add("GET", "/v1/second", 200)
            await asyncio.sleep(0.01)

    asyncio.run(request())
    asyncio.run(request_until_written())

    paths = [json.loads(line)["path"] for line in out.getvalue().splitlines()]
    assert paths[0] == "/v1/first"
    assert set(paths[1:]) == {"/v1/second"}


def test_a_path_cannot_write_to_the_terminal():
    out = io.StringIO()
    log = AccessLog("text", out=out)

    async def request():
        log.add("GET", "/\x1b[31m\n", 404)
        log.flush()

    asyncio.run(request())

    assert "\x1b" not in out.getvalue()
    assert out.getvalue().count("\n") == 1
