-- Replaces a live record.
-- KEYS: the record. ARGV: the revision it has to have, the new head with a nonce, idle and
-- absolute in milliseconds, owner, what follows the instants, whether the owner's index has it.
-- Most calls of the store run this: it is one piece, and does without the functions of held.lua.
local held = redis.call('GETRANGE', KEYS[1], 0, 51 + #ARGV[5])
local left = redis.call('PTTL', KEYS[1])
if #held < 52 or held:byte(1) ~= 1 or left < 0 then
  local kind = held:byte(1)
  if not kind or kind == 2 or kind == 3 then return { 0 } end
  return { 4 }
end
local expires_at, created_at = struct.unpack('>I8I8', held, 19)
local now = expires_at - 1 - left
if held:sub(3, 10) ~= ARGV[1] then
  if held:sub(3, 18) ~= ARGV[2]:sub(3) then return { 2 } end
  return { 1, created_at, expires_at, now } -- this very save, sent again
end
local owner = ARGV[5] -- whose it was
if held:sub(43) ~= ARGV[6]:sub(9, 18 + #owner) then -- another absolute timeout or owner
  local absolute, length = struct.unpack('>I8I2', held, 43)
  owner = redis.call('GETRANGE', KEYS[1], 52, 51 + length)
  local known = owner == ARGV[5] and tonumber(ARGV[4]) <= absolute
  if ARGV[7] == '0' and ARGV[5] ~= '' and not known then return { 3 } end
end
local ends, last = now + ARGV[3], created_at + ARGV[4]
if last < ends then ends = last end
if ends <= now then
  redis.call('UNLINK', KEYS[1])
  return { 0, 0, 0, 0, owner }
end
local rest = ends - now - 1
if rest < 1 then rest = 1 end
local value = ARGV[2] .. struct.pack('>I8', ends) .. held:sub(27, 34) .. ARGV[6]
redis.call('SET', KEYS[1], value, 'PX', rest)
if owner == ARGV[5] then owner = '' end
return { 1, created_at, ends, now, owner }
