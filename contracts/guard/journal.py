"""The journal on disk: what a check is about to create, and what it created, so that a crash leaves nothing unknown.

One file of JSON lines a check. Before a create is sent its *intent* stands in the file; before anyone sees the answer,
the ids do. What stands between (a kill -9, a cut connection) is found again by what the intent tells: when, which
workflow, how many, and whether the runs carry a proof of ours (see cleanup.py). No token, no input value and no
sensitive value is ever written: values only as a salted digest, tokens as a salted fingerprint of 32 bits, enough to
tell a wrong one and too little to confirm a guess.

A lock file beside it is held while the check runs and falls free with the process, however that ends.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from contracts.findings import CouldNotCheck
from contracts.target import Target, is_loopback

_VERSION = 1
_SUFFIX = ".jsonl"
_KEEP_LOOPBACK_FOR = timedelta(days=1)
_FINGERPRINT_ROUNDS = 20_000

UNFORESEEN = 0
"""Runs that are written down without an intent: found by clean-up, or told by an answer to something else."""


def default_directory() -> Path:
    """`CONTRACTS_JOURNAL_DIR`, else the user's state directory: the same from any folder."""
    if chosen := os.environ.get("CONTRACTS_JOURNAL_DIR"):
        return Path(chosen)
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "cyberdesk-contracts"


@dataclass(slots=True)
class Intent:
    """A create that is about to be sent. `at` is seconds since the epoch, by this machine's clock."""

    number: int
    at: float
    identity: str
    runs: int
    workflow_ids: tuple[str, ...] = ()
    session_id: str | None = None
    carries_marker: bool = False
    digest: str | None = None


@dataclass(slots=True)
class Record:
    """What a journal on disk says. `open_intents` are those of which nobody knows what they made."""

    path: Path
    url: str
    origin: str
    profile: str
    marker: str
    started_at: float
    salt: str
    fingerprints: dict[str, str]
    runs: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    sessions: set[str] = field(default_factory=set)
    open_intents: dict[int, Intent] = field(default_factory=dict)

    @property
    def unfinished(self) -> dict[str, str]:
        return {run: identity for run, identity in self.runs.items() if run not in self.gone}


class Journal:
    """Thread-safe. Written through to the disk where the target is not this machine; on loopback a crash of the system
    takes the target along, and the system's cache outlives a kill -9 of the process.
    """

    def __init__(self, directory: Path, target: Target, marker: str, started_at: float) -> None:
        self._salt = secrets.token_hex(8)
        self._written_through = not target.is_loopback
        self._lock = threading.Lock()
        self._numbers = UNFORESEEN
        stamp = datetime.fromtimestamp(started_at, UTC).strftime("%Y%m%dT%H%M%SZ")
        self.path = directory / f"{stamp}-{os.getpid()}-{secrets.token_hex(3)}{_SUFFIX}"
        header = {
            "journal": _VERSION,
            "url": target.url,
            "origin": target.origin,
            "profile": target.profile,
            "marker": marker,
            "started_at": started_at,
            "salt": self._salt,
            "fingerprints": fingerprints(target.token, target.second_token, self._salt),
        }
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file_lock = FileLock(f"{self.path}.lock", timeout=0)
            self._file_lock.acquire()
            self._file = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_WRONLY, 0o600)
            self._write(header)
        except OSError as error:
            raise CouldNotCheck(f"the journal cannot be written in {directory}: {error.strerror or error}") from None

    def intend(self, intent: Intent) -> Intent:
        """Gives the intent its number; it stands on disk when this returns."""
        with self._lock:
            self._numbers += 1
            intent.number = self._numbers
            line = {"intent": intent.number, "at": intent.at, "as": intent.identity, "runs": intent.runs}
            for name, value in (
                ("workflows", intent.workflow_ids),
                ("session", intent.session_id),
                ("marked", intent.carries_marker),
                ("digest", intent.digest),
            ):
                if value:
                    line[name] = value
            self._write(line)
        return intent

    def made(self, number: int, identity: str, run_ids: list[str]) -> None:
        """Closes the intent: these runs came of it, and none else."""
        with self._lock:
            self._write({"made": number, "as": identity, "ids": run_ids})

    def told(self, identity: str, run_ids: list[str]) -> None:
        """Runs that an intent made, which stays open: there may be more."""
        with self._lock:
            self._write({"made": UNFORESEEN, "as": identity, "ids": run_ids})

    def session(self, session_id: str) -> None:
        with self._lock:
            self._write({"session": session_id})

    def gone(self, run_ids: list[str]) -> None:
        with self._lock:
            self._write({"gone": run_ids})

    def digest(self, values: Any) -> str:
        return digest(values, self._salt)

    def close(self, *, keep: bool) -> None:
        """Lets go of the lock; the file stays where something is left to clean up."""
        os.close(self._file)
        if not keep:
            self.path.unlink(missing_ok=True)
        self._file_lock.release()
        if not keep:
            Path(self._file_lock.lock_file).unlink(missing_ok=True)

    def _write(self, line: dict[str, Any]) -> None:
        os.write(self._file, json.dumps(line, separators=(",", ":")).encode() + b"\n")
        if self._written_through:
            os.fsync(self._file)


