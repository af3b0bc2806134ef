"""The log: written by a thread, and never waited for."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from mockserver import Settings, create_app
from mockserver.log import Log, LogHandler


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


def read(reader: int) -> list[str]:
    return os.read(reader, 1_000_000).decode().splitlines()


def test_a_line_tells_method_path_and_status():
    with pipe() as (reader, writer):
        log = Log("text", fd=writer, max_lines=10)
        log.add("GET", "/v1/runs", 200)
        log.add("POST", "/v1/runs", 201)
        log.close()
        assert [line.split(" ", 1)[1] for line in read(reader)] == ["GET /v1/runs -> 200", "POST /v1/runs -> 201"]


def test_a_line_of_a_refusal_gives_the_reason_and_the_status_once():
    with pipe() as (reader, writer):
        log = Log("text", fd=writer, max_lines=10)
        log.add("GET", "/v1/runs", 422, "422: query.limit: too large")
        log.add("POST", "/v1/runs", 201, "unknown body key 'input'")
        log.close()
        refused, accepted = read(reader)
    assert refused.endswith("GET /v1/runs -> 422 (query.limit: too large)")
    assert accepted.endswith("POST /v1/runs -> 201 (unknown body key 'input')")


def test_of_a_long_path_a_line_has_the_beginning_only():
    with pipe() as (reader, writer):
        log = Log("text", fd=writer, max_lines=10)
        log.add("GET", "/v1/" + "a" * 60_000, 404)
        log.close()
        [line] = read(reader)
    assert line.endswith("a... -> 404")
    assert len(line) < 2_100


def test_a_record_that_cannot_be_written_is_reported_and_the_next_lines_are_written(capsys: pytest.CaptureFixture[str]):
    with pipe() as (reader, writer):
        log = Log("text", fd=writer, max_lines=10)
        LogHandler(log).handle(logging.LogRecord("a library", logging.ERROR, "", 1, "%d runs", ("many",), None))
        log.close()
        log = Log("text", fd=writer, max_lines=10)
        log.add("GET", "/v1/runs", 200)
        log.close()
        assert len(read(reader)) == 1
    assert "%d format: a real number is required" in capsys.readouterr().err


def test_what_is_logged_elsewhere_goes_the_same_way_with_its_traceback():
    with pipe() as (reader, writer):
        log = Log("json", fd=writer, max_lines=10)
        log.add("GET", "/v1/runs", 200)
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            failed = logging.LogRecord("mockserver", logging.ERROR, "", 1, "it %s", ("failed",), sys.exc_info())
        LogHandler(log).handle(failed)
        log.close()
        access, error = map(json.loads, read(reader))
    assert {name: access[name] for name in ("level", "method", "path", "status")} == {
        "level": "info",
        "method": "GET",
        "path": "/v1/runs",
        "status": 200,
    }
    assert (error["level"], error["message"]) == ("error", "it failed")
    assert "ZeroDivisionError" in error["traceback"]


def test_a_path_cannot_write_to_the_terminal():
    with pipe() as (reader, writer):
        log = Log("text", fd=writer, max_lines=10)
        log.add("GET", "/\x1b[31m\n\u202e", 404)
        log.close()
        (line,) = read(reader)
    assert line.endswith(r"GET /\x1b[31m\n\u202e -> 404")


def test_lines_that_nobody_reads_are_dropped_and_counted_and_nobody_waits():
    with pipe() as (reader, writer):
        log = Log("text", fd=writer, max_lines=100)
        path = "/" + "x" * 1_000
        while not log.dropped:
            log.add("GET", path, 200)
        told = log.dropped
        written: list[str] = []
        while not any("log lines were dropped" in line for line in written):
            written += read(reader)
            log.add("GET", "/after", 200)
        log.close()
    (notice,) = [line for line in written if "log lines were dropped" in line]
    assert int(notice.split("WARNING ")[1].split(" ")[0]) >= told


@pytest.mark.parametrize("fd", [None, "/dev/full"])
def test_where_nothing_can_be_written_lines_are_counted(fd: str | None):
    descriptor = None if fd is None else os.open(fd, os.O_WRONLY)
    log = Log("text", fd=descriptor, max_lines=10)
    log.add("GET", "/", 200)
    log.close()
    assert log.dropped == 1
    if descriptor is not None:
        os.close(descriptor)


class _Lines:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str, int | None, str | None]] = []
        self.notes: list[str | None] = []

    def add(
        self, method: str, path: str, status: int | None, note: str | None = None, fault: str | None = None
    ) -> None:
        self.lines.append((method, path, status, fault))
        self.notes.append(note)


async def _logged(*faults: dict[str, object]) -> list[tuple[str, str, int | None, str | None]]:
    log = _Lines()
    app = create_app(Settings(), access_log=log)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost:4010") as client:
        for fault in faults:
            assert (await client.post("/__admin/faults", json=fault)).status_code == 201
        await client.get("/v1/machines", headers={"Authorization": "Bearer test"})
    return log.lines


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"match": "*", "answer": {"status": 500}}, 500),
        ({"match": "*", "fault": "break-schema"}, 200),
        ({"match": "*", "delay_s": 0}, 200),
        ({"match": "*", "fault": "reset"}, 501),
    ],
)
def test_a_request_that_a_fault_applies_to_has_one_line_with_the_fault(fault: dict[str, object], status: int):
    assert asyncio.run(_logged(fault)) == [("GET", "/v1/machines", status, "f1")]


def test_a_request_that_no_fault_applies_to_has_one_line():
    other = {"match": "list_runs", "answer": {"status": 500}}
    assert asyncio.run(_logged(other)) == [("GET", "/v1/machines", 200, None)]


@pytest.mark.parametrize("warnings", [True, False])
def test_the_log_says_why_a_request_is_refused_whether_or_not_the_answer_warns(warnings: bool):
    async def refused(app: object) -> httpx.Response:
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:4010") as client:
            return await client.get("/v1/rums", headers={"Authorization": "Bearer test"})

    log = _Lines()
    answer = asyncio.run(refused(create_app(Settings(warnings=warnings), access_log=log)))
    (note,) = log.notes
    assert note is not None
    assert "no operation has the path /v1/rums" in note
    assert answer.headers.get("mock-warning") == (note if warnings else None)


def test_a_line_tells_the_fault_and_that_there_was_no_answer():
    with pipe() as (reader, writer):
        log = Log("text", fd=writer, max_lines=10)
        log.add("GET", "/v1/runs", 500, fault="f1")
        log.add("GET", "/v1/runs", None, fault="f2")
        log.close()
        assert [line.split(" ", 1)[1] for line in read(reader)] == [
            "GET /v1/runs -> 500 (fault f1)",
            "GET /v1/runs -> no answer (fault f2)",
        ]


def test_lines_that_are_dropped_while_the_notice_is_written_are_in_the_next_notice(monkeypatch: pytest.MonkeyPatch):
    """Writing may take long: standard error is read again, but slowly."""
    log = Log("text", fd=None, max_lines=0)
    written: list[str] = []

    def write(text: str) -> bool:
        if text:
            written.append(text)
            log.add("GET", "/v1/runs", 200)
        return True

    monkeypatch.setattr(log, "_write", write)
    log.add("GET", "/v1/runs", 200)
    log.add("GET", "/v1/runs", 200)
    log._write_waiting()
    assert " 2 log lines were dropped" in written[0]
    assert log.dropped == 1
    log.close()
