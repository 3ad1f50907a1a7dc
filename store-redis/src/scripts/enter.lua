-- Enters a session into its owner's index, and drops what is long dead.
-- KEYS[1]: the index. ARGV[1] to [4]: the session, the instant that it cannot outlive, one that is
-- long past, for how many milliseconds the index has to be there.
-- First the write that needs memory: a server without it refuses a script's first one only.
local left = redis.call('PTTL', KEYS[1]) -- -2 if it is new, -1 if somebody has made it last
redis.call('ZADD', KEYS[1], 'GT', ARGV[2], ARGV[1])
if left ~= -2 then redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[3]) end
if left ~= -1 and left < tonumber(ARGV[4]) then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
