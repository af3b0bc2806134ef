"""The stored form of runs: one batch per create call, and for each run only its changes since then.

A *batch* holds the runs that one call created: up to 1000 runs that differ only in their ids. It is immutable. Its
*changes* hold what updates, retries and deletes did to single runs, by the run's *place* in the batch. Both store JSON
as rendered bytes: clients get back what they sent, and nothing is rendered twice.

Times are integer microseconds: *moments* are timestamps since 1970, as clients see them; *simulated time* is the time
in which runs progress. See `mockserver.clock`.

Classes that every create instantiates are NamedTuples: three times as fast to make as a frozen dataclass, and smaller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol, get_args

from mockserver.behaviour.ids import Ids
from mockserver.clock import Clock

BATCH = "batch"
CHANGES = "changes"
SESSION = "session"
FILES = "files"

Status = Literal["scheduling", "running", "running_checks", "success", "task_failed", "error", "cancelled"]
STATUSES: tuple[Status, ...] = get_args(Status)
Outcome = Literal["success", "task_failed", "error"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
"""How a run can end by itself."""
TERMINAL: frozenset[str] = frozenset({*OUTCOMES, "cancelled"})

NO_FIELDS: Mapping[str, bytes] = MappingProxyType({})


class JSONText(Protocol):
    """JSON as bytes, or an object that renders it on demand: `%b` and `bytes` accept either."""

    def __bytes__(self) -> bytes: ...

    def __len__(self) -> int:
        """The approximate size in bytes."""


AttachmentType = Literal["input", "output"]


class File(NamedTuple):
    """An attachment of every run of a batch, or of one run. The content is stored once for all of them.

    In the name of an output, `{n}` stands for the place of the run in its batch, from 1.
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
    """Maps the tail of an attachment's id to the run that owns it, in the batch with the tail `batch_tail`.

    If `run_place` is None, every run of the batch has the attachment, with the id at the run's place in `ids`.
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
    """What `Prefer: outcome=…, duration=…` asked for; None leaves it to the workflow.

    `running_us` is in simulated microseconds.
    """

    outcome: str | None
    running_us: int | None


class Batch(NamedTuple):
    """The runs of one create call.

    `created` is a moment, and `born` the same in simulated time. `input_values` and `aliases` are JSON. Sensitive
    values are not stored.
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
    """Files that its runs get when they end in success in their first attempt."""
    given: tuple[File, ...] = ()
    """Output files that its runs have from the start, in their first attempt."""
    seeded: int = 0
    """The simulated time at which the batch was seeded; 0 for a batch that was not.

    The clock has no moments for the simulated time before it: `moment_of` counts from `created` there.
    """
    block: str | None = None
    """The key of its ledger block, if that does not follow from `number`."""

    @property
    def tail(self) -> str:
        return self.ids.tail

    def moment_of(self, sim_time: int, clock: Clock) -> int:
        """The moment at a simulated time of one of its runs."""
        if sim_time >= self.seeded:
            return clock.moment_of(sim_time)
        return self.created + (sim_time - self.born)


class Move(NamedTuple):
    """A status that an update or the control API set at the simulated time `at`.

    If it `holds`, the run stays in this status until something else changes it.
    """

    status: str
    at: int
    holds: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """The changes of one run since it was created.

    `fields` are rendered values that updates have set; `moves` are the statuses that were set in this attempt. A retry
    starts a new `attempt`, which `began` at a simulated time and may have its own placement, files, aliases and script.
    """

    fields: Mapping[str, bytes] = field(default_factory=lambda: NO_FIELDS)
    moves: tuple[Move, ...] = ()
    deleted: int | None = None  # simulated time
    began: int | None = None
    attempt: int = 0
    placement: Placement | None = None
    files: tuple[File, ...] | None = None
    aliases: bytes | None = None
    script: Script | None = None
    outputs: tuple[File, ...] = ()
    """Files that it gets when it ends in success in an attempt after the first."""


Changes = Mapping[int, Change]
NO_CHANGES: Changes = MappingProxyType({})
UNCHANGED = Change()


class Slot(NamedTuple):
    """Consecutive runs of one batch in the order of a session: from `first` up to but not including `stop`.

    A run belongs to the slot only in the given `attempt`. Until the simulated time `after`, the machine was held by an
    earlier run, which a retry has since removed from this place.
    """

    batch_tail: str
    first: int
    stop: int
    attempt: int
    after: int = 0


class Session(NamedTuple):
    """Runs that share one machine, in order of execution. A retry moves a run to the end."""

    slots: tuple[Slot, ...]
    machine_id: str | None

    def without(self, batch_tail: str, place: int, ended: int) -> Session:
        """Return the session without a run that ended at simulated time `ended`; later runs still start after it."""
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
