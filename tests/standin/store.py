"""What one organisation has, in memory, and how its runs move on with time.

Moments are seconds of the wall clock. Nothing runs in the background: `advance` does, in the order of their moments,
what is due, so that a session's runs follow one another exactly however rarely anybody looks.
"""

import asyncio
import hashlib
import heapq
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.standin.models import Status

TERMINAL = frozenset({Status.SUCCESS, Status.TASK_FAILED, Status.ERROR, Status.CANCELLED})
EDGES = {
    Status.SCHEDULING: {Status.RUNNING, Status.CANCELLED},
    Status.RUNNING: {Status.RUNNING_CHECKS, Status.SUCCESS, Status.TASK_FAILED, Status.ERROR, Status.CANCELLED},
    Status.RUNNING_CHECKS: {Status.SUCCESS, Status.TASK_FAILED, Status.ERROR},
}


@dataclass(slots=True, eq=False)
class Run:
    """`number` counts in the order of creation. `epoch` makes what the agenda holds of an earlier life void."""

    id: str
    number: int
    organization_id: str
    workflow_id: str
    created_at: datetime
    machine_id: str | None = None
    pool_ids: list[str] | None = None
    session_id: str | None = None
    session_alias: str | None = None
    release_session_after: bool | None = None
    input_values: dict[str, Any] | None = None
    sensitive_input_aliases: dict[str, str] | None = None
    input_attachment_ids: list[str] = field(default_factory=list)
    output_attachment_ids: list[str] | None = None
    status: str = Status.SCHEDULING
    error: list[str] | None = None
    output_data: dict[str, Any] | None = None
    run_message_history: list[dict[str, Any]] | None = None
    usage_metadata: dict[str, Any] | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    epoch: int = 0


@dataclass(slots=True, eq=False)
class Attachment:
    id: str
    run_id: str
    filename: str
    content: bytes
    content_type: str
    attachment_type: str
    target_path: str | None
    cleanup_imports_after_run: bool
    created_at: datetime
    storage_path: str


@dataclass(slots=True, eq=False)
class Session:
    """One machine for a row of runs: `current` has it, the others wait in the order of their creation."""

    waiting: list[tuple[int, int, Run]] = field(default_factory=list)
    current: Run | None = None


@dataclass(slots=True, eq=False)
class Answered:
    """What an idempotency key stands for: the request it came with, and its answer once there is one."""

    request: str
    answer: tuple[int, dict[str, str], bytes] | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(eq=False)
class Organisation:
    id: str
    runs: dict[str, Run] = field(default_factory=dict)
    attachments: dict[str, Attachment] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    vault: dict[str, Any] = field(default_factory=dict)
    keys: dict[str, Answered] = field(default_factory=dict)
    machines: dict[str, dict[str, Any]] = field(default_factory=dict)
    pools: dict[str, dict[str, Any]] = field(default_factory=dict)
    workflows: dict[str, dict[str, Any]] = field(default_factory=dict)
    created: int = 0
    newest: float = 0.0
    agenda: list[tuple[float, int, int, str, Run]] = field(default_factory=list)

    def __post_init__(self) -> None:
        made = datetime.now(UTC)
        space = uuid.uuid5(uuid.NAMESPACE_URL, self.id)
        for name in ("Accounts", "Claims"):
            pool_id = str(uuid.uuid5(space, f"pool {name}"))
            self.pools[pool_id] = {"id": pool_id, "name": name, "description": None, "created_at": made}
        for number in (1, 2):
            machine_id = str(uuid.uuid5(space, f"machine {number}"))
            pools = list(self.pools) if number == 1 else list(self.pools)[:1]
            self.machines[machine_id] = {"id": machine_id, "name": f"desk-{number}", "created_at": made, "pools": pools}
        for name in ("Enter an invoice", "Read a balance"):
            workflow_id = str(uuid.uuid5(space, f"workflow {name}"))
            self.workflows[workflow_id] = {
                "id": workflow_id, "name": name, "main_prompt": f"{name}.", "input_schema": None, "output_schema": None,
                "is_webhooks_enabled": False, "created_at": made, "updated_at": made,
            }  # fmt: skip


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


