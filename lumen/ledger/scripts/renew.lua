-- A worker's books in one partition, re-asserted: each total becomes the larger of Redis' and the worker's.
-- KEYS[1] beats, KEYS[2] the lease's members, KEYS[3] its in-use figures, KEYS[4..] one hash per book.
-- ARGV[1] lease, ARGV[2] a new beat, then per book: member name, granted, released and in-use totals.
-- Returns granted, released per book, in order. Amounts are below 2^53; '%.0f' prints them in full.
local lease = ARGV[1]

local function raise(key, field, asserted)
  local stored = tonumber(redis.call('HGET', key, field) or '0')
  if asserted > stored then
    redis.call('HINCRBY', key, field, string.format('%.0f', asserted - stored))
    return asserted
  end
  return stored
end

local totals = {}
for i = 4, #KEYS do
  local at = 3 + (i - 4) * 4
  local granted = raise(KEYS[i], 'g:' .. lease, tonumber(ARGV[at + 1]))
  local released = raise(KEYS[i], 'r:' .. lease, tonumber(ARGV[at + 2]))
  if granted > 0 then
    redis.call('SADD', KEYS[2], ARGV[at])
    redis.call('HSET', KEYS[1], lease, ARGV[2])
    redis.call('HSET', KEYS[3], ARGV[at], ARGV[at + 3])
  end
  totals[#totals + 1] = granted
  totals[#totals + 1] = released
end
return totals