def fingerprints(token: str, second_token: str | None, salt: str) -> dict[str, str]:
    tokens = {"first": token} | ({"second": second_token} if second_token else {})
    return {
        identity: hashlib.pbkdf2_hmac("sha256", secret.encode(), salt.encode(), _FINGERPRINT_ROUNDS, 4).hex()
        for identity, secret in tokens.items()
    }


def digest(values: Any, salt: str) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{salt}\n{text}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


def records(directory: Path) -> Iterator[tuple[Record | None, FileLock | None, Path]]:
    """Every journal in the directory, oldest first, with its lock held while the caller looks at it.

    No lock: it is in use. No record: it cannot be read (of another version, or no journal at all).
    """
    for path in sorted(directory.glob(f"*{_SUFFIX}")):
        lock = FileLock(f"{path}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            yield None, None, path
            continue
        try:
            if path.exists():
                yield read(path), lock, path
        finally:
            lock.release()
            if not path.exists():
                Path(lock.lock_file).unlink(missing_ok=True)


def read(path: Path) -> Record | None:
    """None where the file is no journal of this version. A last line that a crash cut short is left out."""
    lines = path.read_bytes().split(b"\n")[:-1]
    try:
        header = json.loads(lines[0]) if lines else {}
        if header.get("journal") != _VERSION:
            return None
        record = Record(
            path=path,
            **{name: header[name] for name in ("url", "origin", "profile", "marker", "started_at", "salt")},
            fingerprints=header["fingerprints"],
        )
        for line in lines[1:]:
            _take(record, json.loads(line))
    except (ValueError, KeyError, AttributeError, TypeError):
        return None
    return record


def _take(record: Record, line: dict[str, Any]) -> None:
    if "intent" in line:
        record.open_intents[line["intent"]] = Intent(
            number=line["intent"],
            at=line["at"],
            identity=line["as"],
            runs=line["runs"],
            workflow_ids=tuple(line.get("workflows", ())),
            session_id=line.get("session"),
            carries_marker=line.get("marked", False),
            digest=line.get("digest"),
        )
    elif "made" in line:
        record.runs.update(dict.fromkeys(line["ids"], line["as"]))
        record.open_intents.pop(line["made"], None)
    elif "gone" in line:
        record.gone.update(line["gone"])
    elif "session" in line:
        record.sessions.add(line["session"])


def drop_stale_loopback_journals(directory: Path, now: datetime) -> None:
    """Servers on loopback that a full check left runs on are mostly long gone, and their journals would pile up."""
    oldest = (now - _KEEP_LOOPBACK_FOR).timestamp()
    for record, _, path in records(directory):
        if record and is_loopback(record.url) and record.profile == "full" and record.started_at < oldest:
            path.unlink()
