-- Makes a record live that has waited for its old one to end.
-- KEYS: the new record. ARGV: revision and nonce, the milliseconds that are left of it.
local bytes = redis.call('GETRANGE', KEYS[1], 0, 17)
if bytes:sub(3, 18) ~= ARGV[1] then return answer(GONE) end
if bytes:byte(1) ~= LIVE then
  redis.call('SETRANGE', KEYS[1], 0, string.char(LIVE))
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
local held, reason = live(KEYS[1])
if not held then return answer(reason) end
return answer(STORED, held.created_at, held.expires_at, held.now)
