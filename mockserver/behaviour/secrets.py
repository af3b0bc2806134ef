"""Sensitive values: dropped on arrival. What is kept of them is the name of each, and an alias made without it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Annotated, Any

from mockserver.spec import render_json
from mockserver.state_codec import Shared

_ALIAS_BYTES = 34


def aliases(values: Mapping[str, Any] | None, *, key: bytes, owner: str) -> bytes:
    """JSON: an alias for each of the keys, the same for the same owner; null where there are none."""
    return _written(values, key, owner) if values else b"null"


@dataclass(frozen=True, slots=True)
class Aliases:
    """The same for the steps of a chain, written when they are shown: they share most of their names."""

    shared: Annotated[tuple[str, ...], Shared]
    own: tuple[str, ...]
    key: bytes
    owner: str

    def __bytes__(self) -> bytes:
        names = dict.fromkeys((*self.shared, *self.own))
        return _written(names, self.key, self.owner) if names else b"null"

    def __len__(self) -> int:
        return sum(len(name) + _ALIAS_BYTES for names in (self.shared, self.own) for name in names)


def _written(names: Iterable[str], key: bytes, owner: str) -> bytes:
    return render_json({name: _alias(name, key, owner) for name in names})


def _alias(name: str, key: bytes, owner: str) -> str:
    text = f"{owner} {name}".encode("utf-8", "surrogatepass")
    return "vault_" + blake2b(text, key=key, digest_size=12).hexdigest()
