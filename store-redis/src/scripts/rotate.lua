-- Moves a live record to another key of the same server.
-- KEYS: old, new. ARGV: the revision the old one has to have, the new head with a nonce, idle and
-- absolute in milliseconds, what follows the instants, 1 if the session begins anew.
local revision, head, idle, absolute, tail, restart = unpack(ARGV)
local held, reason = live(KEYS[1])
if not held then
  if redis.call('GETRANGE', KEYS[2], 2, 17) == head:sub(3, 18) then
    local moved = live(KEYS[2]) -- this very rotation, sent again
    if moved then return answer(STORED, moved.created_at, moved.expires_at, moved.now) end
  end
  return answer(reason)
end
if held.bytes:sub(3, 10) ~= revision or redis.call('EXISTS', KEYS[2]) == 1 then
  return answer(CONFLICT)
end
local created_at = restart == '1' and held.now or held.created_at
local expires_at = math.min(held.now + idle, created_at + absolute)
redis.call('UNLINK', KEYS[1])
if expires_at <= held.now then return answer(GONE, 0, 0, 0, held.owner) end
local value = head .. struct.pack('>I8I8', expires_at, created_at) .. tail
redis.call('SET', KEYS[2], value, 'PX', left(expires_at, held.now))
return answer(STORED, created_at, expires_at, held.now, held.owner)
