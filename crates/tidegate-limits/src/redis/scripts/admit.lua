-- Grants rates, slots and a hold (or one more step of it): all of it or nothing.
-- Clock: this server's. Money travels as decimal strings; sums below 2^53 only, never `..`.
-- KEYS  with a hold: epoch marker, hold, deadlines, windows that the epoch began, one per budget; then buckets; then slots.
-- ARGV  1 budgets (-1: no hold)  2 buckets  3 slots
--       with a hold: epoch (0: any), run id, step, deadline ms, hold expiry ms (0: never), member, who places it,
--         then per budget: field, hard, amount, limit, revision, expiry ms (0: never)
--       per bucket: cost us, least TAT us.  Slots: call, lease ms, then per slot: limit.
-- Reply {0 granted, now us, epoch, TATs, least left in a hard budget} {1 rate, now, bucket, wait us, TATs} {2 slot, now, slot, TATs}
--       {3 budget, now, budget, spent, held, unresolved, limit, granted to nodes, ms since they are recalled, TATs}
--       {4 no epoch, now, found} {5 ended, now}
local call, K, A = redis.call, KEYS, ARGV
local budgets, buckets, slots = tonumber(A[1]), tonumber(A[2]), tonumber(A[3])
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local k, a = 0, 3
local epoch, nonce, hold, placed = 0, nil, nil, false
local function text(x) return string.format('%.0f', x) end

if budgets >= 0 then
  local e, run, n = string.match(call('GET', K[1]) or '', '^(%d+) (%S+) (%S+)$')
  if not e or run ~= A[5] then
    -- Another process of Redis counted last. Should that one be asked again, it may have lost what this one heard.
    if e then call('DEL', K[1]) end
    return {4, now, 0}
  end
  epoch, nonce = tonumber(e), n
  if A[4] ~= '0' and A[4] ~= e then return {4, now, epoch} end
  hold = call('HMGET', K[2], 'n', 'x', 's', 'd', 'p')
  if hold[1] == nonce then
    if hold[2] ~= 'o' then return {5, now} end
    placed = tonumber(A[6]) <= tonumber(hold[3])
  end
  k, a = 4 + budgets, 10 + 6 * budgets
end

local reply = {0, now, epoch}
local tats = {}
if buckets > 0 then
  tats = call('MGET', unpack(K, k + 1, k + buckets))
  for i = 1, buckets do
    tats[i] = math.max(tonumber(tats[i] or 0), tonumber(A[a + 2 * i]))
  end
