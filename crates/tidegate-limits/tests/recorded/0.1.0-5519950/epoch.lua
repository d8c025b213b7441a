-- Opens and closes an epoch. While it is being written the marker reads "! <epoch> <run> <nonce>",
-- which is no open epoch; a second writer's marker ends the first one's work.
-- KEYS  epoch marker, then what the step needs
-- ARGV  step, epoch, run id, nonce
-- Reply {0 done} {1 already open} {2 taken over, or a higher epoch: its number}
local call, K, A = redis.call, KEYS, ARGV
local marker = call('GET', K[1]) or ''
local e, run = string.match(marker, '^(%d+) (%S+) %S+$')
local opening = '! ' .. A[2] .. ' ' .. A[3] .. ' ' .. A[4]

if A[1] == 'close' then
  if e == A[2] then call('DEL', K[1]) end
  return {0}
end
if A[1] == 'begin' then
  if run == A[3] and e == A[2] then return {1} end
  if run == A[3] and tonumber(e) > tonumber(A[2]) then return {2, tonumber(e)} end
  call('SET', K[1], opening)
  call('DEL', K[2])
  return {0}
end
if marker ~= opening then return {2, tonumber(e or 0)} end
if A[1] == 'finish' then
  call('SET', K[1], A[2] .. ' ' .. A[3] .. ' ' .. A[4])
  return {0}
end

local function fresh(key, spent, unresolved, expiry)
  call('DEL', key)
  call('HSET', key, 'n', A[4], 's', spent, 'h', '0', 'u', unresolved, 'p', expiry)
  if expiry ~= '0' then call('PEXPIREAT', key, expiry) end
end
if A[1] == 'balance' then
  -- KEYS 2: budget. ARGV 5.. spent, unresolved, expiry ms
  fresh(K[2], A[5], A[6], A[7])
  return {0}
end
-- 'hold'. KEYS 2.. hold, deadlines, budgets. ARGV 5.. deadline ms, expiry ms, member, then per budget: field, amount, expiry ms
call('DEL', K[2])
call('HSET', K[2], 'n', A[4], 'x', 'o', 's', '0', 'd', A[5], 'p', A[6])
if A[6] ~= '0' then call('PEXPIREAT', K[2], A[6]) end
call('ZADD', K[3], A[5], A[7])
for i = 1, #K - 3 do
  local key, at = K[3 + i], 4 + 3 * i
  local b = call('HMGET', key, 'n', 'p')
  if b[1] ~= A[4] then
    fresh(key, '0', '0', A[at + 3])
  elseif b[2] ~= '0' and tonumber(A[at + 3]) > tonumber(b[2]) then
    call('HSET', key, 'p', A[at + 3])
    call('PEXPIREAT', key, A[at + 3])
  end
  call('HSET', K[2], A[at + 1], A[at + 2])
  call('HINCRBY', key, 'h', A[at + 2])
end
return {0}
