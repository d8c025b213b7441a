-- Reads counters. KEYS epoch marker, budgets. ARGV run id.
-- Reply false without an open epoch, else per budget {spent, held, unresolved, limit or false, granted to nodes}.
local e, run, nonce = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (%S+) (%S+)$')
if not e or run ~= ARGV[1] then return false end
local reply = {}
for i = 2, #KEYS do
  local b = redis.call('HMGET', KEYS[i], 'n', 's', 'h', 'u', 'l', 'g')
  if b[1] == nonce then
    reply[i - 1] = {b[2], b[3], b[4], b[5], b[6] or '0'}
  else
    reply[i - 1] = {'0', '0', '0', false, '0'}
  end
end
return reply