end
local function with_tats(r)
  for i = 1, buckets do r[#r + 1] = tats[i] end
  return r
end
if placed then return with_tats(reply) end

for i = 1, buckets do
  local wait = math.max(tats[i], now) + tonumber(A[a + 2 * i - 1]) - now - 60000000
  if wait > 0 then return with_tats({1, now, i, wait}) end
end
local sk, sa = k + buckets, a + 2 * buckets
local now_ms = text(math.floor(now / 1000))
for i = 1, slots do
  local key = K[sk + i]
  if call('ZCOUNT', key, '(' .. now_ms, '+inf') >= tonumber(A[sa + 2 + i]) and not call('ZSCORE', key, A[sa + 1]) then
    return with_tats({2, now, i})
  end
end

-- Limits are noted in every budget, also when one of them refuses.
local counters = {}
for i = 1, budgets do
  local key, at = K[4 + i], 4 + 6 * i
  -- at + 1 field, + 2 hard, + 3 amount, + 4 limit, + 5 revision, + 6 expiry
  local b = call('HMGET', key, 'n', 's', 'h', 'u', 'l', 'v', 'p', 'g', 'r', 'o')
  if b[1] ~= nonce then
    if lost(K[4], nonce, A[at + 1]) then
      call('DEL', K[1])
      return {4, now, 0}
    end
    note(K[4], nonce, A[at + 1], A[at + 6])
    if b[1] then call('DEL', key) end
    call('HSET', key, 'n', nonce, 's', '0', 'h', '0', 'u', '0', 'l', A[at + 4], 'v', A[at + 5], 'p', A[at + 6])
    if A[at + 6] ~= '0' then call('PEXPIREAT', key, A[at + 6]) end
    b = {nonce, '0', '0', '0', A[at + 4], A[at + 5], A[at + 6]}
  elseif not b[5] or tonumber(A[at + 5]) > tonumber(b[6]) then
    call('HSET', key, 'l', A[at + 4], 'v', A[at + 5])
    b[5] = A[at + 4]
  end
  counters[i] = b
end
local least
for i = 1, budgets do
  local b, at = counters[i], 4 + 6 * i
  -- What is out of grants is in what is held already, but for those of the release before (see exchange.lua).
  local held, earlier, out = tonumber(b[3]), tonumber(b[8] or '0'), tonumber(b[10] or '0')
  local granted = earlier + out
  local left = tonumber(b[5]) - tonumber(b[2]) - held - tonumber(b[4]) - earlier - tonumber(A[at + 3])
  if A[at + 2] == '1' and (not least or left < least) then least = left end
  if A[at + 2] == '1' and left < 0 then
    -- What nodes have in advance comes back when it is missed.
    local since = 0
    if granted > 0 then
      local ms = math.floor(now / 1000)
      since = ms - tonumber(b[9] or '0')
      if since >= 10000 then
        call('HSET', K[4 + i], 'r', text(ms))
        since = 0
      end
    end
    return with_tats({3, now, i, b[2], text(held - out), b[4], b[5], text(granted), since})
  end
end

if budgets >= 0 then
  local open = hold[1] == nonce
  local later = not open or tonumber(A[7]) > tonumber(hold[4])
  local fields = {'n', nonce, 'x', 'o', 's', A[6]}
  if later then
    fields[7], fields[8] = 'd', A[7]
    call('ZADD', K[3], A[7], A[9])
  end
  local expiry = A[8]
  if open and (hold[5] == '0' or (expiry ~= '0' and tonumber(expiry) <= tonumber(hold[5]))) then expiry = nil end
  if expiry then
    fields[#fields + 1] = 'p'
    fields[#fields + 1] = expiry
  end
  if hold[1] and not open then call('DEL', K[2]) end
  if not open and A[10] ~= '' then
    fields[#fields + 1] = 'w'
    fields[#fields + 1] = A[10]
  end
  for i = 1, budgets do
    local key, at = K[4 + i], 4 + 6 * i
    if A[at + 3] ~= '0' then call('HINCRBY', key, 'h', A[at + 3]) end
    local expires = counters[i][7]
    if expires ~= '0' and tonumber(A[at + 6]) > tonumber(expires) then
      call('HSET', key, 'p', A[at + 6])
      call('PEXPIREAT', key, A[at + 6])
      note(K[4], nonce, A[at + 1], A[at + 6])
    end
    if open then
      call('HINCRBY', K[2], A[at + 1], A[at + 3])
    else
      fields[#fields + 1] = A[at + 1]
      fields[#fields + 1] = A[at + 3]
    end
  end
  call('HSET', K[2], unpack(fields))
  if expiry == '0' then
    if open then call('PERSIST', K[2]) end
  elseif expiry then
    call('PEXPIREAT', K[2], expiry)
  end
end
for i = 1, buckets do
  local cost = tonumber(A[a + 2 * i - 1])
  tats[i] = math.max(tats[i], now) + cost
  if cost > 0 then call('SET', K[k + i], text(tats[i]), 'PXAT', text(math.ceil(tats[i] / 1000))) end
end
for i = 1, slots do
  local key = K[sk + i]
  call('ZREMRANGEBYSCORE', key, '-inf', now_ms)
  call('ZADD', key, text(math.floor(now / 1000) + tonumber(A[sa + 2])), A[sa + 1])
  call('PEXPIRE', key, A[sa + 2])
end
reply = with_tats(reply)
if least then reply[#reply + 1] = text(least) end
return reply
