-- Which epoch is open. What another process of Redis counted, or began to write, is over for good, as in admit.lua:
-- so that it is so also for an organization that nobody calls meanwhile.
-- KEYS epoch marker. ARGV run id. Reply: the epoch, 0 without one.
local opening, e, run = string.match(redis.call('GET', KEYS[1]) or '', '^(!? ?)(%d+) (%S+) %S+$')
if e and run ~= ARGV[1] then redis.call('DEL', KEYS[1]) end
if not e or run ~= ARGV[1] or opening ~= '' then return 0 end
return tonumber(e)
