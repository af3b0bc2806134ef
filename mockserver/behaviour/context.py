"""What a behaviour is given beside its call: the space it works in, the world, and what the client prefers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mockserver.behaviour.batch import Change
from mockserver.behaviour.ids import one_id
from mockserver.behaviour.lifecycle import Progression, Schedules, Timeline
from mockserver.behaviour.world import RunProfile, World
from mockserver.clock import Clock
from mockserver.settings import Limits
from mockserver.spec import render_json
from mockserver.store import SpaceStore


class RunProfiles(dict[str, RunProfile]):
    """By workflow id; a workflow that the world does not know lives as the world's defaults say."""

    def __init__(self, world: World) -> None:
        super().__init__({id_: workflow.profile for id_, workflow in world.workflows.items()})
        self._default = world.default_profile

    def __missing__(self, workflow_id: str) -> RunProfile:
        return self._default


class Rendered(NamedTuple):
    """A run's JSON, and what it was written from: it holds while both are the same and until the lived time."""

    change: Change
    timelines: Mapping[tuple[str, int], Timeline] | None
    until: int
    text: bytes


class BlockStats(NamedTuple):
    """A block of batches, summed up: how many runs stand in it, and between which lived times some may be active.

    Before `active_until` all of them are active, from `ended_from` on all have ended. `oldest` and `newest`: moments.
    """

    runs: int
    active_until: int
    ended_from: int
    oldest: int
    newest: int
    is_ordered: bool
    """Whether they stand in the order in which they were created."""
    workflow_ids: Collection[str]
    machine_ids: Collection[str | None]
    session_ids: Collection[str | None]


class Endings(NamedTuple):
    """When the runs of a batch end of themselves, in lived time: each at its place, and all in the order of time."""

    by_place: Sequence[int]
    in_order: Sequence[int]


@dataclass(slots=True)
class Cache:
    """Derived from the store and kept for speed, never for truth: each entry says what it was derived from.

    `timelines` by session id, with the version of the session; `rendered` by the batch's tail and the run's index;
    `stretches`, some runs of a batch together, by its tail and their places, with the lived time until which they hold;
    `tallies` by the block of the ledger, with its version; `endings` by the batch's tail, for ever true of it.
    """

    timelines: dict[str, tuple[int, Mapping[tuple[str, int], Timeline]]] = field(default_factory=dict)
    timeline_count: int = 0  # of all sessions together
    rendered: dict[str, dict[int, Rendered]] = field(default_factory=dict)
    rendered_bytes: int = 0
    stretches: dict[tuple[str, range], tuple[int, bytes]] = field(default_factory=dict)
    tallies: dict[str, tuple[int, BlockStats]] = field(default_factory=dict)
    endings: dict[str, Endings] = field(default_factory=dict)


class Space:
    """One organisation in one namespace: its store, its clock, and the key from which all its chance follows."""

    def __init__(
        self,
        *,
        store: SpaceStore,
        clock: Clock,
        key: bytes,
        secret: bytes,
        namespace: str,
        organisation: str,
        world: World,
        progression: Progression,
    ) -> None:
        self.store = store
        self.clock = clock
        self.key = key
        self.namespace = namespace
        self.organisation = organisation
        self.user_id = one_id(key, "user")
        self.organisation_json = render_json(organisation)
        self.user_id_json = render_json(self.user_id)
        self.profiles = RunProfiles(world)
        self.schedules = Schedules(key, progression)
        self.cached = Cache()
        self.created_template: bytes | None = None
        self.requests = 0  # that are being handled
        self.secret = secret


@dataclass(frozen=True, slots=True)
class Preferences:
    """What `Prefer` (and `?__code=`) asked for. `delay_s` in real seconds, `duration_s` in a run's own."""

    code: int | None = None
    example: str | None = None
    dynamic: bool = False
    outcome: str | None = None
    duration_s: float | None = None
    failed: int | None = None
    failed_share: float | None = None
    delay_s: float | None = None
    applied: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    """Why others were passed over."""


NO_PREFERENCES = Preferences()


class Context(NamedTuple):
    space: Space
    world: World
    preferences: Preferences
    known_only: bool
    strict: bool
    limits: Limits
    now: int
    """The moment of the request: everything it does happens at once."""
    sim_time: int
    """The same in lived time."""
    sign_download: Callable[[str, int], str]
    """(attachment id, seconds since 1970 at which it expires) → a URL that needs no token."""

    @property
    def store(self) -> SpaceStore:
        return self.space.store
