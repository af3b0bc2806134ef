"""The journal on disk: what a check is about to create and what it has created, so that clean-up works after a crash.

A check has one file of JSON lines. The *intent* of a create is written before the create is sent, and the ids of its
runs before the caller gets the answer. If a create is interrupted (by kill -9 or a cut connection), its runs are found
by the data of the intent: the time, the workflow, the number of runs, and whether they contain a proof that they belong
to the check (see identity.py). Tokens, input values and other sensitive values are never written. Input values are
stored as a salted digest.

Of a token, the header has a fingerprint, made with the rest of the header. It shows a wrong token and a header that was
changed, so no token goes to another URL. Its 32 bits are enough for that, and too few to confirm a guess.

If the disk is full, no more creates are sent. What has happened meanwhile still counts for the clean-up of this check.

The check holds a lock file beside the journal. The system releases the lock when the process ends, however it ends.
"""

import errno
import hashlib
import json
import math
import os
import re
import secrets
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

from filelock import FileLock, Timeout

from contracts.core.exchange import SECOND_TOKEN, TOKEN, Request
from contracts.core.findings import CouldNotCheck
from contracts.core.target import Target, is_loopback
from contracts.guard.effect import Effect, uuids_under
from contracts.guard.identity import CheckIdentity

_VERSION = 2
_SUFFIX = ".jsonl"
_LOOPBACK_MAX_AGE = timedelta(days=1)
_FINGERPRINT_ROUNDS = 20_000
_LONGEST_LISTED: Final = 64
"""Longer ids in a list of the target are not stored: a hostile target must not fill the disk with them."""
_LONGEST_HEADER: Final = 65_536
_HEADER = ("url", "origin", "profile", "rate", "marker", "started_at", "salt", "fingerprints")
_MARKER = re.compile(r"contracts-[0-9a-f]{16}")

_INTENT_KEYS: Final = {
    "intent": "number",
    "at": "at",
    "as": "credentials",
    "runs": "runs",
    "workflows": "workflow_ids",
    "session": "session_id",
    "marked": "carries_marker",
    "digest": "digest",
}
"""The fields of `Intent`, by their key in the line of an intent. A field with an empty value is left out."""

IN_USE: Final = "is in use by a check that is running: its runs are not counted"
"""Why a journal cannot be used, if its check cleans up itself."""
OTHER: Final = "other"
"""The credentials of a run created with neither of the two tokens: with no authorization or with a made-up one."""
AUTHORIZATIONS: Final = {"first": TOKEN, "second": SECOND_TOKEN}
CREDENTIALS: Final = {authorization: credentials for credentials, authorization in AUTHORIZATIONS.items()}
"""What a journal writes for the authorization of a request."""


def named_directory() -> Path | None:
    """Return `CONTRACTS_JOURNAL_DIR`; None if it is not set, or empty."""
    named = os.environ.get("CONTRACTS_JOURNAL_DIR")
    return Path(named) if named else None


def default_directory() -> Path:
    """Return `CONTRACTS_JOURNAL_DIR` or a folder in the user's state directory, whatever the working directory."""
    state = os.environ.get("XDG_STATE_HOME")
    return named_directory() or (Path(state) if state else Path.home() / ".local" / "state") / "cyberdesk-contracts"


@dataclass(slots=True)
class Intent:
    """A create that is about to be sent. Times are seconds since the epoch, by this machine's clock."""

    number: int
    at: float
    credentials: str
    runs: int
    workflow_ids: Sequence[str] = ()
    session_id: str | None = None
    carries_marker: bool = False
    digest: str | None = None
    was_answered: bool = False
    answered_at: float | None = None


