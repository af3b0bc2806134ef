"""The resources in an answer that `include` asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from mockserver.behaviour.resource_view import MachineView, PoolView, StoredView
from mockserver.reply import in_parts


class Resource(NamedTuple):
    type: str
    view: MachineView | PoolView | StoredView


def included_json(resources: Iterable[Resource]) -> bytes | Iterator[bytes]:
    """Return the member `included`, after a comma; in parts if it is large."""
    return in_parts(lambda: _parts(resources))


def _parts(resources: Iterable[Resource]) -> Iterator[bytes]:
    separator = b',"included":['
    for type_, view in resources:
        yield b'%b{"type":"%b",' % (separator, type_.encode())
        parts = view.parts()
        yield next(parts)[1:]
        yield from parts
        separator = b","
    yield b"]" if separator == b"," else separator + b"]"
