"""What this check may change: runs and attachments that it created, its sessions, and made-up ids that are unknown."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Mapping

from contracts.guard.effect import canonical


class Ids(Collection[str]):
    """A live view of ids. Iteration uses a snapshot, so other threads may add ids meanwhile."""

    def __init__(self, ids: dict[str, str | None]) -> None:
        self._ids = ids

    def __contains__(self, item: object) -> bool:
        return item in self._ids or (isinstance(item, str) and canonical(item) in self._ids)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._ids))

    def __len__(self) -> int:
        return len(self._ids)


class Ownership:
    """Stores runs with the authorization they were created with, since only its organisation may clean them up."""

    def __init__(self) -> None:
        self._runs: dict[str, str | None] = {}
        self._unproven: set[str] = set()
        self._others: set[str] = set()
        self._sessions: set[str] = set()
        self._claimed_unknown: set[str] = set()
        self._proven_unknown: set[str] = set()
        self.runs = Ids(self._runs)

    @property
    def authorizations(self) -> Mapping[str, str | None]:
        """Maps each run to the authorization it was created with: masked, or one that is not secret."""
        return self._runs

    def add_run(self, run_id: str, authorization: str | None, *, proven: bool = True) -> None:
        """Add a run. If not `proven`, an answer reported only its id, so it may be an older run of someone else."""
        if run_id not in self._runs:
            self._runs[run_id] = authorization
            if not proven:
                self._unproven.add(run_id)

    def prove_run(self, run_id: str) -> None:
        self._unproven.discard(run_id)

    def is_proven(self, thing_id: str) -> bool:
        return thing_id not in self._unproven

    def add_other(self, thing_id: str) -> None:
        self._others.add(thing_id)

    def add_session(self, session_id: str) -> None:
        self._sessions.add(session_id)

    def new_session(self) -> str:
        session_id = str(uuid.uuid4())
        self._sessions.add(session_id)
        return session_id

    def claim_unknown(self, text: str) -> None:
        self._claimed_unknown.add(canonical(text) or text.casefold())

    def prove_unknown(self, text: str) -> None:
        self._proven_unknown.add(text)

    def made(self, thing_id: str) -> bool:
        return thing_id in self._runs or thing_id in self._others

    def is_session_of_ours(self, session_id: str) -> bool:
        return session_id in self._sessions or session_id in self._runs

    def is_claimed_unknown(self, text: str) -> bool:
        return text in self._claimed_unknown

    def is_proven_unknown(self, text: str) -> bool:
        return text in self._proven_unknown

    def builds_on_ours(self, odd_id: str) -> bool:
        """Return whether the text contains a made-up id (it is not a UUID, but may be interpreted as one)."""
        return any(known and known in odd_id for known in self._claimed_unknown)
