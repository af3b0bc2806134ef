"""The journals of all namespaces in a Valkey server: texts in the order in which they came, up to a total size.

Past it the oldest texts are evicted, of whichever namespace. Each journal is a sorted set of `NUMBER COUNT SIZE TEXT`
by number, where COUNT numbers the texts of all journals. `journal-oldest` orders the journals by the count of their
oldest text. `journal-bytes` has the size of each journal, that of all of them under '', and the last count under '#'.
"""

from __future__ import annotations

from mockserver.errors import Unavailable
from mockserver.store.valkey import Epoch
from mockserver.store.valkey_connection import ValkeyConnection
from mockserver.store.valkey_scripts import LIVE

CLEAR = """
local function clear(prefix, place)
  local sizes, journal = prefix .. 'journal-bytes', prefix .. 'journal/' .. place
  local size = redis.call('HGET', sizes, place)
  if size then
    redis.call('HDEL', sizes, place)
    redis.call('HINCRBY', sizes, '', -size)
  end
  redis.call('ZREM', prefix .. 'journal-oldest', place)
  redis.call('UNLINK', journal, journal .. '-')
  return journal
end
"""

_ADD = (
    LIVE
    + CLEAR
    + """
-- KEYS: the journal, the namespaces, the prefix of all keys. ARGV: field and epoch of the namespace, its place in keys,
-- the size, the most bytes of all journals, the text.
if not is_live() then return 0 end
local sizes, by_age = KEYS[3] .. 'journal-bytes', KEYS[3] .. 'journal-oldest'
local number, count = redis.call('INCR', KEYS[1] .. '#'), redis.call('HINCRBY', sizes, '#', 1)
redis.call('ZADD', KEYS[1], number, number .. ' ' .. count .. ' ' .. ARGV[4] .. ' ' .. ARGV[6])
redis.call('ZADD', by_age, 'NX', count, ARGV[3])
redis.call('HINCRBY', sizes, ARGV[3], ARGV[4])
local total = redis.call('HINCRBY', sizes, '', ARGV[4])
while total > tonumber(ARGV[5]) do
  local place = redis.call('ZRANGE', by_age, 0, 0)[1]
  if not place then break end
  local journal = KEYS[3] .. 'journal/' .. place
  local oldest, second = unpack(redis.call('ZRANGE', journal, 0, 1))
  if oldest then
    local evicted, size = string.match(oldest, '^(%d+) %d+ (%d+)')
    redis.call('ZREMRANGEBYRANK', journal, 0, 0)
    redis.call('SET', journal .. '-', evicted)
    redis.call('HINCRBY', sizes, place, -size)
    total = redis.call('HINCRBY', sizes, '', -size)
    if second then
      redis.call('ZADD', by_age, string.match(second, '^%d+ (%d+)'), place)
    else
      redis.call('ZREM', by_age, place)
    end
  else
    -- Somebody has removed the key of the journal.
    clear(KEYS[3], place)
    total = tonumber(redis.call('HGET', sizes, ''))
  end
end
return number
"""
)

_CLEAR = CLEAR + "clear(KEYS[1], ARGV[1])"


class JournalTexts:
    def __init__(self, connection: ValkeyConnection) -> None:
        self._connection = connection
        self._add, self._clear = map(connection.script, (_ADD, _CLEAR))

    async def add(self, name: str, epoch: Epoch, text: bytes, size: int, max_bytes: int) -> int:
        """Return the number of the text in the journal; 0 if its namespace was reset or removed meanwhile."""
        keys = (self._key(name, epoch), epoch.namespaces, self._connection.address.prefix)
        place = self._connection.part(name, epoch.id)
        args = (epoch.field, epoch.id, place, size, max_bytes, text)
        number: int = await self._connection.evaluate(self._add, keys, *args)
        return number

    async def texts(self, name: str, epoch: Epoch, since: int, before: int | None) -> list[tuple[int, bytes]]:
        """Return the texts between two numbers, with their own."""
        end = "+inf" if before is None else f"({before}"
        found = await self._connection.read("ZRANGE", self._key(name, epoch), f"({since}", end, "BYSCORE")
        try:
            split = (each.split(b" ", 3) for each in found)
            return [(int(number), text) for number, _, _, text in split]
        except ValueError as error:
            raise self.damaged(name, epoch, error) from error

    async def count(self, name: str, epoch: Epoch) -> int:
        number: int = await self._connection.read("ZCARD", self._key(name, epoch))
        return number

    async def last_evicted(self, name: str, epoch: Epoch) -> int:
        return await self._number(self._key(name, epoch) + b"-")

    async def last_number(self, name: str, epoch: Epoch) -> int:
        return await self._number(self._key(name, epoch) + b"#")

    async def clear(self, name: str, epoch: Epoch) -> None:
        prefix = self._connection.address.prefix
        await self._connection.evaluate(self._clear, (prefix,), self._connection.part(name, epoch.id))

    def damaged(self, name: str, epoch: Epoch, why: object) -> Unavailable:
        """Return the error for a journal with a text that no server of this kind has written."""
        return self._connection.damaged(self._key(name, epoch), why)

    async def _number(self, key: bytes) -> int:
        text = await self._connection.read("GET", key)
        try:
            return int(text or 0)
        except ValueError as error:
            raise self._connection.damaged(key, error) from error

    def _key(self, name: str, epoch: Epoch) -> bytes:
        return self._connection.key("journal", name, epoch.id)
