-- Reads counters. KEYS epoch marker, windows that it began, budgets. ARGV run id.
-- Reply false without an open epoch, else per budget {spent, held, unresolved, limit or false, granted to nodes}.
local e, run, nonce = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (%S+) (%S+)$')
-- As in admit.lua: what another process of Redis counted is over for good.
if e and run ~= ARGV[1] then redis.call('DEL', KEYS[1]) end
if not e or run ~= ARGV[1] then return false end
local reply = {}
for i = 3, #KEYS do
  local b = redis.call('HMGET', KEYS[i], 'n', 's', 'h', 'u', 'l', 'g', 'o')
  if b[1] == nonce then
    -- What is out of grants is in what is held already, but for those of the release before.
    local out = tonumber(b[7] or '0')
    local held, granted = tonumber(b[3]) - out, tonumber(b[6] or '0') + out
    reply[i - 2] = {b[2], string.format('%.0f', held), b[4], b[5], string.format('%.0f', granted)}
  elseif lost(KEYS[2], nonce, window_of(KEYS[i])) then
    redis.call('DEL', KEYS[1])
    return false
  else
    reply[i - 2] = {'0', '0', '0', false, '0'}
  end
end
return reply
