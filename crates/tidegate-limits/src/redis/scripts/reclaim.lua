-- What a dead process had in advance goes back: told once more by whoever knows the books. From the first call on
-- nothing that the process sent is carried out any more, however late it comes. What is set is what the process used
-- in all, so that to say it again, or to say it better, does no harm.
-- KEYS  epoch marker, the process's list of records, windows that the epoch began, then per window: budget, record
-- ARGV  epoch, run id, how long the end of the process is remembered at least ms, then per window: spent, unresolved,
--       expiry ms (0: never)
-- Reply {0, now ms, money that came back, then per record: record, budget} {4, now ms, epoch found}
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

local own = call('HMGET', K[2], 'n', 'p')
if own[1] ~= nonce then
  if own[1] then call('DEL', K[2]) end
  own = {nonce, '1'}
end
local least = now_ms + tonumber(A[3])
call('HSET', K[2], 'n', nonce, 'x', '1')
if own[2] ~= '0' and tonumber(own[2]) < least then
  own[2] = text(least)
  call('HSET', K[2], 'p', own[2])
  call('PEXPIREAT', K[2], own[2])
end

local back = 0
for i = 1, (#K - 3) / 2 do
  local budget, record, at = K[2 * i + 2], K[2 * i + 3], 3 * i
  local b = call('HMGET', budget, 'n', 's', 'u', 'g', 'h', 'o')
  if b[1] ~= nonce and lost(K[3], nonce, window_of(budget)) then
    call('DEL', K[1])
    return {4, now_ms, 0}
  end
  local r = call('HMGET', record, 'n', 't', 's', 'u', 'i')
  local known = call('HEXISTS', K[2], record) == 1
  -- What is gone by now is of a window that is over.
  if b[1] == nonce and (r[1] == nonce or not known) then
    if r[1] ~= nonce then r = {nonce, '0', '0', '0'} end
    local spent, unresolved = tonumber(A[at + 1]), tonumber(A[at + 2])
    local out = number(r[2]) - number(r[3]) - number(r[4])
    back = back + out
    call('HSET', budget, 's', text(number(b[2]) + spent - number(r[3])), 'u', text(number(b[3]) + unresolved - number(r[4])))
    -- It is where its process counted it.
    if r[5] then
      call('HSET', budget, 'h', text(number(b[5]) - out), 'o', text(number(b[6]) - out))
    else
      call('HSET', budget, 'g', text(number(b[4]) - out))
    end
    call('HSET', record, 'n', nonce, 'q', '9007199254740992', 't', text(spent + unresolved), 's', A[at + 1], 'u', A[at + 2])
    if not known then
      call('HSET', K[2], record, budget)
      if A[at + 3] ~= '0' then call('PEXPIREAT', record, A[at + 3]) end
    end
  end
end

local reply = {0, now_ms, text(back)}
local records = call('HGETALL', K[2])
for i = 1, #records, 2 do
  if #records[i] > 1 then
    reply[#reply + 1] = records[i]
    reply[#reply + 1] = records[i + 1]
  end
end
return reply
