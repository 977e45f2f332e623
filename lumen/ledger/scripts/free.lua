-- Gives back what a silent or retired lease reserves in one partition, unless its worker has been heard of meanwhile.
-- KEYS[1] beats, KEYS[2] the lease's members, KEYS[3] its in-use figures, KEYS[4..] one hash per member.
-- ARGV[1] lease, ARGV[2] the beat it had when it was judged, ARGV[3] what to free: `idle` (what the worker last said it
-- did not use), `all`, or `last` (all, and then forget the lease: its totals stay, posts may still come);
-- ARGV[4..] the members, in the order of the hashes.
-- Returns {1, nano-USD freed}, or {0, 0}: the beat is another. Amounts are below 2^53; '%.0f' prints them in full.
local lease, what = ARGV[1], ARGV[3]
if redis.call('HGET', KEYS[1], lease) ~= ARGV[2] then
  return {0, 0}
end
local freed = 0
for i = 4, #KEYS do
  local granted, released, posted = 0, 0, 0
  local found = redis.call('HMGET', KEYS[i], 'g:' .. lease, 'r:' .. lease, 'p:' .. lease)
  granted = tonumber(found[1] or '0')
  released = tonumber(found[2] or '0')
  posted = tonumber(found[3] or '0')
  local used = posted
  if what == 'idle' then
    -- A member without a figure has never been asserted: nothing is known to be idle.
    local in_use = tonumber(redis.call('HGET', KEYS[3], ARGV[i]) or '') or (granted - released)
    used = math.max(posted, in_use)
  end
  local amount = granted - released - used
  if amount > 0 then
    redis.call('HINCRBY', KEYS[i], 'r:' .. lease, string.format('%.0f', amount))
    freed = freed + amount
  end
end
if what == 'last' then
  redis.call('HDEL', KEYS[1], lease)
  redis.call('DEL', KEYS[2], KEYS[3])
end
return {1, freed}
