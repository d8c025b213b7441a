-- A node tells what it has left of its grants of rates, gives back what it no longer wants, and takes more.
-- A grant is time of a bucket that was taken in advance. The records of a bucket say what each process
-- has: <number> <us> <good until, us>. A bucket is never emptier (of refill) than all grants that are out:
-- bucket + grants <= one minute's worth, so that together they admit what one bucket would.
-- KEYS  per bucket: TAT, records
-- ARGV  1 process  2 number  3 share (of what is free, one in so many)  4 us for which a TAT must cover what is out
--       per bucket: keep, back, correction (negative: refund), want, least, least TAT   (all us)
-- Reply {now us, then per bucket: granted, us that the bucket lacks, us for which that covers what is out}
local call, K, A = redis.call, KEYS, ARGV
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local cover = tonumber(A[4])
local function text(x) return string.format('%.0f', x) end

local reply = {text(now)}
for i = 1, #K / 2 do
  local bucket, records, at = K[2 * i - 1], K[2 * i], 6 * i - 2
  local keep, back, change = tonumber(A[at + 1]), tonumber(A[at + 2]), tonumber(A[at + 3])
  local tat = math.max(tonumber(call('GET', bucket) or 0), tonumber(A[at + 6]), now)
  local others, last, mine = 0, 0, 0
  local fields, live, gone = call('HKEYS', records), {}, false
  local values = #fields > 0 and call('HMGET', records, unpack(fields)) or {}
  for j = 1, #fields do
    local number, out, til = string.match(values[j], '^(%d+) (%d+) (%d+)$')
    if not number or tonumber(til) <= now then
      gone = true
    else
      live[#live + 1], live[#live + 2] = fields[j], values[j]
      if fields[j] == A[1] then
        last, mine = tonumber(number), tonumber(out)
      else
        others = others + tonumber(out)
      end
    end
  end
  if gone then
    call('DEL', records)
    if #live > 0 then
      call('HSET', records, unpack(live))
      call('PEXPIRE', records, 120000)
    end
  end
  -- An older message that comes late, or once more, changes nothing.
  if tonumber(A[2]) > last then
    -- What this store knows nothing of (it was emptied, or the record is past its time) is no grant.
    if keep + back > mine then keep, back = 0, 0 end
    local out = others + keep
    tat = math.max(tat, now + others + keep + back) - back
    if change < 0 then
      tat = math.max(tat + change, math.min(tat, now + out + (out > 0 and cover or 0)))
    else
      tat = tat + change
    end
    local more = math.min(tonumber(A[at + 4]), math.floor((now + 60000000 - tat) / tonumber(A[3])))
    if more > 0 and more >= tonumber(A[at + 5]) then
      tat, keep = tat + more, keep + more
    end
    mine = keep
    call('HSET', records, A[1], A[2] .. ' ' .. text(keep) .. ' ' .. text(now + cover + keep))
    call('PEXPIRE', records, 120000)
    if tat > now then
      call('SET', bucket, text(tat), 'PXAT', text(math.ceil(tat / 1000)))
    else
      call('DEL', bucket)
    end
  end
  local n = #reply
  reply[n + 1], reply[n + 2], reply[n + 3] = text(mine), text(tat - now), text(tat - now - others - mine)
end
return reply
