"""One live check as a program, of a server that is a bad host and beside other people's runs: what the server has
afterwards, and what the report says of it.

`python -m tests.hostile.guest_visit` prints a table of all hosts.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.hostile.guest_servers import HOSTS, create_host
from tests.standin.behaviour import Settings, Standin
from tests.standin.client import W
from tests.standin.models import Status
from tests.standin.serving import QuickServer
from tests.standin.store import Organisation, Run

TOKENS = Settings().tokens
PATIENCE_S = 120
STAYS = ("workflow_id", "input_values", "session_id", "session_alias", "created_at", "epoch")


@dataclass
class Host:
    """A server with other people's runs on it. `theirs` has what must not change of each."""

    url: str
    standin: Standin
    theirs: dict[str, dict[str, Any]] = field(default_factory=dict)
    sent: list[tuple[str, str]] = field(default_factory=list)

    @property
    def organisations(self) -> list[Organisation]:
        return list(self.standin.organisations.values())

    def add_theirs(self, organisation: Organisation, *, ended: bool, age_days: float = 0) -> None:
        organisation.created += 1
        run = Run(
            id=str(uuid.uuid4()),
            number=organisation.created,
            organization_id=organisation.id,
            workflow_id=W if organisation.created % 2 else next(iter(organisation.workflows)),
            created_at=self.standin.created_at(organisation) - timedelta(days=age_days),
            input_values={"name": "Ada"} if organisation.created % 3 else None,
            status=Status.CANCELLED if ended else Status.RUNNING,
        )
        organisation.runs[run.id] = run
        self.theirs[run.id] = _shown(run)

    @property
    def runs(self) -> dict[str, Run]:
        return {id_: run for organisation in self.organisations for id_, run in organisation.runs.items()}

    @property
    def left(self) -> list[str]:
        return [id_ for id_ in self.runs if id_ not in self.theirs]

    @property
    def changed(self) -> list[str]:
        runs = self.runs
        return [id_ for id_, before in self.theirs.items() if id_ not in runs or _shown(runs[id_]) != before]

    @property
    def created(self) -> int:
        """Runs that came into being beside the others', deleted ones too."""
        return sum(organisation.created for organisation in self.organisations) - len(self.theirs)


def _shown(run: Run) -> dict[str, Any]:
    return {name: getattr(run, name) for name in (*STAYS, "status", "error", "output_data")}


@contextmanager
def hosting(*defects: str, busy: bool = False) -> Iterator[Host]:
    """`busy`: others go on creating runs of the same workflows while the check is made."""
    app = create_host(*defects)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        host = Host(f"http://127.0.0.1:{listener.getsockname()[1]}", app.state.standin)
        for organisation in host.organisations:
            for number in range(9):
                host.add_theirs(organisation, ended=bool(number % 2), age_days=1)

        async def noting(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                host.sent.append((scope["method"], scope["path"]))
                if busy and len(host.sent) % 3 == 0:
                    host.add_theirs(host.organisations[0], ended=False)
            await app(scope, receive, send)

        with QuickServer(noting).running(listener):
            yield host


@dataclass(frozen=True)
class Visit:
    status: int
    out: str
    err: str
    report: dict[str, Any]
    left: list[str]
    changed: list[str]
    created: int
    requests: int

    @property
    def reported_left(self) -> int | None:
        reported: int | None = self.report["spent"]["runs_left"]
        return reported

    @property
    def verdict(self) -> str:
        return str(self.report["verdict"])

    @property
    def rules(self) -> set[str]:
        return {finding["rule"] for finding in self.report["findings"]}


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CONTRACTS_")}
    return kept | {"CONTRACTS_JOURNAL_DIR": str(folder / "journal"), "CONTRACTS_TOKEN": TOKENS[0]}


def command(*args: object) -> list[str]:
    return [sys.executable, "-m", "contracts", *map(str, args)]


def check_of(url: str, *flags: object, max_runs: int = 40) -> list[str]:
    return command(
        *("check", url, "--profile", "live", "--allow-writes", "--seed", 1, "--rate", 500, "--max-time", 60),
        *("--workflow-id", W, "--max-runs", max_runs, "--max-requests", 800, "--second-token", TOKENS[1], *flags),
    )


def visit(folder: Path, host: Host, *flags: object, max_runs: int = 40) -> Visit:
    path = folder / "report.json"
    done = subprocess.run(
        [*check_of(host.url, *flags, max_runs=max_runs), "--report", f"json={path}"],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    report = json.loads(path.read_text())
    return Visit(
        done.returncode, done.stdout, done.stderr, report, host.left, host.changed, host.created, len(host.sent)
    )


def main() -> None:
    names = sys.argv[1:] or ["", *HOSTS]
    print(f"{'host':36} {'made':>4} {'left':>4} {'says':>7} {'changed':>7} {'requests':>8} {'s':>5}  verdict, findings")
    for name in names:
        defects = tuple(filter(None, name.split("+")))
        busy = "busy" in defects
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder, hosting(*(d for d in defects if d != "busy"), busy=busy) as host:
            seen = visit(Path(folder), host)
        reported = "unknown" if seen.reported_left is None else seen.reported_left
        print(
            f"{name or '(healthy)':36} {seen.created:4} {len(seen.left):4} {reported!s:>7} {len(seen.changed):7}"
            f" {seen.requests:8} {time.monotonic() - began:5.1f}  {seen.verdict} {sorted(seen.rules)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
