-- Put before scripts that read a window's counters: which windows an epoch has begun. Its record is a sorted set beside
-- the marker: the epoch's nonce behind an n, and each window by when its counters may be forgotten (ms; inf: never).
-- Counters that are not there under an epoch that began their window are lost, not zero: a slot's keys move one by
-- one, and may be put back one by one.
local function wall_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Whether counters that are not there under this nonce were lost. Epochs of earlier releases have no record before
-- a window begins.
local function lost(windows, nonce, field)
  if not redis.call('ZSCORE', windows, 'n' .. nonce) then return string.sub(nonce, -2) == '.w' end
  local expiry = redis.call('ZSCORE', windows, field)
  return expiry and (expiry == 'inf' or tonumber(expiry) > wall_ms())
end

local function record_of(windows, nonce)
  redis.call('DEL', windows)
  redis.call('ZADD', windows, '+inf', 'n' .. nonce)
end

-- Notes that a window has begun, or that its counters are kept for longer. Forgets some that have ended: no call pays
-- for more than a few, and no more end than have begun.
local function note(windows, nonce, field, expiry)
  if not redis.call('ZSCORE', windows, 'n' .. nonce) then record_of(windows, nonce) end
  redis.call('ZADD', windows, expiry == '0' and '+inf' or expiry, field)
  local ended = redis.call('ZRANGEBYSCORE', windows, '-inf', wall_ms(), 'LIMIT', 0, 20)
  if #ended > 0 then redis.call('ZREM', windows, unpack(ended)) end
end

-- The window of a key of counters, `tg:{<ulid>}:b:<window>`.
local function window_of(key) return string.sub(key, 35) end
