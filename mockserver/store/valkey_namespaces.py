"""The namespaces in a Valkey server: a record of each, the organisations in it, and how often its faults applied.

`namespaces` is a hash of records by name: `VERSION EPOCH CONTENT`. A record is replaced by compare-and-set on its
version. A reset begins a new epoch, and removes everything of the old one in the same script.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mockserver.errors import Unavailable, VersionConflict
from mockserver.store.valkey import UTF8, Epoch, ValkeyStore, field_name
from mockserver.store.valkey_journal import CLEAR
from mockserver.store.valkey_scripts import LIVE

_SAVE = (
    CLEAR
    + """
-- KEYS: the namespaces, the prefix of all keys. ARGV: field, name in keys, version before ("0": none), version ("0":
-- remove), epoch, content, then the suffixes of the keys of a space.
local held = redis.call('HGET', KEYS[1], ARGV[1])
local before, epoch = '0', nil
if held then before, epoch = string.match(held, '^(%x+) (%S+)') end
if ARGV[3] ~= '*' and before ~= ARGV[3] then return 0 end
if epoch and epoch ~= ARGV[5] then
  local place = ARGV[2] .. '/' .. epoch
  local organisations = KEYS[2] .. 'organizations/' .. place
  for _, each in ipairs(redis.call('HKEYS', organisations)) do
    each = string.gsub(string.gsub(each, '%%', '%%25'), '/', '%%2F')
    for at = 7, #ARGV do
      redis.call('UNLINK', KEYS[2] .. 'space/' .. place .. '/' .. each .. '/' .. ARGV[at])
    end
  end
  redis.call('UNLINK', organisations, KEYS[2] .. 'faults/' .. place)
  redis.call('UNLINK', clear(KEYS[2], place) .. '#')
end
if ARGV[4] == '0' then
  return redis.call('HDEL', KEYS[1], ARGV[1])
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[4] .. ' ' .. ARGV[5] .. ' ' .. ARGV[6])
return 1
"""
)

_ADD_ORGANISATION = (
    LIVE
    + """
-- KEYS[1]: the organisations. ARGV[3], ARGV[4]: one of them, and the key of its space.
if is_live() then redis.call('HSETNX', KEYS[1], ARGV[3], ARGV[4]) end
"""
)

_COUNT = (
    LIVE
    + """
-- KEYS[1]: the counts. ARGV[3], ARGV[4], ARGV[5]: id of a fault, what is counted, and how often the fault applies at
-- most ("": no limit). Count a request if the fault is not over.
if not is_live() then return 0 end
if ARGV[5] ~= '' and tonumber(redis.call('HGET', KEYS[1], ARGV[3] .. ' applied') or 0) >= tonumber(ARGV[5]) then
  return 0
end
return redis.call('HINCRBY', KEYS[1], ARGV[3] .. ' ' .. ARGV[4], 1)
"""
)


_RECORD = re.compile(rb"([0-9a-f]+) ([0-9a-f]+) (\{.*\})", re.DOTALL)


class Record(NamedTuple):
    version: str
    epoch: str
    content: bytes


class NamespaceRecords:
    def __init__(self, store: ValkeyStore) -> None:
        self._store = store
        self._connection = connection = store.connection
        self._all = connection.key("namespaces")
        self._save, self._add, self._count = map(connection.script, (_SAVE, _ADD_ORGANISATION, _COUNT))

    def epoch(self, name: str, id_: str) -> Epoch:
        return Epoch(self._all, field_name(name), id_)

    async def load(self, name: str) -> Record | None:
        text: bytes | None = await self._connection.read("HGET", self._all, field_name(name))
        if text is None:
            return None
        found = _RECORD.fullmatch(text)
        if found is None:
            raise self.damaged(name, "it is not VERSION EPOCH CONTENT")
        version, epoch, content = found.groups()
        return Record(version.decode(), epoch.decode(), content)

    def damaged(self, name: str, why: object) -> Unavailable:
        """Return the error for a record that cannot be read."""
        return self._connection.damaged(self._all, f"the record of the namespace {name!r}: {why}")

    async def names(self) -> list[str]:
        return sorted(field.decode(*UTF8) for field in await self._connection.read("HKEYS", self._all))

    async def save(self, name: str, before: str | None, epoch: str, content: bytes) -> str:
        """Replace the record at the version `before`, "0" for none and None for any. Returns its new version.

        If the epoch is a new one, everything of the old one is removed. Raises VersionConflict.
        """
        version = f"{self._store.next_version():x}"
        if not await self._saved(name, "*" if before is None else before, version, epoch, content):
            raise VersionConflict(f"the namespace {name!r} has moved on since version {before}")
        return version

    async def remove(self, name: str) -> bool:
        """Return whether there was one."""
        return bool(await self._saved(name, "*", "0", "-", b""))

    async def _saved(self, name: str, before: str, version: str, epoch: str, content: bytes) -> int:
        keys = (self._all, self._connection.address.prefix)
        args = (field_name(name), self._connection.part(name), before, version, epoch, content)
        saved: int = await self._connection.evaluate(self._save, keys, *args, *self._store.kinds.suffixes())
        return saved

    # --- Organisations, by name with the key of their space

    async def organisation_key(self, name: str, epoch: str, organisation: str) -> bytes | None:
        key: bytes | None = await self._connection.read(
            "HGET", self._connection.key("organizations", name, epoch), field_name(organisation)
        )
        return key

    async def add_organisation(self, name: str, epoch: Epoch, organisation: str, key: bytes) -> None:
        """Does nothing if it is known, or the namespace was reset or removed meanwhile."""
        keys = (self._connection.key("organizations", name, epoch.id), epoch.namespaces)
        await self._connection.evaluate(self._add, keys, epoch.field, epoch.id, field_name(organisation), key)

    async def organisations(self, name: str, epoch: str) -> dict[str, bytes]:
        found = await self._connection.read("HGETALL", self._connection.key("organizations", name, epoch))
        return {field.decode(*UTF8): key for field, key in zip(found[::2], found[1::2], strict=True)}

    # --- Counts of faults

    async def matched(self, name: str, epoch: Epoch, fault_id: str, times: int | None) -> int:
        """Count a matching request, and return its number; 0 if the fault is over."""
        return await self._counted("matched", name, epoch, fault_id, times)

    async def applied(self, name: str, epoch: Epoch, fault_id: str, times: int | None) -> int:
        """Count a request to which the fault applies, and return its number; 0 if the fault is over."""
        return await self._counted("applied", name, epoch, fault_id, times)

    async def _counted(self, what: str, name: str, epoch: Epoch, fault_id: str, times: int | None) -> int:
        keys = (self._connection.key("faults", name, epoch.id), epoch.namespaces)
        args = (epoch.field, epoch.id, fault_id, what, "" if times is None else times)
        number: int = await self._connection.evaluate(self._count, keys, *args)
        return number

    async def fault_counts(self, name: str, epoch: str) -> dict[str, int]:
        """By `ID matched` and `ID applied`."""
        found = await self._connection.read("HGETALL", self._connection.key("faults", name, epoch))
        return {field.decode(): int(number) for field, number in zip(found[::2], found[1::2], strict=True)}

    async def set_fault_counts(self, name: str, epoch: str, counts: dict[str, int]) -> None:
        for field, number in counts.items():
            await self._connection.call("HSET", self._connection.key("faults", name, epoch), field, number)
