-- Ends whatever a key holds, readable or not; if an owner is named, only what is the owner's, or
-- has no header that could say whose it is.
-- KEYS: the record. ARGV: the owner, or nothing.
local bytes = redis.pcall('GETRANGE', KEYS[1], 0, HEADER + 255)
if type(bytes) == 'table' then bytes = '?' end -- not a string
local kind, owner = bytes:byte(1), ''
if kind == nil or kind == MOVED then return answer(GONE) end
if #bytes >= HEADER and (kind == LIVE or kind == 2) then
  owner = bytes:sub(HEADER + 1, HEADER + struct.unpack('>I2', bytes, 51))
  if ARGV[1] ~= '' and ARGV[1] ~= owner then return answer(GONE) end
end
redis.call('UNLINK', KEYS[1])
return answer(kind == 2 and GONE or STORED, 0, 0, 0, owner)
