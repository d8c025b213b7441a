-- Tries every command that the other scripts and their callers use, on keys of its own, which it removes.
-- KEYS: a string, a hash, a sorted set, a stream. Returns the names of commands that are refused.
local refused = {}
local function try(name, ...)
  local reply = redis.pcall(name, ...)
  if type(reply) == 'table' and reply.err then
    refused[#refused + 1] = name
  end
end
local text, hash, sorted, stream = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
try('TIME')
try('SET', text, '1', 'PX', 10000)
try('GET', text)
try('MGET', text)
try('PEXPIRE', text, 10000)
try('PEXPIREAT', text, 1)
try('HSET', hash, 'a', '1')
try('PEXPIRE', hash, 10000)
try('HINCRBY', hash, 'a', 1)
try('HGET', hash, 'a')
try('HMGET', hash, 'a')
try('HKEYS', hash)
try('HEXISTS', hash, 'a')
try('HGETALL', hash)
try('PERSIST', hash)
try('ZADD', sorted, 1, 'a')
try('PEXPIRE', sorted, 10000)
try('ZSCORE', sorted, 'a')
try('ZCOUNT', sorted, '-inf', '+inf')
try('ZRANGEBYSCORE', sorted, '-inf', '+inf')
try('ZREMRANGEBYSCORE', sorted, 2, 3)
try('ZREM', sorted, 'a')
try('XADD', stream, 'MAXLEN', '~', 10, '*', 'n', 'a')
try('PEXPIRE', stream, 10000)
try('XRANGE', stream, '-', '+', 'COUNT', 1)
try('HDEL', hash, 'a')
try('DEL', text, hash, sorted, stream)
return refused
