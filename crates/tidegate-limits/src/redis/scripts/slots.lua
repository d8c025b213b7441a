-- A node renews the slots that it has in advance, gives back what it no longer wants, and takes more.
-- Such a slot is a member `<process>:<n>` among the calls in flight, with a lease as theirs.
-- KEYS  per scope: calls in flight, numbers of processes' last messages
-- ARGV  1 process  2 number  3 share (of what is free, one in so many)  4 lease ms
--       per scope: had, keep, want, limit
-- Reply per scope: how many the process has
local call, K, A = redis.call, KEYS, ARGV
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expiry = string.format('%.0f', now + tonumber(A[4]))
local reply = {}
for i = 1, #K / 2 do
  local slots, numbers, at = K[2 * i - 1], K[2 * i], 4 * i
  local had, keep, want, limit = tonumber(A[at + 1]), tonumber(A[at + 2]), tonumber(A[at + 3]), tonumber(A[at + 4])
  call('ZREMRANGEBYSCORE', slots, '-inf', string.format('%.0f', now))
  local last = tonumber(call('HGET', numbers, A[1]) or 0)
  local mine = 0
  if tonumber(A[2]) > last then
    call('HSET', numbers, A[1], A[2])
    call('PEXPIRE', numbers, A[4])
    for n = 1, math.max(had, keep) do
      local member = A[1] .. ':' .. n
      if n > keep then
        call('ZREM', slots, member)
      elseif call('ZSCORE', slots, member) then
        call('ZADD', slots, expiry, member)
        mine = n
      elseif call('ZCOUNT', slots, '-inf', '+inf') < limit then
        -- Forgotten here, and still in use there.
        call('ZADD', slots, expiry, member)
        mine = n
      end
    end
    local more = math.min(want, math.floor((limit - call('ZCOUNT', slots, '-inf', '+inf')) / tonumber(A[3])))
    for n = mine + 1, mine + math.max(more, 0) do
      call('ZADD', slots, expiry, A[1] .. ':' .. n)
      mine = n
    end
    if mine > 0 then call('PEXPIRE', slots, A[4]) end
  else
    mine = keep
  end
  reply[i] = mine
end
return reply
