-- Loads one account's (or limited key's) figures while its partition is being rebuilt from ClickHouse.
-- KEYS[1] mark, KEYS[2] hash. ARGV[1] the rebuild's token, which the mark must hold: of two rebuilders one wins.
-- ARGV[2] the figure's field (`balance` or `spent`), ARGV[3] its value, then pairs: lease, posted total.
-- Grants and releases (g:, r:) are the workers' to assert and stay. Returns 1, or 0 when the token is not the mark.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
for _, field in ipairs(redis.call('HKEYS', KEYS[2])) do
  if string.sub(field, 1, 2) == 'p:' then
    redis.call('HDEL', KEYS[2], field)
  end
end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
for i = 4, #ARGV, 2 do
  redis.call('HSET', KEYS[2], 'p:' .. ARGV[i], ARGV[i + 1])
end
return 1
