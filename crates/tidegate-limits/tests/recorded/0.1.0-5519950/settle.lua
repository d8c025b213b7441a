-- Ends an attempt's hold, once; an unresolved one may be ended once more.
-- KEYS  epoch marker, hold, deadlines, one per budget
-- ARGV  run id, epoch (0: no hold was placed), end (s spent, v void, u unresolved, r overdue), cost,
--       grace ms, member, memory of an attempt without hold ms, then per budget: field, expiry ms (0: never)
-- Reply 0 done (or nothing to do), 1 no epoch to settle under: try again later
local call, K, A = redis.call, KEYS, ARGV
local e, run, nonce = string.match(call('GET', K[1]) or '', '^(%d+) (%S+) (%S+)$')
if not e or run ~= A[1] or tonumber(e) < tonumber(A[2]) then return 1 end
local ending, cost = A[3], A[4]
local fields = {}
for i = 1, #K - 3 do fields[i] = A[6 + 2 * i] end
local hold = call('HMGET', K[2], 'n', 'x', 'd', unpack(fields))

if hold[1] ~= nonce then
  if ending == 'r' then
    call('ZREM', K[3], A[6])
    return 0
  end
  -- No hold under this epoch. One that was held under an older epoch is in the ledger's
  -- opening balance; one that never was held is counted here, and remembered.
  if A[2] == '0' and ending == 's' then
    for i = 1, #fields do
      local key, expiry = K[3 + i], A[7 + 2 * i]
      local n = call('HGET', key, 'n')
      if n ~= nonce then
        if n then call('DEL', key) end
        call('HSET', key, 'n', nonce, 's', '0', 'h', '0', 'u', '0', 'p', expiry)
        if expiry ~= '0' then call('PEXPIREAT', key, expiry) end
      end
      call('HINCRBY', key, 's', cost)
    end
  end
  if A[2] == '0' or A[2] == e then
    if hold[1] then call('DEL', K[2]) end
    call('HSET', K[2], 'n', nonce, 'x', 'd')
    call('PEXPIRE', K[2], A[7])
  end
  return 0
end

local state, deadline = hold[2], hold[3]
if state == 'd' or (state == 'u' and (ending == 'u' or ending == 'r')) then return 0 end
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ending == 'r' and tonumber(deadline) + tonumber(A[5]) > now then return 0 end
local from = state == 'o' and 'h' or 'u'
for i = 1, #fields do
  local key, amount = K[3 + i], hold[3 + i]
  -- Counters of a window that is long over may be gone; they are not brought back.
  if amount and call('HGET', key, 'n') == nonce then
    if amount ~= '0' then call('HINCRBY', key, from, '-' .. amount) end
    if ending == 's' then
      if cost ~= '0' then call('HINCRBY', key, 's', cost) end
    elseif ending ~= 'v' and amount ~= '0' then
      call('HINCRBY', key, 'u', amount)
    end
  end
end
call('ZREM', K[3], A[6])
if ending == 'u' or ending == 'r' then
  call('HSET', K[2], 'x', 'u')
else
  call('DEL', K[2])
  call('HSET', K[2], 'n', nonce, 'x', 'd')
  call('PEXPIREAT', K[2], string.format('%.0f', math.max(tonumber(deadline), now) + tonumber(A[5])))
end
return 0
