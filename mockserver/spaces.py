"""The spaces of all organisations in all namespaces. One that keeps nothing is let go when others need its room."""

from __future__ import annotations

from collections.abc import Callable, ItemsView

from mockserver.behaviour.context import Space
from mockserver.errors import Unavailable
from mockserver.store import Store

_FIRST_LOOK = 1_000


class Spaces:
    """`make` makes a space, the same each time for the same namespace and organisation."""

    def __init__(self, make: Callable[[str, str], Space], store: Store, *, most: int) -> None:
        self._make = make
        self._store = store
        self._most = most
        self._spaces: dict[tuple[str, str], Space] = {}
        self._next_look = min(most, _FIRST_LOOK)

    def __len__(self) -> int:
        return len(self._spaces)

    def items(self) -> ItemsView[tuple[str, str], Space]:
        """By namespace and organisation."""
        return self._spaces.items()

    def known(self, namespace: str, organisation: str) -> Space | None:
        return self._spaces.get((namespace, organisation))

    async def get(self, namespace: str, organisation: str) -> Space:
        """Raises Unavailable where there are as many as there may be, and each of them keeps something."""
        space = self._spaces.get((namespace, organisation))
        if space is None:
            if len(self._spaces) >= self._next_look:
                await self._let_go()
            space = self._spaces[namespace, organisation] = self._make(namespace, organisation)
        return space

    async def _let_go(self) -> None:
        for key, space in list(self._spaces.items()):
            if not space.requests and await space.store.is_empty(space.clock.now()):
                del self._spaces[key]
                self._store.drop(*key)
        if len(self._spaces) >= self._most:
            raise Unavailable(
                f"{self._most} organisations, each in its namespace, keep something here, and no more are taken"
            )
        # The next look is worth its while only when there are many more.
        self._next_look = min(self._most, max(_FIRST_LOOK, 2 * len(self._spaces)))
