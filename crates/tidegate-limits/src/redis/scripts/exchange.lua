-- A node tells what it has used of its grants, gives back what it no longer wants, and takes more.
-- A grant is money of a budget's window that one process may hold without asking. The record of a
-- process has t: granted in all, s and u: told as spent and unresolved; t - s - u is out. The budget's o is the sum
-- of that over all records, and a part of its h, so that nodes of releases that know no grants leave it alone as
-- they do what is held. A release that counted what is out in g, beside h, may still do so here: both count.
-- A process that is over, because its successor has said what it used, is told nothing and takes nothing.
-- KEYS  epoch marker, the process's list of records, windows that the epoch began, then per budget: budget, record
-- ARGV  1 epoch  2 run id  3 sequence  4 share (of what is free, one in so many; 1: a hold that is there lacks exactly this)
--       5 percent of the limit that may be out
--       per budget: hard, spent, unresolved, keep (granted in all, lowered), want, least, limit, revision, expiry ms (0: never)
-- Reply {0, now us, then per budget: granted, spent, held, unresolved, out, limit, recalled} {4 no epoch, now, found}
local call, K, A = redis.call, KEYS, ARGV
local time = call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local e, run, nonce = string.match(call('GET', K[1]) or '', '^(%d+) (%S+) (%S+)$')
-- As in admit.lua: what another process of Redis counted is over for good.
if e and run ~= A[2] then call('DEL', K[1]) end
if not e or run ~= A[2] then return {4, now_ms, 0} end
if e ~= A[1] then return {4, now_ms, tonumber(e)} end
local function text(x) return string.format('%.0f', x) end
local function number(x) return tonumber(x or '0') end

local own = call('HMGET', K[2], 'n', 'x', 'p')
if own[1] == nonce and own[2] then return {4, now_ms, tonumber(e)} end
local function listed(record, budget, expiry)
  if own[1] ~= nonce then
    if own[1] then call('DEL', K[2]) end
    own = {nonce, false, '1'}
    call('HSET', K[2], 'n', nonce, 'p', '1')
  end
  if budget then call('HSET', K[2], record, budget) end
  if own[3] == '0' or (expiry ~= '0' and tonumber(expiry) <= tonumber(own[3])) then return end
  own[3] = expiry
  call('HSET', K[2], 'p', expiry)
  if expiry == '0' then call('PERSIST', K[2]) else call('PEXPIREAT', K[2], expiry) end
end

local reply = {0, now_ms}
for i = 1, (#K - 3) / 2 do
  local budget, record, at = K[2 * i + 2], K[2 * i + 3], 9 * i - 4
  -- at + 1 hard, + 2 spent, + 3 unresolved, + 4 keep, + 5 want, + 6 least, + 7 limit, + 8 revision, + 9 expiry
  local b = call('HMGET', budget, 'n', 's', 'h', 'u', 'l', 'v', 'p', 'g', 'r', 'o')
  if b[1] ~= nonce then
    if lost(K[3], nonce, window_of(budget)) then
      call('DEL', K[1])
      return {4, now_ms, 0}
    end
    note(K[3], nonce, window_of(budget), A[at + 9])
    if b[1] then call('DEL', budget) end
    b = {nonce, '0', '0', '0', A[at + 7], A[at + 8], A[at + 9], false, false, '0'}
    call('HSET', budget, 'n', nonce, 's', '0', 'h', '0', 'u', '0', 'l', b[5], 'v', b[6], 'p', b[7], 'o', '0')
    if b[7] ~= '0' then call('PEXPIREAT', budget, b[7]) end
  elseif not b[5] or tonumber(A[at + 8]) > tonumber(b[6]) then
    call('HSET', budget, 'l', A[at + 7], 'v', A[at + 8])
    b[5] = A[at + 7]
  end
  local r = call('HMGET', record, 'n', 'q', 't', 's', 'u')
  if r[1] ~= nonce then
    if r[1] then call('DEL', record) end
    r = {nonce, false, '0', '0', '0'}
  end
  local s, h, u, l, g, o = number(b[2]), number(b[3]), number(b[4]), number(b[5]), number(b[8]), number(b[10])
  h = h - o
  local t = number(r[3])
  -- An older message that comes late, or once more, changes nothing.
  if tonumber(A[3]) > number(r[2]) then
    local spent, unresolved, keep = tonumber(A[at + 2]), tonumber(A[at + 3]), tonumber(A[at + 4])
    local out = keep - spent - unresolved
    s = s + spent - number(r[4])
    u = u + unresolved - number(r[5])
    o = o + out - (t - number(r[4]) - number(r[5]))
    t = keep
    local recalled = b[9] and now_ms - tonumber(b[9]) < 10000
    if A[at + 1] == '1' and (A[4] == '1' or not recalled) then
      -- All of it to the last nano-dollar, parts of it in hundredths.
      local most = A[5] == '100' and l or math.floor(l / 100) * tonumber(A[5])
      local more = math.min(tonumber(A[at + 5]), math.floor((l - s - h - u - g - o) / tonumber(A[4])), most - out)
      if more > 0 and more >= tonumber(A[at + 6]) then
        t = t + more
        o = o + more
      elseif A[4] == '1' and g + o > out and tonumber(A[at + 5]) > 0 and not recalled then
        b[9] = text(now_ms)
        call('HSET', budget, 'r', b[9])
      end
    end
    call('HSET', budget, 's', text(s), 'h', text(h + o), 'u', text(u), 'o', text(o))
    call('HSET', record, 'n', nonce, 'q', A[3], 't', text(t), 's', A[at + 2], 'u', A[at + 3], 'i', 'o')
    listed(record, not r[2] and budget, A[at + 9])
    if A[at + 9] ~= '0' then
      if b[7] ~= '0' and tonumber(A[at + 9]) > tonumber(b[7]) then
        call('HSET', budget, 'p', A[at + 9])
        call('PEXPIREAT', budget, A[at + 9])
        note(K[3], nonce, window_of(budget), A[at + 9])
      end
      call('PEXPIREAT', record, A[at + 9])
    end
  end
  local back = (b[9] and now_ms - tonumber(b[9]) < 10000) or l < s + h + u + g + o
  local n = #reply
  reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4] = text(t), text(s), text(h), text(u)
  reply[n + 5], reply[n + 6], reply[n + 7] = text(g + o), text(l), back and 1 or 0
end
return reply
