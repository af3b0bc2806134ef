"""Namespaces: each is a separate API, with its own clock, journal, faults, and a space for each organisation.

`/__ns/NAME/v1/…` is /v1/… in the namespace NAME; every other path is in the default namespace, which has no name. A
namespace that keeps nothing is dropped when others need its room.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, ItemsView, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from starlette.types import Scope

from mockserver.behaviour.context import Space
from mockserver.clock import Clock, real_time
from mockserver.errors import NotFound, Unavailable
from mockserver.events import Events
from mockserver.faults.fault import Faults
from mockserver.journal import Journal
from mockserver.store import Store, Write
from mockserver.time_slice import TimeSlice

PREFIX = "/__ns/"
_MAX_NAME_LENGTH = 200
_FIRST_CLEANUP = 1_000
_IDLE_S = 60.0


@dataclass(eq=False)
class Namespace:
    """`shares_clock`: its clock is that of all namespaces, and does not belong to its state."""

    name: str
    clock: Clock
    shares_clock: bool
    journal: Journal
    events: Events
    faults: Faults
    spaces: dict[str, Space] = field(default_factory=dict)
    """By organisation."""
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    """Signs download URLs, and keys the fingerprints of requests, so that guesses cannot be tested on them."""
    used_at: float = field(default_factory=real_time)
    version: str | None = None
    epoch: str = ""
    """For namespaces that several servers share: which state in the store this object has."""

    async def is_empty(self) -> bool:
        """Whether dropping it would lose nothing. Its journal does not count."""
        if self.events or self.faults.is_changed or self.clock.is_changed:
            return False
        now = self.clock.now()
        for space in self.spaces.values():
            if space.requests or not await space.store.is_empty(now):
                return False
        return True


MakeSpace = Callable[[Namespace, str, bytes | None], Space]
"""Makes a space from its namespace, its organisation and its key; without a key, it follows from the names."""


class Namespaces:
    """`make` makes a namespace, and `make_space` a space in it, the same each time for the same names.

    `seed_space` writes the initial data of a new space.
    """

    def __init__(
        self,
        make: Callable[[str, Events], Namespace],
        make_space: MakeSpace,
        seed_space: Callable[[Space], Awaitable[None]],
        store: Store,
        *,
        max_spaces: int,
    ) -> None:
        self._make = make
        self._make_space = make_space
        self._seed_space = seed_space
        self._store = store
        self._max_spaces = max_spaces
        self.default = make("", Events())
        self._namespaces: dict[str, Namespace] = {"": self.default}
        self._spaces = 0
        self._next_cleanup = min(max_spaces, _FIRST_CLEANUP)
        self._cleanup: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._namespaces)

    def items(self) -> ItemsView[str, Namespace]:
        return self._namespaces.items()

    async def get(self, name: str) -> Namespace:
        """Return a namespace; make it if it is new. Raises Unavailable at the limit, if nothing can be dropped."""
        namespace = self._namespaces.get(name)
        if namespace is None:
            await self._make_room()
            namespace = self._namespaces.get(name)  # another request may have made it meanwhile
        if namespace is None:
            namespace = self._namespaces[name] = self._make(name, Events())
        return namespace

    async def space(self, namespace: Namespace, organisation: str) -> Space:
        """Return the space of an organisation; make it if it is new. Raises Unavailable."""
        space = namespace.spaces.get(organisation)
        if space is None:
            await self._make_room()
            space = self._make_space(namespace, organisation, None)
            await self._seed_space(space)
            space = self._added(namespace, space)
        return space

    def _added(self, namespace: Namespace, space: Space) -> Space:
        """Add a new space to its namespace. Return the one that it has then: another request may have been faster.

        Only the spaces of the namespaces that are known here are counted: one that was replaced is gone when its last
        request is.
        """
        known = namespace.spaces.setdefault(space.organisation, space)
        if known is space and self._namespaces.get(namespace.name) is namespace:
            self._spaces += 1
        return known

    def temporary_space(self, namespace: Namespace) -> Space:
        """Return a space for one request that keeps nothing, and is of no organisation. It is not a space in use."""
        space = self._make_space(namespace, "", None)
        self._store.drop(namespace.name, "")
        return space

    async def find(self, name: str) -> Namespace | None:
        """Return a namespace if there is one of this name."""
        return self._namespaces.get(name)

    async def find_space(self, namespace: Namespace, organisation: str) -> Space | None:
        """Return the space of an organisation if it has one in the namespace."""
        return namespace.spaces.get(organisation)

    async def names(self) -> Sequence[str]:
        return list(self._namespaces)

    async def organisations(self, namespace: Namespace) -> Sequence[str]:
        """The organisations that have a space in the namespace."""
        return list(namespace.spaces)

    async def save(self, namespace: Namespace) -> None:
        """Keep a change of its clock, its secret or its faults. Raises VersionConflict if there was another change."""

    async def drop(self, name: str) -> bool:
        """Remove a namespace with all that it keeps, and close the subscriptions to its events.

        Not for the default namespace, which can only be reset. Return whether there was one.
        """
        namespace = self._forget(name)
        if namespace is not None:
            namespace.events.close()
        return namespace is not None

    def _forget(self, name: str) -> Namespace | None:
        namespace = self._namespaces.pop(name, None)
        if namespace is not None:
            if not namespace.shares_clock:
                # Requests that sleep on this clock would never wake up if it is frozen.
                namespace.clock.release()
            namespace.journal.clear()
            for organisation in namespace.spaces:
                self._drop_space(namespace, organisation)
        return namespace

    async def reset(self, name: str) -> None:
        """Set the namespace back to its initial state. Its subscribers stay subscribed."""
        await self.replace(self.make(name), ())

    def make(self, name: str) -> Namespace:
        """Make a new namespace for `replace`. It takes over the subscribers of the current one, if there is one."""
        known = self._namespaces.get(name)
        return self._make(name, known.events if known is not None else Events())

    async def replace(self, namespace: Namespace, contents: Sequence[tuple[Space, Sequence[Write]]]) -> None:
        """Replace the current namespace of the same name. Raises Unavailable, and then changes nothing."""
        name = namespace.name
        self._check_room(name, len(contents))
        self._put(namespace)
        for space, writes in contents:
            # Not earlier: until `_put` the store returned the data of the old space.
            space.store = self._store.space(name, space.organisation)
            self._added(namespace, space)
            await space.store.commit(*writes)
        namespace.events.publish("reset", {})

    def _check_room(self, name: str, spaces: int) -> None:
        """Raises Unavailable if a namespace with this number of spaces cannot take the place of the current one."""
        known = self._namespaces.get(name)
        before = 0 if known is None else 1 + len(known.spaces)
        if spaces and len(self._namespaces) + self._spaces - before + 1 + spaces > self._max_spaces:
            raise self._unavailable()

    def _put(self, namespace: Namespace) -> None:
        """Put a namespace in place of the current one of the same name."""
        self._forget(namespace.name)
        self._namespaces[namespace.name] = namespace
        if not namespace.name:
            self.default = namespace

    def _drop_space(self, namespace: Namespace, organisation: str) -> None:
        self._spaces -= 1
        self._store.drop(namespace.name, organisation)

    async def _make_room(self) -> None:
        if len(self._namespaces) + self._spaces < self._next_cleanup:
            return
        # One cleanup at a time, for all who wait: at the limit every new name asks for one.
        if self._cleanup is None:
            self._cleanup = asyncio.ensure_future(self._clean_up())
        await asyncio.shield(self._cleanup)
        if len(self._namespaces) + self._spaces >= self._max_spaces:
            raise self._unavailable()

    async def _clean_up(self) -> None:
        """Drop what keeps nothing. Others run in between: a namespace may be replaced or removed meanwhile."""
        try:
            time_slice = TimeSlice()
            idle_since = real_time() - _IDLE_S
            for name, namespace in list(self._namespaces.items()):
                now = namespace.clock.now()
                for organisation, space in list(namespace.spaces.items()):
                    if time_slice.is_over:
                        await time_slice.give_way()
                    if self._namespaces.get(name) is not namespace:
                        break
                    if not space.requests and await space.store.is_empty(now):
                        del namespace.spaces[organisation]
                        self._drop_space(namespace, organisation)
                if time_slice.is_over:
                    await time_slice.give_way()
                # Keep a namespace for a while after its last request: its journal may be read after a test.
                is_idle = not namespace.spaces and namespace.used_at < idle_since
                if name and is_idle and self._namespaces.get(name) is namespace and await namespace.is_empty():
                    await self.drop(name)
            # The next cleanup is worthwhile only once there are many more.
            kept = len(self._namespaces) + self._spaces
            self._next_cleanup = min(self._max_spaces, max(_FIRST_CLEANUP, 2 * kept))
        finally:
            self._cleanup = None

    def _unavailable(self) -> Unavailable:
        return Unavailable(
            f"{self._max_spaces} namespaces and organisations in them are in use here, and no more are taken; "
            "DELETE /__admin/namespaces/NAME frees one, POST /__admin/reset those of the default namespace"
        )


def is_name(name: str) -> bool:
    """Whether a URL can name the namespace; "" is the default one."""
    return len(name) <= _MAX_NAME_LENGTH and "/" not in name


def split_path(path: str) -> tuple[str, str]:
    """Return the name of the namespace of a path, and the path inside it. The default namespace has the name ""."""
    if path.startswith(PREFIX):
        name, slash, rest = path[len(PREFIX) :].partition("/")
        if name and slash:
            return name, slash + rest
    return "", path


def namespace_of(scope: Scope) -> tuple[str, str]:
    """As `split_path`, for the path of a request. Raises NotFound for a name that is too long, or not UTF-8."""
    path: str = scope["path"]
    name, inside = split_path(path)
    if len(name) > _MAX_NAME_LENGTH:
        raise NotFound(f"The name of a namespace has {_MAX_NAME_LENGTH} characters at most")
    if "\ufffd" in name:
        # Bytes that are not UTF-8 were decoded to U+FFFD: different names would be one.
        raw = scope.get("raw_path", path.encode())[len(PREFIX) :].partition(b"/")[0]
        try:
            unquote_to_bytes(raw).decode()
        except UnicodeDecodeError:
            raise NotFound("The name of a namespace is UTF-8") from None
    return name, inside
