-- One limit, shared out among workers: takes a worker's books, gives it what it asks for as far as that is left.
-- level: what was used and still counts; held: what workers keep, in hand or in use. level + all held <= limit, but for
-- debts (a request may use more than it was admitted for). Nothing that is held drains: a worker that sits on its part
-- for a while and then uses it exceeds nothing.
-- Rates drain at `limit` per minute (GCRA as a continuous-state leaky bucket, ITU-T I.371; `rest` carries what integer
-- division leaves over); requests in flight only come back; spend stays, the window is part of the key.
-- KEYS[1] a hash: level, rest, at, refused_at, and per worker `w:<lease>` = "used held heard_at sequence".
-- ARGV[1] lease, [2] now in ms (0: this Redis' clock), [3] sequence, [4] silence in ms after which a worker's held is
-- free, [5] ms the hash outlives its last change, [6] 1: drains, [7] 1: `used` of silent workers is remembered, [8] limit,
-- [9] used (ever, by this worker), [10] of it known from the last answer, [11] held, [12] need, [13] waiting, [14] ahead,
-- [15] live workers, [16] 1: `used` begins anew (the worker had forgotten this limit while it was idle).
-- Returns {granted, available after it, ms until `need` has drained, 1 when somebody was refused lately}.
-- All figures are integers below 2^53; '%.0f' prints them in full.
local SCARCE_MS, MINUTE_MS, WAIT_MS_MAX, MINUTES_MAX = 2000, 60000, 3600000, 10000
local lease, sequence = ARGV[1], tonumber(ARGV[3])
local limit, used, held = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[11])
local need, waiting, ahead = tonumber(ARGV[12]), tonumber(ARGV[13]), tonumber(ARGV[14])
local drains, remembers = ARGV[6] == '1', ARGV[7] == '1'
local now = tonumber(ARGV[2])
if now == 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function text(amount)
  return string.format('%.0f', amount)
end

local figures, own, others_held = {level = 0, rest = 0, at = now, refused_at = 0}, nil, 0
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do
  local owner = string.match(flat[i], '^w:(.+)$')
  if not owner then
    figures[flat[i]] = tonumber(flat[i + 1])
  else
    local its_used, its_held, heard_at, its_sequence = string.match(flat[i + 1], '^(%S+) (%S+) (%S+) (%S+)$')
    if owner == lease then
      own = {used = tonumber(its_used), held = tonumber(its_held), sequence = tonumber(its_sequence)}
    elseif now - tonumber(heard_at) <= tonumber(ARGV[4]) then
      others_held = others_held + tonumber(its_held)
    elseif not remembers then
      redis.call('HDEL', KEYS[1], flat[i])
    end
  end
end

local level, rest = figures.level, figures.rest
if drains and now > figures.at then
  local elapsed = now - figures.at
  local minutes = math.min(math.floor(elapsed / MINUTE_MS), MINUTES_MAX)
  local owed = (elapsed % MINUTE_MS) * limit + rest
  local drained = minutes * limit + math.floor(owed / MINUTE_MS)
  rest = owed % MINUTE_MS
  if drained >= level then
    drained, rest = level, 0
  end
  level = level - drained
end

local function scarce(refused_at)
  return now - refused_at < SCARCE_MS and 1 or 0
end

if own and sequence <= own.sequence then
  -- Overtaken on its way here: a newer call has told and asked for everything.
  return {0, math.max(0, limit - level - others_held - own.held), 0, scarce(figures.refused_at)}
end

local counted = tonumber(ARGV[10])
if ARGV[16] == '1' then
  counted = 0
elseif own then
  counted = own.used
elseif remembers then
  counted = 0 -- this Redis has forgotten what was spent; the worker has not
end
level = math.max(0, level + used - counted)
local available = limit - level - others_held - held
local granted, wait_ms, refused_at = 0, 0, figures.refused_at
if need > 0 then
  if available >= need then
    granted = math.min(available, waiting)
  else
    refused_at = now
    if drains then
      wait_ms = math.min(WAIT_MS_MAX, math.max(1, math.ceil((need - available) * MINUTE_MS / limit)))
    end
  end
end
if ahead > 0 then
  -- Shrinks as the limit nears: all workers together never hold more than half of what is left for requests to come.
  granted = granted + math.max(0, math.min(ahead, math.floor((available - granted) / (2 * tonumber(ARGV[15])))))
end

redis.call(
  'HSET', KEYS[1], 'level', text(level), 'rest', text(rest), 'at', text(math.max(now, figures.at)), 'refused_at',
  text(refused_at), 'w:' .. lease, string.format('%.0f %.0f %.0f %.0f', used, held + granted, now, sequence)
)
local outlives_ms = tonumber(ARGV[5])
if drains then
  outlives_ms = outlives_ms + math.min(MINUTES_MAX, math.ceil(level / limit)) * MINUTE_MS
end
redis.call('PEXPIRE', KEYS[1], text(outlives_ms))
return {granted, math.max(0, available - granted), wait_ms, scarce(refused_at)}