class Lifecycle:
    """`scheduling_s` and `running_s` are how long the two take, on average; each run has its own share."""

    def __init__(self, scheduling_s: float, running_s: float) -> None:
        self.scheduling_s = scheduling_s
        self.running_s = running_s

    def lot(self, run: Run, what: str) -> int:
        """0..999, always the same for a run and its life."""
        return int.from_bytes(hashlib.sha256(f"{run.id} {run.epoch} {what}".encode()).digest()[:4]) % 1000

    def schedule(self, org: Organisation, run: Run, now: float) -> None:
        """A new or retried run: starts by itself, or waits for its session's machine."""
        if run.session_id is None:
            self.at(org, now + self.wait_s(run), "start", run)
            return
        session = org.sessions.setdefault(run.session_id, Session())
        heapq.heappush(session.waiting, (run.number, run.epoch, run))
        if session.current is None:
            self.next_of(org, session, now)

    def wait_s(self, run: Run) -> float:
        return self.scheduling_s * (0.5 + self.lot(run, "wait") / 1000)

    def work_s(self, run: Run) -> float:
        return self.running_s * (0.5 + self.lot(run, "work") / 1000)

    def next_of(self, org: Organisation, session: Session, now: float) -> None:
        session.current = None
        while session.waiting:
            _, epoch, run = heapq.heappop(session.waiting)
            if epoch == run.epoch and run.status == Status.SCHEDULING and run.id in org.runs:
                session.current = run
                self.at(org, now + self.wait_s(run), "start", run)
                return

    def at(self, org: Organisation, when: float, what: str, run: Run) -> None:
        heapq.heappush(org.agenda, (when, run.number, run.epoch, what, run))

    def advance(self, org: Organisation, now: float) -> None:
        while org.agenda and org.agenda[0][0] <= now:
            when, _, epoch, what, run = heapq.heappop(org.agenda)
            if epoch == run.epoch and run.id in org.runs:
                self.start(org, run, when) if what == "start" else self.finish(org, run, when)

    def start(self, org: Organisation, run: Run, when: float) -> None:
        if run.status == Status.SCHEDULING:
            run.status, run.started_at = Status.RUNNING, moment(when)
            self.at(org, when + self.work_s(run), "finish", run)

    def finish(self, org: Organisation, run: Run, when: float) -> None:
        run.status = self.outcome(run)
        run.ended_at = moment(when)
        self.results(org, run)
        self.leave(org, run, when)

    def outcome(self, run: Run) -> Status:
        lot = self.lot(run, "outcome")
        if run.error:
            return Status.ERROR
        if run.output_data or lot < 800:
            return Status.SUCCESS
        return Status.TASK_FAILED if lot < 900 else Status.ERROR

    def results(self, org: Organisation, run: Run) -> None:
        """What an update has already filled stays."""
        if run.run_message_history is None:
            run.run_message_history = [{"role": "assistant", "content": f"closed as {run.status}"}]
        if run.status != Status.SUCCESS:
            run.error = run.error or ["The desktop did not show what was expected."]
            return
        run.output_data = run.output_data or {"finished": True, "row": run.number}
        if run.output_attachment_ids is None and self.lot(run, "file") < 500:
            content = f"result of run {run.number}\n".encode()
            made = Attachment(
                id=str(uuid.uuid4()), run_id=run.id, filename="result.txt", content=content, content_type="text/plain",
                attachment_type="output", target_path=None, cleanup_imports_after_run=False,
                created_at=run.ended_at or run.created_at, storage_path=f"{org.id}/{run.id}/result.txt",
            )  # fmt: skip
            org.attachments[made.id] = made
            run.output_attachment_ids = [made.id]

    def leave(self, org: Organisation, run: Run, now: float) -> None:
        """The run needs its session's machine no longer: it has ended, or is deleted."""
        session = org.sessions.get(run.session_id or "")
        if session is not None and session.current is run:
            self.next_of(org, session, now)
