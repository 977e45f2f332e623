-- Moves one partition's mark and everything it stands for, together or not at all.
-- KEYS[1] mark, KEYS[2] live, KEYS[3..] hashes (accounts, limited keys), all of one partition.
-- ARGV[1] the mark expected, ARGV[2] the new mark, ARGV[3] milliseconds to set `live` for (0: leave it alone),
-- then one per hash, in the order of KEYS[3..]: `field amount field amount ...`. Amounts are integers as decimal text and
-- go to HINCRBY untouched: as Lua numbers they would lose digits above 2^53 and print as 1e+15.
-- Returns {1, new mark}; or {0, mark found} ('' when there is none), having changed nothing but `live`, which is cleared.
local found = redis.call('GET', KEYS[1]) or ''
if found ~= ARGV[1] then
  redis.call('DEL', KEYS[2])
  return {0, found}
end
for i = 3, #KEYS do
  for field, amount in string.gmatch(ARGV[i + 1], '(%S+) (%S+)') do
    redis.call('HINCRBY', KEYS[i], field, amount)
  end
end
if ARGV[2] ~= ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2])
end
if ARGV[3] ~= '0' then
  redis.call('SET', KEYS[2], '1', 'PX', ARGV[3])
end
return {1, ARGV[2]}
