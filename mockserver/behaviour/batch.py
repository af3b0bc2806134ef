"""What is kept of runs: the call that made them once, and of each run only what has changed since.

A *batch* is what one call created: up to 1000 runs that differ in nothing but their ids. It never changes. What
updates, retries and deletes did to single runs stands beside it, in its *changes*, by the run's index. Both hold
JSON as rendered bytes: what was sent goes back to the client as it came, and nothing is rendered twice.

What is made on every create is a NamedTuple: made three times as fast as a frozen dataclass, and smaller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol

from mockserver.behaviour.ids import Ids
from mockserver.clock import Clock

BATCH = "batch"
CHANGES = "changes"
SESSION = "session"
FILES = "files"

Status = Literal["scheduling", "running", "running_checks", "success", "task_failed", "error", "cancelled"]
TERMINAL: frozenset[str] = frozenset({"success", "task_failed", "error", "cancelled"})

NO_FIELDS: Mapping[str, bytes] = MappingProxyType({})


class JSONText(Protocol):
    """JSON, or what writes it when it is shown: `%b` and `bytes` take either."""

    def __bytes__(self) -> bytes: ...

    def __len__(self) -> int:
        """About how many bytes it has."""


AttachmentType = Literal["input", "output"]


class File(NamedTuple):
    """An attachment of each run of a batch, or of one run: the bytes stand here once for all of them.

    In the name of an output, `{n}` is the place of the run in its batch, from 1.
    """

    ids: Ids
    filename: str
    content: bytes
    content_type: str
    target_path: str | None
    cleanup_imports_after_run: bool
    created: int
    type: AttachmentType = "input"


class FileOwner(NamedTuple):
    """Leads from the tail of an attachment's id to the run that has it, in the batch of that tail.

    Where `run_place` is None each run of the batch has it, under the id at its own place in the row.
    """

    batch_tail: str
    ids: Ids
    run_place: int | None


class Placement(NamedTuple):
    """Where runs execute. `pool_ids` is JSON."""

    machine_id: str | None
    pool_ids: bytes
    session_id: str | None
    session_alias: bytes
    release_session_after: bytes


class Script(NamedTuple):
    """What `Prefer: outcome=…, duration=…` asked for; None leaves it to the workflow. `running_us` is lived time."""

    outcome: str | None
    running_us: int | None


class Batch(NamedTuple):
    """`created` is a moment, and `born` the same in lived time. `input_values` and `aliases` are JSON; sensitive values
    are nowhere.
    """

    ids: Ids
    number: int
    created: int
    born: int
    workflow_id: str
    placement: Placement
    input_values: JSONText
    aliases: JSONText
    files: tuple[File, ...]
    script: Script | None
    outputs: tuple[File, ...] = ()
    """What its runs get when they end well, in their first attempt."""
    given: tuple[File, ...] = ()
    """Outputs that they have in it from the start."""
    seeded: int = 0
    """The lived time at which it was put there, with a past: what was lived before has no moments on the clock."""
    block: str | None = None
    """The block of the ledger in which it stands, where that does not follow from its number."""

    @property
    def tail(self) -> str:
        return self.ids.tail

    def moment_of(self, sim_time: int, clock: Clock) -> int:
        """When one of its runs had lived so long."""
        if sim_time >= self.seeded:
            return clock.moment_of(sim_time)
        return self.created + (sim_time - self.born)


class Move(NamedTuple):
    """A status set at a lived time, by an update or by the control API. One that `holds` is not left by itself."""

    status: str
    at: int
    holds: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """What has happened to one run since it was created.

    `fields` are rendered values that an update has set; `moves` the statuses it has set in this attempt. A retry
    starts a new `attempt`, which `began` at a lived time, and may bring its own placement, files, aliases and script.
    """

    fields: Mapping[str, bytes] = field(default_factory=lambda: NO_FIELDS)
    moves: tuple[Move, ...] = ()
    deleted: int | None = None  # lived time
    began: int | None = None
    attempt: int = 0
    placement: Placement | None = None
    files: tuple[File, ...] | None = None
    aliases: bytes | None = None
    script: Script | None = None
    outputs: tuple[File, ...] = ()
    """What it gets when it ends well, in an attempt after the first."""


Changes = Mapping[int, Change]
NO_CHANGES: Changes = MappingProxyType({})
UNCHANGED = Change()


class Slot(NamedTuple):
    """Runs of one batch in the row of a session: those from `first` up to `stop`, in their given attempt.

    Until the lived time `after` the machine was held by a run that stood before them, and has been retried since.
    """

    batch_tail: str
    first: int
    stop: int
    attempt: int
    after: int = 0


class Session(NamedTuple):
    """Runs that share one machine, in the order in which they execute. A retried run stands at the end again."""

    slots: tuple[Slot, ...]
    machine_id: str | None

    def without(self, batch_tail: str, place: int, ended: int) -> Session:
        """Without a run that ended at a lived time: what comes behind it still comes after that time."""
        slots: list[Slot] = []
        after = 0
        for slot in self.slots:
            if slot.batch_tail == batch_tail and slot.first <= place < slot.stop:
                if slot.first < place:
                    slots.append(slot._replace(stop=place))
                after = max(ended, slot.after)
                if place + 1 < slot.stop:
                    slots.append(slot._replace(first=place + 1, after=after))
                    after = 0
            else:
                slots.append(slot if slot.after >= after else slot._replace(after=after))
                after = 0
        return Session(tuple(slots), self.machine_id)
