-- Gives slots back and corrects token reservations.
-- KEYS  slots, then token buckets
-- ARGV  slots, call, then per bucket: change in us (negative: refund)
local slots = tonumber(ARGV[1])
for i = 1, slots do redis.call('ZREM', KEYS[i], ARGV[2]) end
if #KEYS > slots then
  local time = redis.call('TIME')
  local now = time[1] * 1000000 + time[2]
  for i = slots + 1, #KEYS do
    local tat = math.max(tonumber(redis.call('GET', KEYS[i]) or 0), now) + tonumber(ARGV[2 + i - slots])
    if tat > now then
      redis.call('SET', KEYS[i], string.format('%.0f', tat), 'PXAT', string.format('%.0f', math.ceil(tat / 1000)))
    else
      redis.call('DEL', KEYS[i])
    end
  end
end
return 0
