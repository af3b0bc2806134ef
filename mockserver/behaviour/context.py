"""What a behaviour gets besides its call: the space that it works in, the world, and the preferences of the client."""

from __future__ import annotations

from collections.abc import Callable, Collection, MutableMapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mockserver.behaviour.batch import Batch, Change
from mockserver.behaviour.ids import one_id
from mockserver.behaviour.lifecycle import Schedule, Schedules, Timeline
from mockserver.behaviour.run_index import RunIndex
from mockserver.behaviour.session_timelines import SessionTimelines
from mockserver.behaviour.world import RunProfile, World
from mockserver.clock import Clock, Instant
from mockserver.settings import MEBIBYTE, Limits, Progression
from mockserver.spec import render_json
from mockserver.store import SpaceStore, UnitStore


class RunProfiles(dict[str, RunProfile]):
    """Run profiles by workflow id. A workflow that is not in the world has the default profile."""

    def __init__(self, world: World) -> None:
        super().__init__({id_: workflow.profile for id_, workflow in world.workflows.items()})
        self._default = world.default_profile

    def __missing__(self, workflow_id: str) -> RunProfile:
        return self._default


class CachedJSON(NamedTuple):
    """A cached run's JSON and what it was rendered from.

    Valid while `change` and `timelines` are the same objects, from the simulated time `since` to before `until`: a list
    may be of an earlier time than an answer to another request.
    """

    change: Change
    timelines: SessionTimelines | None
    since: int
    until: int
    text: bytes


class RenderedBudget:
    """Limits the JSON of runs that the caches of all spaces keep together. Past it, all of it is dropped.

    One limit for each space would not limit anything: clients can use any number of organisations.
    """

    def __init__(self) -> None:
        self._bytes = 0
        self._caches: dict[int, dict[Any, Any]] = {}
        """The dicts with the texts, by `id`. Not the spaces, which may have been dropped."""

    def add(self, texts: dict[Any, Any], size: int, replaced: int | None) -> None:
        """Count a text that is about to be put into `texts`. `replaced` is the size of the one that it replaces."""
        added = size + _TEXT_OVERHEAD_BYTES if replaced is None else size - replaced
        if self._bytes + added > _MAX_RENDERED_BYTES:
            for each in self._caches.values():
                each.clear()
            self._caches.clear()
            self._bytes, added = 0, size + _TEXT_OVERHEAD_BYTES
        self._caches[id(texts)] = texts
        self._bytes += added

    def remove(self, sizes: Collection[int]) -> None:
        """Count texts of these sizes no longer."""
        self._bytes -= sum(sizes) + _TEXT_OVERHEAD_BYTES * len(sizes)


_MAX_RENDERED_BYTES = 32 * MEBIBYTE
_TEXT_OVERHEAD_BYTES = 512
"""What a cached text takes in memory besides its bytes."""


@dataclass(slots=True)
class Cache:
    """Values derived from the store, cached for speed only: each entry holds what it was derived from.

    `sessions`: the timelines by session id, with the version of the session. `rendered`: by batch tail and place.
    `rendered_ranges`: the JSON of several runs of a batch, by batch tail and places, with the simulated times since
    and until which it is valid.
    `index`: it follows the versions of the store; None until the first list.
    """

    sessions: dict[str, tuple[int, SessionTimelines]] = field(default_factory=dict)
    timeline_count: int = 0  # of all sessions together
    rendered: dict[str, dict[int, CachedJSON]] = field(default_factory=dict)
    rendered_ranges: dict[tuple[str, range], tuple[int, int, bytes]] = field(default_factory=dict)
    index: RunIndex | None = None


class Space:
    """One organisation in one namespace: its store, its clock, and the key that seeds all its randomness.

    `rendered_budget` is that of all spaces of the mock.
    """

    def __init__(
        self,
        *,
        make_store: Callable[[Space], SpaceStore],
        clock: Clock,
        key: bytes,
        secret: bytes,
        namespace: str,
        organisation: str,
        world: World,
        progression: Progression,
        rendered_budget: RenderedBudget,
    ) -> None:
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
        self.rendered_budget = rendered_budget
        self.created_template: bytes | None = None
        self.requests = 0  # in flight
        self.secret = secret
        self.store = make_store(self)

    @property
    def index(self) -> RunIndex:
        if self.cached.index is None:
            self.cached.index = RunIndex(self.schedules, self.profiles)
        return self.cached.index

    def schedule(self, batch: Batch, place: int, change: Change) -> Schedule:
        return self.schedules.schedule(self.profiles[batch.workflow_id], batch, place, change)

    def timeline(self, batch: Batch, place: int, change: Change) -> Timeline:
        """The timeline of a run without a session."""
        return self.schedules.timeline(self.profiles[batch.workflow_id], batch, place, change)


@dataclass(frozen=True, slots=True)
class Preferences:
    """What `Prefer` (and `?__code=`) asked for. `delay_s` is in real seconds, `duration_s` in simulated seconds."""

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
    """Why the other preferences were ignored."""


NO_PREFERENCES = Preferences()


class Context(NamedTuple):
    space: Space
    world: World
    preferences: Preferences
    known_only: bool
    strict: bool
    limits: Limits
    now: int
    """The moment of the request: all its effects have this timestamp."""
    sim_time: int
    """The same in simulated time."""
    sign_download: Callable[[str, int], str]
    """Makes a download URL that needs no token, from an attachment id and its expiry in seconds since 1970."""
    transaction: UnitStore | None = None
    """Holds back the commits of this request."""

    @property
    def store(self) -> UnitStore:
        return self.space.store if self.transaction is None else self.transaction


MakeContext = Callable[[Space, Preferences, Instant, MutableMapping[str, Any]], Context]
"""Makes the context of a request from its time and its ASGI scope."""
