-- Put before scripts that read a window's counters: which windows an epoch has begun. Its record is a hash beside the
-- marker: n the epoch's nonce, and for each window when its counters may be forgotten (ms; 0: never); c how many
-- fields were added, m how many may be until ended windows are dropped. Counters that are not there under an epoch
-- that began their window are lost, not zero: a slot's keys move one by one, and may be put back one by one.
local function wall_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Whether counters that are not there under this nonce were lost. Epochs of earlier releases keep no record.
local function lost(windows, nonce, field)
  local w = redis.call('HMGET', windows, 'n', field)
  if w[1] ~= nonce then return string.sub(nonce, -2) == '.w' end
  return w[2] and (w[2] == '0' or tonumber(w[2]) > wall_ms())
end

local function record_of(windows, nonce, fields)
  redis.call('DEL', windows)
  redis.call('HSET', windows, 'n', nonce, 'c', #fields / 2, 'm', #fields + 256)
  for i = 1, #fields, 1000 do redis.call('HSET', windows, unpack(fields, i, math.min(i + 999, #fields))) end
end

-- Notes that a window has begun, or that its counters are kept for longer.
local function note(windows, nonce, field, expiry)
  local w = redis.call('HMGET', windows, 'n', 'm', field)
  if w[1] ~= nonce then return record_of(windows, nonce, {field, expiry}) end
  redis.call('HSET', windows, field, expiry)
  if w[3] or redis.call('HINCRBY', windows, 'c', 1) <= tonumber(w[2]) then return end
  local all, kept, now = redis.call('HGETALL', windows), {}, wall_ms()
  for i = 1, #all, 2 do
    -- The record's own fields are single letters.
    if #all[i] > 1 and (all[i + 1] == '0' or tonumber(all[i + 1]) > now) then
      kept[#kept + 1], kept[#kept + 2] = all[i], all[i + 1]
    end
  end
  record_of(windows, nonce, kept)
end

-- The window of a key of counters, `tg:{<ulid>}:b:<window>`.
local function window_of(key) return string.sub(key, 35) end
