"""Pools, machines and workflows as the API shows them: references to stored values, rendered in parts.

Their texts may be as large as a body, and a machine may belong to any number of pools. So an answer is rendered part by
part while it is sent, and no part takes much time or memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, NamedTuple, Protocol

from mockserver.behaviour.context import Space
from mockserver.behaviour.resources import PoolRecord
from mockserver.behaviour.world import Machine
from mockserver.clock import SECOND, text_of
from mockserver.reply import in_parts
from mockserver.spec import render_json
from mockserver.state_codec import Shared

WORLD_CREATED = 1_735_689_600 * SECOND
"""The creation time of everything in the world: the start of 2025."""
_TEXT_PART = 32_768
"""How much of a text is rendered at once, in characters or in bytes of JSON."""


class View(Protocol):
    def parts(self) -> Iterator[bytes]:
        """Yield the JSON of an object with members."""


class StoredView(NamedTuple):
    """What is stored as JSON."""

    json: bytes

    def parts(self) -> Iterator[bytes]:
        for start in range(0, len(self.json), _TEXT_PART):
            yield self.json[start : start + _TEXT_PART]


class PoolView(NamedTuple):
    space: Space
    pool: Annotated[PoolRecord, Shared]

    def render(self) -> bytes | Iterator[bytes]:
        return in_parts(self.parts)

    def parts(self) -> Iterator[bytes]:
        yield from self.members()
        yield b"}"

    def members(self) -> Iterator[bytes]:
        """Yield the JSON without its closing brace."""
        pool = self.pool
        yield b'{"name":'
        yield from _text_parts(pool.name)
        yield b',"id":%b,"organization_id":%b,"created_at":"%b","updated_at":"%b","description":' % (
            render_json(pool.id),
            self.space.organisation_json,
            text_of(pool.created).encode(),
            text_of(pool.updated).encode(),
        )
        yield from _text_parts(pool.description)
        yield b',"machine_count":%d,"pool_parameters":' % len(pool.machine_ids)
        yield pool.parameters


class MachineView(NamedTuple):
    space: Space
    machine: Annotated[Machine, Shared]
    last_seen: int
    pools: tuple[Annotated[PoolRecord, Shared], ...]

    def render(self) -> bytes | Iterator[bytes]:
        return in_parts(self.parts)

    def parts(self) -> Iterator[bytes]:
        machine = self.machine
        head = {
            "id": machine.id,
            "unkey_key_id": f"key_{machine.id[-4:]}",
            "name": machine.name,
            "version": "1.0.0",
            "hostname": machine.hostname,
            "os_info": machine.os_info,
            "status": machine.status,
            "is_available": machine.status == "connected",
            "alerts_enabled": True,
            "machine_parameters": None,
            "reserved_session_id": None,
            "user_id": self.space.user_id,
            "organization_id": self.space.organisation,
            "created_at": text_of(WORLD_CREATED),
            "last_seen": text_of(self.last_seen),
        }
        yield render_json(head)[:-1]
        separator = b',"pools":['
        for pool in self.pools:
            yield separator
            yield from PoolView(self.space, pool).parts()
            separator = b","
        yield b"]}" if self.pools else separator + b"]}"


class PoolWithMachines(NamedTuple):
    view: PoolView
    machines: tuple[MachineView, ...]

    def render(self) -> bytes | Iterator[bytes]:
        return in_parts(self.parts)

    def parts(self) -> Iterator[bytes]:
        yield from self.view.members()
        separator = b',"machines":['
        for machine in self.machines:
            yield separator
            yield from machine.parts()
            separator = b","
        yield b"]}" if self.machines else separator + b"]}"


def _text_parts(text: str | None) -> Iterator[bytes]:
    """Yield the JSON of a text, a long one in slices."""
    if text is None or len(text) <= _TEXT_PART:
        yield render_json(text)
        return
    yield b'"'
    for start in range(0, len(text), _TEXT_PART):
        yield render_json(text[start : start + _TEXT_PART])[1:-1]
    yield b'"'
