"""Sensitive values: dropped on arrival. What is kept of them is the name of each, and an alias made without it."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from mockserver.spec import render_json


def aliases(values: Mapping[str, Any] | None, *, key: bytes, owner: str) -> bytes:
    """JSON: an alias for each of the keys, the same for the same owner; null where there are none."""
    if not values:
        return b"null"
    return render_json({name: _alias(name, key, owner) for name in values})


def _alias(name: str, key: bytes, owner: str) -> str:
    text = f"{owner} {name}".encode("utf-8", "surrogatepass")
    return "vault_" + blake2b(text, key=key, digest_size=12).hexdigest()
