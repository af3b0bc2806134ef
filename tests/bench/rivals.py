"""Other mocks of the same document: Prism, Mockoon and WireMock, installed from npm into a directory of their own."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.bench.load import Call, requests_per_second
from tests.bench.measures import MOCK, Effort, bulk, compare, serving
from tests.bench.results import Row, Table
from tests.processes import resident_kib

PACKAGES: Final = ("@stoplight/prism-cli@5", "@mockoon/cli@9", "wiremock@3")
PATIENCE_S: Final = 60
_SPEC: Final = str(Path(__file__).parents[2] / "openapi" / "cyberdesk.yaml")
_UNWATCHED: Final = ("--no-admin", "--journal-bytes", "0", "--no-warnings")


@dataclass(frozen=True)
class Rival:
    """`command` listens on the port that replaces `PORT`. `flags` are those of our mock beside it."""

    name: str
    command: tuple[str, ...]
    goal: str
    flags: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


def rivals(directory: Path) -> list[Rival]:
    commands = directory / "node_modules" / ".bin"
    prism = (str(commands / "prism"), "mock", _SPEC, "-p", "PORT", "-h", "127.0.0.1")
    mockoon = (str(commands / "mockoon-cli"), "start", "--data", _SPEC, "--port", "PORT", "--disable-log-to-file")
    jar = next((directory / "node_modules" / "wiremock").rglob("*.jar"))
    files = str(directory / "wiremock")
    wiremock = ("java", "-jar", str(jar), "--port", "PORT", "--root-dir", files, "--use-chunked-encoding", "never")
    return [
        Rival("Prism, static example", prism, "≥ 5"),
        Rival("Prism, dynamic", prism, "≥ 5", headers={"Prefer": "dynamic=true"}),
        Rival("Mockoon", mockoon, "≥ 9"),
        Rival("WireMock", wiremock, "≥ 2"),
        Rival("WireMock, both without journal", (*wiremock, "--no-request-journal"), "≥ 1", _UNWATCHED),
    ]


def table(effort: Effort) -> Table:
    made = Table(
        "Other mocks",
        "Bulk creates of one run, warm. Prism and Mockoon have the same document; WireMock has a template with the "
        "workflow of the request and a random id. None of them keeps a run, and all of them ignore `count`.",
    )
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        install = ["npm", "install", "--prefix", name, "--no-fund", "--no-audit", "--loglevel", "error", *PACKAGES]
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
        _write_template(directory / "wiremock")
        for rival in rivals(directory):
            with serving(*MOCK, *rival.flags) as (ours, url), _serving(rival, directory) as (theirs, other):
                mock = bulk(url, 1)
                headers = (*mock.headers, *rival.headers.items())
                call = Call(f"{other}/v1/runs/bulk", "POST", mock.body, headers)
                for each in (call, mock):
                    requests_per_second(each, effort.warm_up_s)
                made.add(compare(f"beside {rival.name}", mock, call, "", effort, rival.goal))
                mib = [resident_kib(process.pid) / 1024 for process in (ours, theirs)]
                made.add(
                    Row(
                        f"memory, beside {rival.name}",
                        *(f"{each:,.0f} MiB" for each in mib),
                        ratios=[mib[0] / mib[1]],
                        goal="≤ 0.2" if rival.name == "WireMock" else "",
                    )
                )
    return made


def _write_template(directory: Path) -> None:
    run = {
        "id": "{{randomValue type='UUID'}}",
        "workflow_id": "{{jsonPath request.body '$.workflow_id'}}",
        "status": "scheduling",
        "created_at": "{{now}}",
        **dict.fromkeys(("machine_id", "error", "output_data", "session_id", "started_at", "ended_at")),
    }
    mapping = {
        "request": {"method": "POST", "urlPath": "/v1/runs/bulk"},
        "response": {
            "status": 201,
            "headers": {"Content-Type": "application/json"},
            "body": json.dumps({"created_runs": [run], "failed_count": 0, "errors": []}),
            "transformers": ["response-template"],
        },
    }
    (directory / "mappings").mkdir(parents=True)
    (directory / "mappings" / "bulk.json").write_text(json.dumps(mapping), encoding="utf-8")


@contextlib.contextmanager
def _serving(rival: Rival, directory: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Start it, and wait until it answers a bulk create."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [str(port) if word == "PORT" else word for word in rival.command]
    with (directory / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url, process, directory / "log")
            yield process, url
        finally:
            process.kill()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + PATIENCE_S
    mock = bulk(url, 1)
    headers = {**dict(mock.headers), "Content-Type": "application/json"}
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(urllib.request.Request(mock.url, mock.body, headers, method="POST")).close()
            return
        time.sleep(0.2)
    raise AssertionError(log.read_text(errors="replace")[-2000:])
