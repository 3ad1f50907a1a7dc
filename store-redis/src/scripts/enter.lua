local HOUR = 3600000

-- Enters a session into its owner's index, and drops what is long dead; its score is the instant
-- that it cannot outlive. It lives for at most so many milliseconds from now.
-- First the write that needs memory: a server without it refuses a script's first one only.
local function enter(index, session, life)
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local left = redis.call('PTTL', index) -- -2 if it is new, -1 if somebody has made it last
  redis.call('ZADD', index, 'GT', now + life, session)
  -- What has ended, whatever the clocks of a cluster's servers were.
  if left ~= -2 then redis.call('ZREMRANGEBYSCORE', index, '-inf', now - 24 * HOUR) end
  -- It stays for as long as they may differ, and a call takes.
  local needed = life + HOUR
  if left ~= -1 and left < needed then redis.call('PEXPIRE', index, needed) end
end

