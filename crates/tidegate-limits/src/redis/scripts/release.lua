-- Gives slots back and corrects token reservations.
-- KEYS  slots, then token buckets, then the records of what nodes have of these buckets in advance
-- ARGV  slots, call, us for which a refund leaves a bucket covering what is out, then per bucket: change in us (negative: refund)
local slots = tonumber(ARGV[1])
for i = 1, slots do redis.call('ZREM', KEYS[i], ARGV[2]) end
local buckets = (#KEYS - slots) / 2
if buckets > 0 then
  local time = redis.call('TIME')
  local now = time[1] * 1000000 + time[2]
  for i = 1, buckets do
    local bucket, change = KEYS[slots + i], tonumber(ARGV[3 + i])
    local before = math.max(tonumber(redis.call('GET', bucket) or 0), now)
    local tat, out = before + change, 0
    if change < 0 then
      local records = KEYS[slots + buckets + i]
      local fields = redis.call('HKEYS', records)
      for _, record in ipairs(#fields > 0 and redis.call('HMGET', records, unpack(fields)) or {}) do
        local some, til = string.match(record, '^%d+ (%d+) (%d+)$')
        if some and tonumber(til) > now then out = out + tonumber(some) end
      end
      if out > 0 then tat = math.max(tat, math.min(before, now + out + tonumber(ARGV[3]))) end
    end
    if tat > now then
      redis.call('SET', bucket, string.format('%.0f', tat), 'PXAT', string.format('%.0f', math.ceil(tat / 1000)))
    else
      redis.call('DEL', bucket)
    end
  end
end
return 0