@dataclass(slots=True)
class JournalRecord:
    """The content of a journal. `open_intents` are creates whose runs are not known yet."""

    url: str
    origin: str
    profile: str
    rate: float | None
    """How many requests a second the check was allowed to send. A later clean-up keeps to it, too."""
    marker: str
    started_at: float
    salt: str
    fingerprints: dict[str, str]
    runs: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    unproven: set[str] = field(default_factory=set)
    """As `Ownership.unproven`."""
    sessions: set[str] = field(default_factory=set)
    open_intents: dict[int, Intent] = field(default_factory=dict)
    last_intent: int = 0
    workflows: set[str] = field(default_factory=set)
    """All workflows that creates named. A create that names none is taken to have created runs of one of these."""
    listed: dict[str, int] = field(default_factory=dict)
    """The runs that lists showed, each with the last intent before its first list: no later intent created the run."""
    oldest_listed: dict[str, float] = field(default_factory=dict)
    """By credentials: `created_at` of the oldest run in the first list (target's clock), if that was not complete."""

    def apply(self, line: dict[str, Any]) -> None:
        """Add what a line of the file says. It has one of these keys:

        - `intent`: a create is about to be sent
        - `ids`: runs were created. With `made`, these are all runs of that intent; with `answered`, those of its answer
        - `closed`: these intents create no more runs
        - `listed`, `gone`: runs that a list showed, runs that are gone
        - `session`: the check generated a session id
        """
        if "intent" in line:
            values = {name: line[key] for key, name in _INTENT_KEYS.items() if key in line}
            self.open_intents[line["intent"]] = Intent(**values)
            self.last_intent = max(self.last_intent, line["intent"])
            self.workflows.update(line.get("workflows", ()))
        elif "listed" in line:
            for run in line["listed"]:
                self.listed.setdefault(run, self.last_intent)
            if "oldest" in line:
                self.oldest_listed[line["as"]] = line["oldest"]
        elif "gone" in line:
            self.gone.update(line["gone"])
        elif "ids" in line:
            self.runs.update(dict.fromkeys(line["ids"], line["as"]))
            self.unproven.update(line.get("unproven", ()))
        if "made" in line:
            self.open_intents.pop(line["made"], None)
        elif "answered" in line:
            if (intent := self.open_intents.get(line["answered"])) is not None:
                intent.was_answered = True
                intent.answered_at = line.get("at")
        elif "closed" in line:
            for number in line["closed"]:
                self.open_intents.pop(number, None)
        elif "session" in line:
            self.sessions.add(line["session"])

    def fingerprint(self, token: str) -> str:
        """Return the fingerprint that the header has if it was written with this token and not changed since."""
        header = [getattr(self, name) for name in _HEADER if name != "fingerprints"]
        salt = json.dumps(header).encode()
        return hashlib.pbkdf2_hmac("sha256", token.encode(), salt, _FINGERPRINT_ROUNDS, 4).hex()

    @property
    def identity(self) -> CheckIdentity:
        started_at = datetime.fromtimestamp(self.started_at, UTC)
        return CheckIdentity(self.marker, started_at, self.sessions, self.workflows, self.oldest_listed)

    @property
    def unfinished(self) -> dict[str, str]:
        return {run: credentials for run, credentials in self.runs.items() if run not in self.gone}


