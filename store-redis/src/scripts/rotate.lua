-- Moves a live record to another key of the same server.
-- KEYS: old, new, the index of the new one's owner if it has one. ARGV: both sessions, the revision
-- the old one has to have, the new head with a nonce, idle and absolute in milliseconds, what
-- follows the instants, 1 if the session begins anew.
local from, to, index = unpack(KEYS)
local old, new, revision, head, idle, absolute, tail, restart = unpack(ARGV)
local held, reason = live(from)
if not held then
  if redis.pcall('GETRANGE', to, 2, 17) == head:sub(3, 18) then
    local moved = live(to) -- this very rotation, sent again
    if moved then return answer(STORED, moved.created_at, moved.expires_at, moved.now) end
  end
  return answer(reason)
end
if held.bytes:sub(3, 10) ~= revision or redis.call('EXISTS', to) == 1 then
  return answer(CONFLICT)
end
local created_at = restart == '1' and held.now or held.created_at
local expires_at = math.min(held.now + idle, created_at + absolute)
if expires_at <= held.now then
  redis.call('UNLINK', from)
  return answer(GONE, 0, 0, 0, held.owner)
end
if index then enter(index, new, absolute) end
redis.call('UNLINK', from)
local value = head .. struct.pack('>I8I8', expires_at, created_at) .. tail
redis.call('SET', to, value, 'PX', left(expires_at, held.now))
local left_owner = held.owner -- whose index has the old one still
if index and held.bytes:sub(51, 52 + #left_owner) == tail:sub(17, 18 + #left_owner) then
  redis.call('ZREM', index, old)
  left_owner = ''
end
return answer(STORED, created_at, expires_at, held.now, left_owner)
