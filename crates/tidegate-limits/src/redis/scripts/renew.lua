-- Renews the slots of a running call.
-- KEYS  slots   ARGV  call, lease ms
local time = redis.call('TIME')
local until_ms = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[2]))
for i = 1, #KEYS do
  redis.call('ZADD', KEYS[i], until_ms, ARGV[1])
  redis.call('PEXPIRE', KEYS[i], ARGV[2])
end
return 0
