-- Leases credit of one account (and of one key with a spend limit, in its own hash) to a worker.
-- KEYS[1] live, KEYS[2] vetted, KEYS[3] beats, KEYS[4] the lease's members, KEYS[5] its in-use figures, KEYS[6] the
-- account's hash, KEYS[7] the key's hash (only for a key with a limit).
-- ARGV[1] lease, [2] a new beat, [3] the run_id of the Redis whose leases have been re-asserted, [4] live workers,
-- [5] largest amount, [6] hold (what is needed), [7] the least that helps when hold is not left, [8] want, [9] the key's
-- spend limit, then per hash: member name and the granted, released and in-use totals the worker asserts.
-- Returns {outcome, account granted, key granted, account released, key released, available, newly granted to the
-- account's lease, whether others reserve some of what was refused, the outcome that names what made it less than hold
-- (0: it was not)}. Outcomes are protos/auth.proto's GrantOutcome.
-- Amounts stay below 2^53, so a double holds them exactly; '%.0f' prints them in full, tostring would print 1e+15.
local GRANTED, INSUFFICIENT_CREDITS, KEY_SPEND_LIMIT_REACHED, NOT_LIVE = 1, 2, 3, 4
local lease = ARGV[1]
local workers, largest = tonumber(ARGV[4]), tonumber(ARGV[5])
local hold, least = tonumber(ARGV[6]), tonumber(ARGV[7])
local want, limit = tonumber(ARGV[8]), tonumber(ARGV[9])

local function text(amount)
  return string.format('%.0f', amount)
end

-- Raises a total to what the worker asserts, where that is larger; returns the larger.
local function raise(key, field, asserted)
  local stored = tonumber(redis.call('HGET', key, field) or '0')
  if asserted > stored then
    redis.call('HINCRBY', key, field, text(asserted - stored))
    return asserted
  end
  return stored
end

-- The worker's books in one hash after re-asserting them. `surplus`: what Redis reserves beyond what the worker counts on
-- (a grant whose answer was lost); below zero, what the worker counts on and no longer has: it was recalled or freed
-- since the worker asked.
local function assert_books(key, at)
  local book = {key = key, member = ARGV[at], asserted = tonumber(ARGV[at + 1]), in_use = tonumber(ARGV[at + 3])}
  book.granted = raise(key, 'g:' .. lease, book.asserted)
  book.released = raise(key, 'r:' .. lease, tonumber(ARGV[at + 2]))
  book.unspent_before = book.asserted - tonumber(ARGV[at + 2])
  book.surplus = book.granted - book.released - book.unspent_before
  return book
end

-- The sum of what leases reserve, how much of it belongs to other leases, and what this lease has posted beyond its own
-- (it overran, or was freed while in use): that has left the balance already, and the next grant makes up for it first.
local function reserved_of(key)
  local totals = {}
  local flat = redis.call('HGETALL', key)
  for i = 1, #flat, 2 do
    local kind, owner = string.match(flat[i], '^([grp]):(.+)$')
    if kind then
      local sign = kind == 'g' and 1 or -1
      totals[owner] = (totals[owner] or 0) + sign * tonumber(flat[i + 1])
    end
  end
  local sum, others = 0, 0
  for owner, amount in pairs(totals) do
    if amount > 0 then
      sum = sum + amount
      if owner ~= lease then
        others = others + amount
      end
    end
  end
  return sum, others, math.max(0, -(totals[lease] or 0))
end

local books = {assert_books(KEYS[6], 10)}
if KEYS[7] then
  books[2] = assert_books(KEYS[7], 14)
end

local function answer(outcome, available, fresh, others, limited_by)
  for _, book in ipairs(books) do
    if book.granted > 0 then
      redis.call('SADD', KEYS[4], book.member)
      redis.call('HSET', KEYS[3], lease, ARGV[2])
      redis.call('HSET', KEYS[5], book.member, text(book.in_use))
    end
  end
  local key = books[2] or {granted = 0, released = 0}
  return {
    outcome, books[1].granted, key.granted, books[1].released, key.released, available, fresh, others > 0 and 1 or 0,
    limited_by or 0,
  }
end

local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
if run_id ~= ARGV[3] or redis.call('GET', KEYS[2]) ~= run_id or redis.call('EXISTS', KEYS[1]) == 0 then
  return answer(NOT_LIVE, 0, 0, 0)
end

books[1].reserved, books[1].others, books[1].debt = reserved_of(KEYS[6])
books[1].available = tonumber(redis.call('HGET', KEYS[6], 'balance') or '0') - books[1].reserved
if books[2] then
  books[2].reserved, books[2].others, books[2].debt = reserved_of(KEYS[7])
  books[2].available = limit - tonumber(redis.call('HGET', KEYS[7], 'spent') or '0') - books[2].reserved
end

-- A lost answer's grant (a surplus) counts only where nothing else is left: grants under way at the same time assert the
-- same totals, and each shall get its own.
local amount, limited_by = hold, nil
for number, book in ipairs(books) do
  local room = math.min(book.available + book.debt, largest - book.granted)
  book.plain = room + math.min(0, book.surplus)
  local most = math.max(0, room) + book.surplus
  if hold > book.plain and most < amount then
    local refusal = number == 1 and INSUFFICIENT_CREDITS or KEY_SPEND_LIMIT_REACHED
    if most < least then
      return answer(refusal, books[1].available, 0, book.others)
    end
    amount, limited_by = most, refusal
  end
end

local target = limited_by and amount or want
for _, book in ipairs(books) do
  if hold <= book.plain then
    local share = math.max(0, math.floor(book.available / (4 * workers)))
    target = math.min(target, share, book.plain)
  end
end
target = math.max(target, amount)

for _, book in ipairs(books) do
  if hold <= book.plain then
    book.fresh = target - math.min(0, book.surplus)
  else
    book.fresh = math.max(0, amount - book.surplus)
  end
  -- Until the next renewal says more: what was free before may be held by now, and the hold will be.
  book.in_use = math.max(book.in_use, book.unspent_before + math.min(0, book.surplus)) + amount
  if book.fresh > 0 then
    redis.call('HINCRBY', book.key, 'g:' .. lease, text(book.fresh))
    book.granted = book.granted + book.fresh
  end
end
return answer(GRANTED, books[1].available - books[1].fresh, books[1].fresh, 0, limited_by)
