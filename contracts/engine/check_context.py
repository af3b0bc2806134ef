"""The state that all cases of a check share: the target, its known ids, and what was judged and found so far."""

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from contracts.core.exchange import Exchange, Request, is_nested_too_deeply
from contracts.core.made_up import MadeUp
from contracts.core.target import Target
from contracts.engine.canaries import Canaries
from contracts.engine.coverage import Coverage
from contracts.engine.results import CallResult
from contracts.guard import Guard
from contracts.oracle.create import Seen
from contracts.oracle.violation import FilterCause, Violation

T = TypeVar("T")


@dataclass(slots=True)
class Ids:
    """Ids of one kind. `known` exist on the target. `accepts_any_id`: the target also accepts ids that do not exist."""

    known: tuple[str, ...] = ()
    accepts_any_id: bool = False

    @property
    def available(self) -> bool:
        return self.accepts_any_id or bool(self.known)

    @property
    def has_several(self) -> bool:
        return self.accepts_any_id or len(self.known) > 1


@dataclass(repr=False)  # it would have all answers of the check: hundreds of megabytes in the report of a failing test
class CheckContext:
    """The state of a check, which its cases share and use from several threads."""

    target: Target
    guard: Guard
    deadline: float
    """When the check ends (monotonic)."""
    latency_s: float = 0.0
    """The median time that an answer took while nothing else was sent."""
    workflows: Ids = field(default_factory=Ids)
    machines: Ids = field(default_factory=Ids)
    pools: Ids = field(default_factory=Ids)
    sessions: Ids = field(default_factory=Ids)
    not_offered: dict[str, str] = field(default_factory=dict)
    """operationId → reason. All other operations are offered."""
    first_run: str | None = None
    """A run that this check created before it judged anything."""
    first_create: Exchange | None = None
    """The create of that run in a live check, until a case judges it."""
    first_runs: dict[int, list[Any]] = field(default_factory=dict)
    """Runs created at the start of the check, by the number of their case. They are judged again at the end."""
    first_runs_updated: set[int] = field(default_factory=set)
    """The cases one of whose runs was updated at the end."""
    first_keys: dict[str, tuple[Request, CallResult]] = field(default_factory=dict)
    """By operation: the first request with an idempotency key, and its result. It is sent again at the end."""
    foreign_run: str | None = None
    """A run that this check did not create. It is read if the check may not create runs."""
    may_create: bool = True
    why_not_theirs: str = ""
    """Why a live check creates nothing as the second organisation; empty if it may, or there is no second token."""
    seen: Seen = field(default_factory=Seen)
    canaries: Canaries = field(init=False)
    known_violations: set[tuple[str, str]] = field(default_factory=set)
    """The rule and cause of each violation that is not reported again."""
    judged: Counter[str] = field(default_factory=Counter)
    coverage: Coverage = field(default_factory=Coverage)
    has_sent_nested_values: bool = False
    seen_violations: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often each violation was seen, by rule and cause. Repeats of failing cases are not counted."""
    last_end: float = 0.0
    """When a run without a session was last seen to end by itself (monotonic)."""
    longest_run_s: float = 0.0
    """The longest time between the create of such a run and the answer that first showed its end."""
    notes: dict[str, None] = field(default_factory=dict)
    not_affordable: dict[str, None] = field(default_factory=dict)
    """The names of the scenarios with cases that the budget of a live check did not cover."""
    internal_errors: dict[str, None] = field(default_factory=dict)
    """Errors of the suite itself. They may have hidden a violation."""
    over: threading.Event = field(default_factory=threading.Event)
    """Set when the check ends, for whatever reason: cases that still run in other threads send nothing more."""
    has_enough_findings: bool = False
    """Whether the check ends early because of `--max-findings`."""
    was_interrupted: bool = False
    lock: Any = field(default_factory=threading.RLock)
    _unnamed: int = 0

    def __post_init__(self) -> None:
        made_up = self.made_up("check")
        self.search_prefix = made_up.letters(8)
        """Every `search_word` of this check begins with it."""
        self.canaries = Canaries(made_up)

    @property
    def is_live(self) -> bool:
        return self.target.profile == "live"

    @property
    def has_second(self) -> bool:
        return self.target.second_token is not None

    def offers(self, *names: str) -> bool:
        return not any(name in self.not_offered for name in names)

    @property
    def known_ids(self) -> dict[str, tuple[str, ...]]:
        """The ids that exist, by the path parameter that they are for."""
        return {
            "run_id": () if self.first_run is None else (self.first_run,),
            "workflow_id": self.workflows.known,
            "machine_id": self.machines.known,
            "pool_id": self.pools.known,
        }

    @property
    def replaceable_ids(self) -> frozenset[str]:
        """Known ids of the kinds for which the target also accepts made-up ids."""
        kinds = (self.workflows, self.machines, self.pools, self.sessions)
        return frozenset(known_id for ids in kinds if ids.accepts_any_id for known_id in ids.known)

    @property
    def base_request(self) -> dict[str, Any]:
        """The fields of every create on a live target, from the request that the user knows to work."""
        return dict(self.target.base_request or {}) if self.is_live else {}

    def random(self, *parts: object) -> random.Random:
        """Return a generator that depends only on the seed and `parts`."""
        return random.Random(f"{self.target.seed}/{'/'.join(map(str, parts))}")

    def in_shard(self, cases: Iterable[T]) -> Iterator[T]:
        """Yield the cases that belong to the shard of this check. The shards together have all of them."""
        number, shards = self.target.shard
        return itertools.islice(cases, number - 1, None, shards)

    def made_up(self, *parts: object) -> MadeUp:
        """Return made-up values that depend on seed, salt, shard and `parts`. Without `parts`, each call has others.

        The values of the shards differ, since several shards may check one target at the same time.
        """
        with self.lock:
            self._unnamed += not parts
            parts = parts or ("unnamed", self._unnamed)
        shard = () if self.target.shard == (1, 1) else ("shard", *self.target.shard)
        return MadeUp("/".join(map(str, (self.target.seed, self.target.salt, *shard, *parts))))

    def count(self, rule: str, times: int = 1) -> None:
        with self.lock:
            self.judged[rule] += times

    def take_first_create(self) -> Exchange | None:
        """Return, and forget, the create that discovery has sent and no case has judged."""
        with self.lock:
            exchange, self.first_create = self.first_create, None
        return exchange

    def note_nesting(self, *requests: Request) -> None:
        """Note whether requests that are about to be sent have values nested so deeply that Python cannot read an
        answer with them.
        """
        self.has_sent_nested_values |= any(is_nested_too_deeply(request.body or b"") for request in requests)

    def note(self, text: str) -> None:
        with self.lock:
            self.notes[text] = None

    def knows(self, violation: Violation) -> bool:
        """Return whether the violation is already known. A violation by a combination of filters is known if a smaller
        combination of the same filters has shown it.
        """
        if (violation.rule, violation.cause) in self.known_violations:
            return True
        cause = violation.cause
        return isinstance(cause, FilterCause) and any(
            rule == violation.rule and cause.refines(known) for rule, known in tuple(self.known_violations)
        )

    def knows_cause(self, violation: Violation) -> bool:
        """Return whether a violation with this cause is already known, of whatever rule."""
        return any(cause == violation.cause for _, cause in tuple(self.known_violations))

    def note_known(self, violation: Violation) -> None:
        self.known_violations.add((violation.rule, violation.cause))

    def saw(self, violation: Violation) -> None:
        with self.lock:
            self.seen_violations[violation.rule, violation.cause] += 1

    def note_internal_error(self, name: str, error: Exception) -> None:
        message = f"Internal error in scenario {name!r}: {error!r}; it may have hidden a violation."
        with self.lock:
            self.internal_errors[message] = None

    def search_word(self, made_up: MadeUp) -> str:
        """Return a random word to search for. No other run contains the word or a part from its middle. On a live
        target the guard's ownership marker follows.
        """
        word = f"{self.search_prefix}{made_up.letters(6)}{made_up.randrange(100, 1000)}{made_up.letters(4)}"
        return f"{word} {self.guard.ownership_marker}" if self.is_live else word

    @property
    def time_left(self) -> float:
        return self.deadline - time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether nothing more is sent: the check has ended, the target cannot be reached, or no request is left."""
        guard = self.guard
        is_stopped = self.over.is_set() or guard.reachability.why_gone or guard.why_no_request_left
        return self.time_left <= 0 or bool(is_stopped)
