"""`contracts check` as a program against hostile servers: it ends by itself, in bounded memory, and says why."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.servers import BEHAVIOURS, CERTIFICATE, HostileServer
from tests.standin.behaviour import Settings
from tests.standin.serving import serving

TOKEN = Settings().tokens[0]
MAX_MEMORY = 2 * 1024**3
"""Of addresses: past it the program fails hard."""
PATIENCE_S = 120

NOTHING_CAN_BE_CHECKED = {
    "gzip_bomb": ("60s", "when unpacked"),
    "negative_chunk": ("60s", "a chunk of size '-5'"),
    "not_http": ("60s", r"it begins with 'SSH-2.0-Open\\x1b\[31mSSH"),
    "informational_flood": ("60s", "more than 32 interim answers"),
    "retry_after_a_year": ("60s", r"429 \(Retry-After: 31536000\)"),
    "unavailable_for_a_year": ("20s", r"the target asked to wait for 31536000 s \(Retry-After\)"),
    "redirect_elsewhere": ("60s", r"no create succeeds \(307"),
    "slow_head": ("3s", "the head of the answer was not complete in time"),
    "slow_handshake": ("3s", "the TLS handshake was not done"),
    "hostile_text": ("60s", r"malformed header: 'X-\\x1b: no'"),
}
"""Name, --max-time, and what the line says."""
SOME_READS_ARE_HOSTILE = {
    "reset_in_the_body": r"no answer: the answer was cut after \d+ of 1000 bytes",
    "two_lengths": "no answer: the answer has more than one Content-Length: 2, 3",
    "deep_json": "",
}
A_RUN = r"^GET /v1/runs/[0-9a-f]{8}-[0-9a-f-]{27}$"


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str
    folder: Path
    requests: Sequence[bytes]

    @property
    def report(self) -> Any:
        return json.loads((self.folder / "report.json").read_text(encoding="utf-8"))


def check(url: str, folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    folder.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CONTRACTS_")}
    reports = [f"--report={name}={folder / f'report.{name}'}" for name in ("json", "html", "junit", "sarif", "har")]
    return subprocess.run(
        [sys.executable, "-m", "contracts", "check", url, "--seed", "1", *flags, *reports],
        env=kept | {"CONTRACTS_JOURNAL_DIR": str(folder / "journal"), "CONTRACTS_TOKEN": TOKEN},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY)),
    )


def checked(name: str, folder: Path, *flags: str, where: str | None = None) -> Ended:
    with ExitStack() as stack:
        behind = None if where is None else stack.enter_context(serving())
        server = stack.enter_context(HostileServer(BEHAVIOURS[name], behind=behind, where=where or ""))
        trusted = ("--ca-bundle", str(CERTIFICATE)) if server.url.startswith("https") else ()
        done = check(server.url, folder, *flags, *trusted)
        return Ended(done.returncode, done.stdout, done.stderr, folder, tuple(server.requests))


def assert_decent(name: str, ended: Ended) -> None:
    """What holds whatever the server did."""
    shown = ended.out + ended.err
    assert "Traceback" not in shown, (name, shown)
    assert not {c for c in shown if not c.isprintable() and c != "\n"}, name
    everything = [path.read_text(encoding="utf-8") for path in ended.folder.glob("report.*")]
    assert not any(TOKEN in text for text in (shown, *everything)), name
    pages = [text for text in everything if text.startswith("<!doctype")]
    assert not any(text.count("<script") > 1 for text in pages), name  # one of the report's own
    assert not any(b"elsewhere" in request.split(b"\r\n")[0] for request in ended.requests), name


@pytest.mark.parametrize("name", NOTHING_CAN_BE_CHECKED)
def test_a_server_that_cannot_be_checked_is_told_in_one_line(name: str, tmp_path: Path) -> None:
    max_time, words = NOTHING_CAN_BE_CHECKED[name]
    end = checked(name, tmp_path / "ended", "--max-time", max_time)
    assert_decent(name, end)
    assert (end.status, end.out) == (2, "")
    assert end.err.startswith("Error: ")
    assert end.err.count("\n") == 1
    assert re.search(words, end.err), end.err
    assert end.report["verdict"] == "could_not_check"


@pytest.mark.parametrize(
    "stops", [("--max-findings", "1"), pytest.param((), marks=pytest.mark.matrix)], ids=["at the first", "whole"]
)
@pytest.mark.parametrize(("name", "words"), SOME_READS_ARE_HOSTILE.items())
def test_a_hostile_answer_in_the_middle_is_a_finding_that_says_what_was_seen(
    name: str, words: str, stops: tuple[str, ...], tmp_path: Path
) -> None:
    partly = ("--max-time", "60", "--rule", "READ-BACK", "--max-runs", "60")
    end = checked(name, tmp_path / "ended", *partly, *stops, where=A_RUN)
    assert_decent(name, end)
    assert (end.status, end.err) == (1, "")
    got = [finding["got"] for finding in end.report["findings"]]
    assert any(re.search(words, each) for each in got), got
