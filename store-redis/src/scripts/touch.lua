-- Moves the deadline of a live record, not its data.
-- KEYS: the record. ARGV: the revision it has to have.
local held, reason = live(KEYS[1])
if not held then return answer(reason) end
if held.bytes:sub(3, 10) ~= ARGV[1] then return answer(GONE) end
local idle = struct.unpack('>I8', held.bytes, 35)
local expires_at = math.min(held.now + idle, held.created_at + held.absolute)
if expires_at > held.expires_at then
  redis.call('SETRANGE', KEYS[1], 18, struct.pack('>I8', expires_at))
  redis.call('PEXPIRE', KEYS[1], left(expires_at, held.now))
else
  expires_at = held.expires_at
end
return answer(STORED, held.created_at, expires_at, held.now)
