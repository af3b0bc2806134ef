"""The Lua scripts for units, which Valkey runs each as a whole, and how units are kept there.

A space has a prefix of keys. Under it, each kind is a hash: the field is the key of the unit, the value its version,
when it was created, until when it is valid, and its encoded value, separated by blanks. `#` counts the commits. `?`
holds, for a moment, the id of the process whose commit has conflicted last. `KIND~` orders the keys of a followed kind
by their last write, `KIND!` those of an ordered kind by their creation.

A commit also gets the hash of the namespaces, and there the field and the epoch of its namespace: a commit to one that
was reset or removed meanwhile must not leave anything behind. `LIVE` is for all scripts that write to a namespace.
"""

from __future__ import annotations

LIVE = """
-- KEYS[2]: the namespaces, '' to write to an epoch that has not begun. ARGV[1], ARGV[2]: field and epoch of the
-- namespace.
local function is_live()
  if KEYS[2] == '' then return true end
  local record = redis.call('HGET', KEYS[2], ARGV[1])
  return record and string.match(record, '^%S+ (%S+)') == ARGV[2]
end
"""

COMMIT = (
    LIVE
    + """
-- ARGV[3]: the version of what is written. ARGV[4]: the process. Then for each write: kind, flags, key, version before,
-- until, value.
if not is_live() then return {2} end
local space, version, created = KEYS[1], ARGV[3], {}
for at = 5, #ARGV, 6 do
  local held = redis.call('HGET', space .. ARGV[at], ARGV[at + 2])
  local before = '0'
  if held then before, created[at] = string.match(held, '^(%x+) (%S+)') end
  if before ~= ARGV[at + 3] then
    redis.call('SET', space .. '?', ARGV[4], 'PX', 20)
    return {1, ARGV[at], ARGV[at + 2], held or ''}
  end
end
local count = redis.call('INCR', space .. '#')
for at = 5, #ARGV, 6 do
  local kind, flags, key, value = space .. ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 5]
  if value == '' then
    redis.call('HDEL', kind, key)
    if flags == 'o' then redis.call('ZREM', kind .. '!', key) end
  else
    if flags == 'o' and not created[at] then redis.call('ZADD', kind .. '!', count * 1048576 + at, key) end
    local since = created[at] or (count .. '.' .. at)
    redis.call('HSET', kind, key, version .. ' ' .. since .. ' ' .. ARGV[at + 4] .. ' ' .. value)
  end
  if flags == 'f' then redis.call('ZADD', kind .. '~', count, key) end
end
local waiting = redis.call('GET', space .. '?')
if waiting == ARGV[4] then redis.call('DEL', space .. '?') end
return {0, waiting and waiting ~= ARGV[4] and 1 or 0}
"""
)

WRITTEN_SINCE = """
-- ARGV: a count of commits, then the kinds.
local found = {tonumber(redis.call('GET', KEYS[1] .. '#') or 0)}
for at = 2, #ARGV do
  found[at] = {}
  if found[1] > tonumber(ARGV[1]) then
    found[at] = redis.call('ZRANGE', KEYS[1] .. ARGV[at] .. '~', '+inf', '(' .. ARGV[1], 'BYSCORE', 'REV')
  end
end
return found
"""

SNAPSHOT = """
local found = {}
for at, kind in ipairs(ARGV) do found[at] = redis.call('HGETALL', KEYS[1] .. kind) end
return found
"""

OLDEST = """
-- ARGV: an ordered kind, and how many of its items.
local kind = KEYS[1] .. ARGV[1]
local found = {redis.call('HLEN', kind)}
for _, key in ipairs(redis.call('ZRANGEBYSCORE', kind .. '!', '-inf', '+inf', 'LIMIT', 0, ARGV[2])) do
  found[#found + 1] = key
  found[#found + 1] = redis.call('HGET', kind, key)
end
return found
"""
