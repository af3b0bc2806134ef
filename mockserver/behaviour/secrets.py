"""Sensitive values: dropped on arrival. Only their names are stored, with aliases that do not depend on the values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Annotated, Any

from mockserver.errors import TooLarge
from mockserver.spec import render_json
from mockserver.state_codec import Shared

_ALIAS_BYTES = 34
_MAX_NAMES = 10_000
"""Their aliases take up to 20 ms, in which nothing else is handled: those of a chain whenever a step is shown."""


def check_names(count: int) -> None:
    """Raises TooLarge if a run has too many sensitive inputs."""
    if count > _MAX_NAMES:
        raise TooLarge(f"A run has {_MAX_NAMES} sensitive inputs at most here, and this one {count}")


def aliases(values: Mapping[str, Any] | None, *, key: bytes, owner: str) -> bytes:
    """Return JSON with an alias for each name, always the same for the same owner; null if there are no values.

    Raises TooLarge.
    """
    check_names(len(values or ()))
    return _aliases_json(values, key, owner) if values else b"null"


@dataclass(frozen=True, slots=True)
class Aliases:
    """The aliases of a step of a chain, rendered on demand: the steps share most of their names."""

    shared: Annotated[tuple[str, ...], Shared]
    own: tuple[str, ...]
    key: bytes
    owner: str
    size: int = 0
    """The approximate size of the JSON in bytes: not counted here, since steps may share very many names."""

    def __bytes__(self) -> bytes:
        names = dict.fromkeys((*self.shared, *self.own))
        return _aliases_json(names, self.key, self.owner) if names else b"null"

    def __len__(self) -> int:
        return self.size or aliases_size((*self.shared, *self.own))  # a state of an earlier version has no size


def aliases_size(names: Iterable[str]) -> int:
    """Return the approximate size of the JSON of the aliases of these names, in bytes."""
    return sum(len(name) + _ALIAS_BYTES for name in names)


def _aliases_json(names: Iterable[str], key: bytes, owner: str) -> bytes:
    return render_json({name: _alias(name, key, owner) for name in names})


def _alias(name: str, key: bytes, owner: str) -> str:
    text = f"{owner} {name}".encode("utf-8", "surrogatepass")
    return "vault_" + blake2b(text, key=key, digest_size=12).hexdigest()
