-- Enters a session into its owner's index, and drops what is long dead.
-- KEYS[1]: the index. ARGV[1] to [3]: the session, for how many milliseconds it can live, slack in
-- milliseconds.
local time = redis.call('TIME')
local now, slack = time[1] * 1000 + math.floor(time[2] / 1000), tonumber(ARGV[3])
-- First: a server without memory refuses a script's first write only.
redis.call('ZADD', KEYS[1], 'GT', now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - slack)
local highest = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
redis.call('PEXPIREAT', KEYS[1], highest + slack)
