"""A namespace as one JSON document, and back: it then answers as it did when the document was written.

    {"format": 1, "made_by": {…}, "clock": {…}, "secret": "…", "faults": {…}, "shared": […],
     "organizations": {"org_…": {"key": "…", "units": [[kind, key, value, until], …]}}}

The document does not contain the journal, nor requests in flight.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from importlib.metadata import version
from typing import Any, TypeVar

from mockserver.behaviour.batch import CHANGES
from mockserver.behaviour.context import NO_PREFERENCES, Cache, MakeContext, Space
from mockserver.behaviour.ids import MAX_ROW_SIZE
from mockserver.errors import Unprocessable
from mockserver.faults import FaultParser
from mockserver.kinds import KINDS, TYPES
from mockserver.namespaces import Namespace, Namespaces
from mockserver.settings import Settings
from mockserver.spec import render_json
from mockserver.state_check import check_shown
from mockserver.state_codec import Decoder, Encoder, StateError, rendered_bytes
from mockserver.store import MemoryStore, Unit, Write
from mockserver.store.units import FOREVER
from mockserver.time_slice import Sliced

_T = TypeVar("_T")

FORMAT = 1
_log = logging.getLogger("mockserver")


class States:
    """Writes and restores the namespaces of one mock. `made_by` is what answers depend on besides the state."""

    def __init__(
        self,
        namespaces: Namespaces,
        fault_parser: FaultParser,
        made_by: Mapping[str, str],
        make_space: Callable[[Namespace, str, bytes], Space],
        make_context: MakeContext,
    ) -> None:
        self._namespaces = namespaces
        self._fault_parser = fault_parser
        self._made_by = made_by
        self._make_space = make_space
        self._make_context = make_context
        self._initial: dict[str, Mapping[str, Any]] = {}

    async def begin_with(self, name: str, document: Mapping[str, Any]) -> None:
        """Restore a namespace, and make this its state after a reset. Raises StateError or Unavailable."""
        await self.restore(name, document)
        self._initial[name] = document

    async def reset(self, name: str) -> None:
        if name in self._initial:
            await self.restore(name, self._initial[name])
        else:
            await self._namespaces.reset(name)

    async def written(self, namespace: Namespace) -> Iterator[bytes]:
        """Return the document, as of now. Its parts are made one by one, while they are sent: it may be very long."""
        await namespace.faults.refresh()
        head = {
            "format": FORMAT,
            "made_by": self._made_by,
            "clock": namespace.clock.state(),
            "secret": namespace.secret.hex(),
            "faults": self._fault_parser.state(namespace.faults),
        }
        kept: dict[str, _Kept] = {}
        async for name in Sliced(await self._namespaces.organisations(namespace)):
            space = await self._namespaces.space(namespace, name)
            kept[name] = space.key, await _units(space)
        return _parts(render_json(head), kept)

    async def count_units(self, namespace: Namespace) -> int:
        """Return how many units of the store a document of the namespace has."""
        count = 0
        async for name in Sliced(await self._namespaces.organisations(namespace)):
            space = await self._namespaces.space(namespace, name)
            for kind in KINDS:
                _, total = await space.store.oldest(kind, 0)
                count += total
        return count

    async def restore(self, name: str, document: Mapping[str, Any]) -> None:
        """Replace the namespace by the document. Raises StateError or Unavailable, and then changes nothing."""
        if document.get("format") != FORMAT:
            raise StateError(f"/format: expected {FORMAT}: this is not a state that GET /__admin/state has written")
        secret = _hex(document, "secret")
        organisations = _member(document, "organizations", dict)
        table = _member(document, "shared", list)
        # Decode everything before anything is replaced, into a namespace that is not in use yet.
        namespace = self._namespaces.make(name)
        namespace.secret = secret
        try:
            namespace.clock.restore(_member(document, "clock", dict))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise StateError(f"/clock: {error}") from None
        namespace.faults.clear()
        try:
            self._fault_parser.restore(namespace.faults, _member(document, "faults", dict), namespace.clock)
        except (KeyError, TypeError, ValueError, Unprocessable) as error:
            raise StateError(f"/faults: {error}") from None
        decoder = Decoder(TYPES, table, {})
        decoded: list[tuple[Space, list[Write]]] = []
        async for organisation, content in Sliced(organisations.items()):
            try:
                space = self._make_space(namespace, organisation, _hex(content, "key"))
                units = _member(content, "units", list)
                # In a thread: a single unit may have all of the megabytes of a body.
                writes = await asyncio.to_thread(_writes, decoder.with_implied({Space: space}), units)
                await self._check(space, writes)
            except StateError as error:
                raise error.at(organisation).at("organizations") from None
            except UnicodeEncodeError:
                raise StateError("/organizations: expected names without lone surrogates") from None
            decoded.append((space, writes))
        self._warn_of_differences(document.get("made_by"))
        await self._namespaces.replace(namespace, decoded)

    async def _check(self, space: Space, writes: Sequence[Write]) -> None:
        """Raises StateError if the restored data cannot be shown."""
        space.store = MemoryStore().space(space.namespace, space.organisation)
        await space.store.commit(*writes)
        await check_shown(self._make_context(space, NO_PREFERENCES, space.clock.read(), {}))
        space.cached = Cache()

    def _warn_of_differences(self, made_by: Any) -> None:
        given = made_by if isinstance(made_by, dict) else {}
        differences = [name for name, value in self._made_by.items() if given.get(name) != value]
        if differences:
            _log.warning("the state was written with another %s: answers may differ from then", ", ".join(differences))


def origin_of_state(settings: Settings, world: object) -> dict[str, str]:
    """Return what answers depend on, besides the state."""
    return {
        "version": version("cyberdesk-mockserver"),
        "progression": settings.progression,
        "world": blake2b(repr(world).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest(),
    }


async def _units(space: Space) -> list[tuple[str, str, Unit]]:
    kept = await space.store.snapshot(tuple(KINDS))
    return [(kind, key, unit) for kind, units in kept.items() for key, unit in units.items()]


def settings_shared_by_servers(
    settings: Settings, world: object, document: bytes, faults: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """Return what the servers of one shared store have to agree on. `faults` are those of the start."""
    names = ("seed", "time_scale", "known_only", "coercion", "rate_limit")
    contents = {"spec": document, "faults": render_json(faults)}
    return {
        **origin_of_state(settings, world),
        **{name: str(getattr(settings, name)) for name in names},
        **{name: blake2b(content, digest_size=8).hexdigest() for name, content in contents.items()},
    }


def _writes(decoder: Decoder, units: Sequence[Any]) -> list[Write]:
    try:
        return [_write(decoder, unit, place) for place, unit in enumerate(units)]
    except RecursionError:
        raise StateError("/units: shared values refer to one another too deeply") from None


def _write(decoder: Decoder, unit: Any, place: int) -> Write:
    try:
        if not isinstance(unit, list) or len(unit) not in (3, 4) or not all(isinstance(each, str) for each in unit[:2]):
            raise StateError(": expected [kind, key, value] or [kind, key, value, until]")
        kind, key, value, *until = unit
        if kind not in KINDS:
            raise StateError(f"/0: {kind!r} is not one of {', '.join(KINDS)}")
        try:
            decoded = decoder.decode(value, KINDS[kind])
            if kind == CHANGES and max(decoded, default=0) >= MAX_ROW_SIZE:
                raise StateError(f": expected changes of runs 0 to {MAX_ROW_SIZE - 1} of a batch")
            return Write(kind, key, decoded, 0, *(decoder.decode(each, int) for each in until))
        except StateError as error:
            raise error.at(2) from None
    except StateError as error:
        raise error.at(place).at("units") from None


def _member(document: Any, name: str, type_: type[_T]) -> _T:
    value = document.get(name) if isinstance(document, dict) else None
    if not isinstance(value, type_):
        raise StateError(f"/{name}: expected {'an array' if type_ is list else 'an object'}")
    return value


def _hex(document: Any, name: str) -> bytes:
    value = document.get(name) if isinstance(document, dict) else None
    try:
        key = bytes.fromhex(value or "")
    except (TypeError, ValueError):
        key = b""
    if len(key) != 32:
        raise StateError(f"/{name}: expected 64 hex digits")
    return key


_Kept = tuple[bytes, Sequence[tuple[str, str, Unit]]]
"""The key of a space, and what it stores."""


def _parts(head: bytes, kept: Mapping[str, _Kept]) -> Iterator[bytes]:
    """Yield a document. The values are encoded on the way, and those that they share come last."""
    encoder = Encoder(TYPES, keeps_bytes=True)
    yield head[:-1] + b',"organizations":{'
    for place, (name, (key, units)) in enumerate(kept.items()):
        yield b'%b%b:{"key":"%b","units":[' % (b"," if place else b"", render_json(name), key.hex().encode())
        separator = b""
        for kind, unit_key, unit in units:
            until = () if unit.until == FOREVER else (unit.until,)
            yield separator + render_json([kind, unit_key, encoder.encode(unit.value, KINDS[kind]), *until])
            separator = b","
        yield b"]}"
    yield b'},"shared":['
    for place, shared in enumerate(encoder.table):
        if place:
            yield b","
        if isinstance(shared, bytes):
            yield from rendered_bytes(shared)
        else:
            yield render_json(shared)
    yield b"]}"


class StateContent:
    """A state as the content of an answer. It is rendered once."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts

    def render(self) -> Iterator[bytes]:
        return self._parts
