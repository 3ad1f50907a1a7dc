-- Replaces a live record.
-- KEYS: the record. ARGV: the revision it has to have, the new head with a nonce, idle and
-- absolute in milliseconds, owner, what follows the instants, whether the owner's index has it.
local held, reason = live(KEYS[1])
if not held then return answer(reason) end
local revision, head, idle, absolute, owner, tail, indexed = unpack(ARGV)
if held.bytes:sub(3, 18) == head:sub(3, 18) then
  return answer(STORED, held.created_at, held.expires_at, held.now) -- this very save, sent again
end
if held.bytes:sub(3, 10) ~= revision then return answer(CONFLICT) end
local expires_at = math.min(held.now + idle, held.created_at + absolute)
if expires_at <= held.now then
  redis.call('UNLINK', KEYS[1])
  return answer(GONE, 0, 0, 0, held.owner)
end
if indexed == '0' and owner ~= '' and (owner ~= held.owner or tonumber(absolute) > held.absolute) then
  return answer(UNINDEXED)
end
local value = head .. struct.pack('>I8', expires_at) .. held.bytes:sub(27, 34) .. tail
redis.call('SET', KEYS[1], value, 'PX', left(expires_at, held.now))
return answer(STORED, held.created_at, expires_at, held.now, owner ~= held.owner and held.owner or '')
