"""What this check may change: the resources that it created, its sessions, and made-up ids unknown to the target."""

import uuid
from dataclasses import dataclass, field

from contracts.guard.effect import canonical


@dataclass(eq=False)
class Ownership:
    runs: dict[str, str | None] = field(default_factory=dict)
    """Each run with the masked authorization that created it: only that organisation can clean the run up."""
    unproven: set[str] = field(default_factory=set)
    """Runs for which an answer reported only the id, or that the lists did not show afterwards: they may be older than
    the check and belong to someone else.
    """
    other_ids: set[str] = field(default_factory=set)
    """The ids of attachments, machines, pools and workflows."""
    sessions: set[str] = field(default_factory=set)
    """The ids that the check generated, and those that the answers to its creates reported."""
    proven_unknown: set[str] = field(default_factory=set)
    """Made-up ids for which the target has answered 404."""
    _made_up: set[str] = field(default_factory=set)

    def add_run(self, run_id: str, authorization: str | None, *, proven: bool = True) -> None:
        if run_id not in self.runs:
            self.runs[run_id] = authorization
            if not proven:
                self.unproven.add(run_id)

    def disown(self, run_id: str) -> None:
        """Give up a run that turns out to belong to someone else."""
        self.runs.pop(run_id, None)
        self.unproven.discard(run_id)

    def new_session(self) -> str:
        session_id = str(uuid.uuid4())
        self.sessions.add(session_id)
        return session_id

    def add_made_up(self, text: str) -> None:
        self._made_up.add(canonical(text) or text.casefold())

    def created(self, resource_id: str) -> bool:
        return resource_id in self.runs or resource_id in self.other_ids

    def has_session(self, session_id: str) -> bool:
        return session_id in self.sessions or session_id in self.runs

    def is_made_up(self, text: str) -> bool:
        return text in self._made_up

    def contains_made_up(self, non_uuid: str) -> bool:
        """Return whether an id that is not a UUID contains a made-up id, so that a server may take it for that one."""
        return any(made_up and made_up in non_uuid for made_up in self._made_up)