class Journal:
    """Thread-safe. `record` is the content of the file.

    Each line is synced to disk (fsync) unless the target is on loopback: there a system crash stops the target too, and
    the system's page cache survives a kill -9 of the process.
    """

    def __init__(self, path: Path, record: JournalRecord, lock: FileLock) -> None:
        """`path` is an existing file whose `lock` is held."""
        self.path = path
        self.record = record
        self._file_lock = lock
        self._written_through = not is_loopback(record.url)
        self._lock = threading.RLock()
        self._last_number = record.last_intent
        self._file = os.open(path, os.O_APPEND | os.O_WRONLY)
        self._is_cut = not path.read_bytes().endswith(b"\n")
        """Whether the last line of the file was cut short, by a crash or a full disk."""
        self._unwritten: deque[dict[str, Any]] = deque()

    @classmethod
    def create(cls, directory: Path, target: Target, marker: str, started_at: datetime) -> Self:
        """Create a journal, after deleting stale ones. Raises CouldNotCheck if the directory cannot be written."""
        record = JournalRecord(
            url=target.url,
            origin=target.origin,
            profile=target.profile,
            rate=target.budget.rate,
            marker=marker,
            started_at=started_at.timestamp(),
            salt=secrets.token_hex(8),
            fingerprints={},
        )
        for credentials, token in (("first", target.token), ("second", target.second_token)):
            if token:
                record.fingerprints[credentials] = record.fingerprint(token)
        header = {"journal": _VERSION} | {name: getattr(record, name) for name in _HEADER}
        path = directory / f"{started_at:%Y%m%dT%H%M%SZ}-{os.getpid()}-{secrets.token_hex(3)}{_SUFFIX}"
        lock = FileLock(f"{path}.lock", timeout=0)
        try:
            drop_stale_loopback_journals(directory, started_at)
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock.acquire()
            with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
                file.write(_json_line(header))
            return cls(path, record, lock)
        except OSError as error:
            problem = f"the journal cannot be written in {directory} ({error.strerror or error})"
            raise CouldNotCheck(f"{problem}: set CONTRACTS_JOURNAL_DIR to a folder") from None

    def intend(self, request: Request, effect: Effect, now: datetime, *, keeps_digest: bool) -> Intent:
        """Write the intent of a create to the file. `request` is masked."""
        with self._lock:
            self._last_number += 1
            intent = Intent(
                number=self._last_number,
                at=now.timestamp(),
                credentials=CREDENTIALS.get(request.header("authorization") or "", OTHER),
                runs=effect.runs,
                workflow_ids=effect.workflow_ids,
                session_id=next(uuids_under(effect.body, {"session_id"}), None),
                carries_marker=self.record.marker.encode() in (request.body or b""),
                digest=self._input_digest(request, effect) if keeps_digest else None,
            )
            line = {key: getattr(intent, name) for key, name in _INTENT_KEYS.items()}
            self._write({key: value for key, value in line.items() if value})
        return intent

    def _input_digest(self, request: Request, effect: Effect) -> str | None:
        """Return the digest of the input values of a create; None if it is not known which ones its runs would have."""
        if isinstance(effect.body, dict):
            if "steps" in effect.body:
                return None
            inputs = effect.body.get("input_values")
        elif b"input_values" in (request.body or b"") or request.header("content-encoding") is not None:
            return None
        else:
            inputs = None  # a body that does not name them has none, however a server interprets it
        return digest(inputs or None, self.record.salt)

    def close_intent(self, intent: Intent, run_ids: Sequence[str], unproven: Sequence[str] = ()) -> None:
        """Close the intent: it created exactly these runs. For the `unproven` ones, the answer reported only the id."""
        self._write_runs({"made": intent.number}, intent.credentials, run_ids, unproven)

    def record_answer(self, intent: Intent, run_ids: Sequence[str], at: float, unproven: Sequence[str]) -> None:
        """Add the runs that the answer reported. The intent stays open, since the create may have created more runs.
        It creates no further ones after `at`, the time of the answer.
        """
        self._write_runs({"answered": intent.number, "at": at}, intent.credentials, run_ids, unproven)

    def close_intents(self, numbers: Sequence[int]) -> None:
        """Close intents after a search has found what they created."""
        self._write({"closed": list(numbers)})

    def add_runs(self, credentials: str, run_ids: Sequence[str], unproven: Sequence[str] = ()) -> None:
        """Add runs of this check without closing an intent, or mark earlier ones as unproven."""
        self._write_runs({}, credentials, run_ids, unproven)

    def add_listed(self, credentials: str, run_ids: Sequence[str], oldest: float | None = None) -> None:
        """Record runs that a list showed. `oldest` is when its oldest run was created, if the list is not complete."""
        line = {"listed": [run for run in run_ids if len(run) <= _LONGEST_LISTED], "as": credentials}
        self._write(line if oldest is None else line | {"oldest": oldest})

    def add_session(self, session_id: str) -> None:
        self._write({"session": session_id})

    def record_gone(self, run_ids: Sequence[str]) -> None:
        self._write({"gone": list(run_ids)})

    def close(self, *, keep: bool) -> None:
        """Release the lock, and delete the file unless `keep`."""
        with self._lock:
            os.close(self._file)
            self._file = -1  # a late write must not go to another file that has got the same number
        if not keep:
            self.path.unlink(missing_ok=True)
        self._file_lock.release()
        if not keep:
            Path(self._file_lock.lock_file).unlink(missing_ok=True)

    def _write_runs(
        self, line: dict[str, Any], credentials: str, run_ids: Sequence[str], unproven: Sequence[str]
    ) -> None:
        line |= {"as": credentials, "ids": list(run_ids)}
        self._write(line | {"unproven": list(unproven)} if unproven else line)

    def _write(self, line: dict[str, Any]) -> None:
        """Add a line. Raises CouldNotCheck for an intent that cannot be written: then nothing may be created.

        Every other line says what has happened already. It counts even if it cannot be written, so that the clean-up of
        this check knows of it, and it is written before the next one.
        """
        with self._lock:
            self._unwritten.append(line)
            try:
                self._write_lines()
            except OSError as error:
                if "intent" in line or self._file < 0:
                    if self._unwritten and self._unwritten[-1] is line:
                        self._unwritten.pop()
                    problem = f"the journal {self.path} cannot be written: {error.strerror or error}"
                    raise CouldNotCheck(problem) from None
            self.record.apply(line)

    def _write_lines(self) -> None:
        """Raises OSError."""
        while self._unwritten:
            data = (b"\n" if self._is_cut else b"") + _json_line(self._unwritten[0])
            written = os.write(self._file, data)
            self._is_cut = written < len(data) and (self._is_cut or written > 0)
            if written < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._unwritten.popleft()
        if self._written_through:
            os.fsync(self._file)


