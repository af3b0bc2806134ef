"""The tables, and how runs move on: what is due by the wall clock is done before each request, in its order."""

import hashlib
import json
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

TERMINAL = ("success", "task_failed", "error", "cancelled")
OUTCOMES = ("success", "success", "task_failed", "success", "error", "success", "success")
WAITING_MS, WORKING_MS = 90, 240
JSON_COLUMNS = (
    *("release_session_after", "session_alias", "sensitive_input_aliases", "pool_ids", "input_values"),
    *("run_message_history", "output_attachment_ids", "input_attachment_ids", "output_data", "error"),
)
ACTIVITY = f"status IN {TERMINAL}, number DESC"
SCHEMA = f"""
PRAGMA journal_mode = MEMORY;
PRAGMA synchronous = OFF;
CREATE TABLE runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE, org TEXT, workflow_id TEXT, machine_id TEXT,
    session_id TEXT, status TEXT, created_ms INTEGER, due_ms INTEGER, started_at TEXT, ended_at TEXT,
    release_session_after TEXT, session_alias TEXT, sensitive_input_aliases TEXT, pool_ids TEXT, input_values TEXT,
    run_message_history TEXT, output_attachment_ids TEXT, input_attachment_ids TEXT, output_data TEXT, error TEXT,
    words BLOB AS (words(json_quote(id), session_alias, input_values, output_data, error)) STORED,
    more_words BLOB AS (words(run_message_history)) STORED
);
CREATE INDEX runs_due ON runs (due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX runs_busy ON runs (session_id, org) WHERE due_ms IS NOT NULL;
CREATE INDEX runs_waiting ON runs (session_id, org, number) WHERE status = 'scheduling';
CREATE INDEX runs_session ON runs (session_id, org);
CREATE INDEX runs_activity ON runs (org, {ACTIVITY});
CREATE INDEX runs_newest ON runs (org, created_ms DESC, number DESC);
CREATE TABLE contents (digest BLOB PRIMARY KEY, content BLOB);
CREATE TABLE attachments (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE, org TEXT, run_id TEXT, kind TEXT, filename TEXT,
    digest BLOB, size INTEGER, target_path TEXT, cleanup INTEGER, created_ms INTEGER
);
CREATE INDEX attachments_run ON attachments (run_id);
CREATE TABLE links (secret TEXT PRIMARY KEY, attachment_id TEXT, until_ms INTEGER);
CREATE TABLE keys (
    org TEXT, scope TEXT, key TEXT, request BLOB, status INTEGER, body BLOB, PRIMARY KEY (org, scope, key)
);
"""


def new_id() -> str:
    """A UUID of version 7."""
    bits = time.time_ns() // 1_000_000 << 80 | secrets.randbits(80)
    return str(UUID(int=bits & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62))


def written(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")


def folded(text: str) -> bytes:
    return text.lower().encode()


def words(*documents: str | None) -> bytes:
    """What a search may find in these JSON texts. 0xFF is in no UTF-8, so that nothing is found across two values."""
    return b"\xff".join(folded(word) for document in documents if document for word in _leaves(json.loads(document)))


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for child in value.values() if isinstance(value, dict) else value:
            yield from _leaves(child)
    elif value is not None:
        yield value if isinstance(value, str) else json.dumps(value)


class Store:
    def __init__(self, path: str) -> None:
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.db.row_factory = sqlite3.Row
        self.db.create_function("words", -1, words, deterministic=True)
        self.db.executescript(SCHEMA)
        self.now_ms = 0

    @contextmanager
    def transaction(self, name: str) -> Iterator[None]:
        self.db.execute(f"SAVEPOINT {name}")
        try:
            yield
        except BaseException:
            self.db.execute(f"ROLLBACK TO {name}")
            raise
        finally:
            self.db.execute(f"RELEASE {name}")

    def all(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        return self.db.execute(sql, values).fetchall()

    def one(self, sql: str, *values: Any) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self.db.execute(sql, values).fetchone()
        return row

    def add(self, table: str, **columns: Any) -> None:
        marks = ", ".join("?" * len(columns))
        self.db.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", tuple(columns.values()))

    def change(self, number: int, **columns: Any) -> None:
        sets = ", ".join(f"{name} = ?" for name in columns)
        self.db.execute(f"UPDATE runs SET {sets} WHERE number = ?", (*columns.values(), number))

    def attach(
        self, org: str, run_id: str, kind: str, filename: str, content: bytes, path: str | None = None, cleanup: int = 0
    ) -> str:
        attachment_id, digest = new_id(), hashlib.sha256(content).digest()
        self.db.execute("INSERT OR IGNORE INTO contents VALUES (?, ?)", (digest, content))
        self.add(
            "attachments", id=attachment_id, org=org, run_id=run_id, kind=kind, filename=filename, digest=digest,
            size=len(content), target_path=path, cleanup=cleanup, created_ms=self.now_ms,
        )  # fmt: skip
        return attachment_id

    # Time

    def advance(self) -> None:
        self.now_ms = max(self.now_ms, time.time_ns() // 1_000_000)
        due = "SELECT * FROM runs WHERE due_ms <= ? ORDER BY due_ms, number LIMIT 1"
        while (run := self.one(due, self.now_ms)) is not None:
            if run["status"] == "scheduling":
                ends_ms = run["due_ms"] + WORKING_MS + run["number"] % 5 * 30
                self.change(run["number"], status="running", started_at=written(run["due_ms"]), due_ms=ends_ms)
            else:
                self._finish(run)

    def _finish(self, run: sqlite3.Row) -> None:
        """What an update has filled stays, and decides how the run ends."""
        error, output = json.loads(run["error"] or "null"), json.loads(run["output_data"] or "null")
        status = "error" if error else "success" if output else OUTCOMES[run["number"] % len(OUTCOMES)]
        ends: dict[str, Any] = {"status": status, "due_ms": None, "ended_at": run["ended_at"] or written(run["due_ms"])}
        if run["run_message_history"] is None:
            ends["run_message_history"] = json.dumps([{"author": "agent", "text": f"ended with {status}"}])
        if status != "success":
            ends["error"] = json.dumps(error or ["A window did not open in time"])
        else:
            ends["output_data"] = json.dumps(output or {"rows": run["number"], "confirmed": True}, ensure_ascii=False)
            if run["output_attachment_ids"] is None and run["number"] % 2:
                content = f"rows of {run['id']}".encode()
                made = self.attach(run["org"], run["id"], "output", "rows.csv", content)
                ends["output_attachment_ids"] = json.dumps([made])
        self.change(run["number"], **ends)
        self.next_in_session(run["org"], run["session_id"], run["due_ms"])

    def schedule(self, org: str, number: int, session_id: str | None) -> None:
        """A new or retried run starts by itself, or waits for its turn in its session."""
        if session_id is None:
            self.change(number, due_ms=self.now_ms + WAITING_MS + number % 7 * 20)
        else:
            self.next_in_session(org, session_id, self.now_ms)

    def next_in_session(self, org: str, session_id: str | None, at_ms: int) -> None:
        of_session = "FROM runs WHERE session_id = ? AND org = ?"
        if session_id is None or self.one(f"SELECT 1 {of_session} AND due_ms IS NOT NULL", session_id, org):
            return
        waiting = f"SELECT number {of_session} AND status = 'scheduling' ORDER BY number LIMIT 1"
        run = self.one(waiting, session_id, org)
        if run is not None:
            self.change(run["number"], due_ms=at_ms + WAITING_MS)
