"""A fault that a test has added."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from mockserver.errors import ControlError
from mockserver.testing.control import is_refusal

__tracebackhide__ = is_refusal


class AddedFault:
    """Stays until it is removed or the namespace is reset; as a context manager, until the block ends.

    A preset that consists of several faults has several `ids`.
    """

    def __init__(self, call: Callable[..., Any], ids: list[str]) -> None:
        self._call = call
        self.ids = tuple(ids)

    @property
    def id(self) -> str:
        return self.ids[0]

    @property
    def matched(self) -> int:
        """How many requests have matched the fault."""
        return sum(int(each["matched"]) for each in self._shown())

    @property
    def applied(self) -> int:
        """To how many of them the fault was applied."""
        return sum(int(each["applied"]) for each in self._shown())

    @property
    def active(self) -> bool:
        """Whether the fault may apply to further requests."""
        return any(each["active"] for each in self._shown())

    def remove(self) -> None:
        """Remove the fault. Does nothing if it is already removed."""
        for id_ in self.ids:
            try:
                self._call("DELETE", f"/faults/{id_}")
            except ControlError as error:
                if error.status != 404:
                    raise

    def _shown(self) -> list[dict[str, Any]]:
        return [each for each in self._call("GET", "/faults")["items"] if each["id"] in self.ids]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()

    def __repr__(self) -> str:
        return f"AddedFault({', '.join(map(repr, self.ids))})"