def digest(values: Any, salt: str) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{salt}\n{text}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


def journals(directory: Path, origin: str | None = None) -> Iterator[tuple[Path, Journal | str]]:
    """Yield each journal of the directory, oldest first, or the reason why it cannot be used. A journal is locked until
    it is closed. With `origin`, leave out the journals that are known to be of another origin.
    """
    for path in sorted(directory.glob(f"*{_SUFFIX}")):
        if origin is not None and _origin_of(path) not in {origin, None}:
            continue
        lock = FileLock(f"{path}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            yield path, IN_USE
            continue
        record = _read(path) if path.exists() else None
        if record is not None:
            yield path, Journal(path, record, lock)
            continue
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)
        if path.exists():
            yield path, "is not a journal that this version can read"


def other_origins(directory: Path, origin: str) -> list[str]:
    """Return the origins of all journals of the directory except this one."""
    origins = {_origin_of(path) for path in directory.glob(f"*{_SUFFIX}")}
    return sorted(other for other in origins if other not in {origin, None})


def drop_stale_loopback_journals(directory: Path, now: datetime) -> None:
    """Delete the journals of full checks on loopback that are more than a day old.

    Their servers have mostly stopped, so nobody cleans up after them and the journals would accumulate.
    """
    oldest = (now - _LOOPBACK_MAX_AGE).timestamp()
    has_old = any(_changed_at(path) < oldest for path in directory.glob(f"*{_SUFFIX}"))
    for _, journal in journals(directory) if has_old else ():
        if isinstance(journal, Journal):
            record = journal.record
            stale = is_loopback(record.url) and record.profile == "full" and record.started_at < oldest
            journal.close(keep=not stale)


def _origin_of(path: Path) -> str | None:
    """Read the origin in the header, also while a check uses the journal; None if there is none."""
    try:
        with path.open("rb") as file:
            header = _parse_line(file.readline(_LONGEST_HEADER))
    except OSError:  # deleted meanwhile
        return None
    origin = header.get("origin")
    return origin if isinstance(origin, str) else None


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another check has ended meanwhile
        return math.inf


def _read(path: Path) -> JournalRecord | None:
    """Read a journal file; None if its header is missing or has another version, or if it has what no check writes.

    A line that a crash truncated is ignored. A file without a complete line is deleted: it names no create.
    """
    raw = path.read_bytes()
    if b"\n" not in raw:
        path.unlink()
        return None
    first, *lines = (_parse_line(line) for line in raw.split(b"\n"))
    if first.get("journal") != _VERSION or not first.keys() >= set(_HEADER):
        return None
    record = JournalRecord(**{name: first[name] for name in _HEADER})
    try:
        for line in lines:
            record.apply(line)
        return record if _is_sound(record) else None
    except (AttributeError, KeyError, TypeError, ValueError):  # damaged: others must be cleaned up all the same
        return None


def _is_sound(record: JournalRecord) -> bool:
    """Return whether the values of a journal are of the types that a check writes. Raises as a wrong type makes it."""
    intents = record.open_intents.values()
    texts = (record.url, record.origin, record.profile, record.salt, *record.runs, *record.gone, *record.listed)
    texts += (*record.sessions, *record.workflows, *record.unproven, *record.fingerprints.values())
    numbers = (record.started_at, *record.oldest_listed.values(), *(intent.at for intent in intents))
    credentials = {*record.runs.values(), *(intent.credentials for intent in intents)}
    return (
        _MARKER.fullmatch(record.marker) is not None  # a shorter one might prove that runs of others are the check's
        and all(isinstance(text, str) for text in texts)
        and all(isinstance(number, int | float) for number in numbers)
        and all(isinstance(intent.runs, int) for intent in intents)
        and (record.rate is None or record.rate > 0)
        and credentials <= {*AUTHORIZATIONS, OTHER}
    )


def _parse_line(line: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(line)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _json_line(line: dict[str, Any]) -> bytes:
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"
