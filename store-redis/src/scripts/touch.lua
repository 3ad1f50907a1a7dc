-- Moves the deadlines of live records, not their data, each by itself.
-- KEYS: the records. ARGV: for each the revision it has to have.
local function one(key, revision)
  local held, reason = live(key)
  if not held then return answer(reason) end
  if held.bytes:sub(3, 10) ~= revision then return answer(GONE) end
  local idle = struct.unpack('>I8', held.bytes, 35)
  local expires_at = math.min(held.now + idle, held.created_at + held.absolute)
  if expires_at > held.expires_at then
    redis.call('SETRANGE', key, 18, struct.pack('>I8', expires_at))
    redis.call('PEXPIRE', key, left(expires_at, held.now))
  else
    expires_at = held.expires_at
  end
  return answer(STORED, held.created_at, expires_at, held.now)
end
