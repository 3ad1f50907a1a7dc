-- Stores a session that is in the index now.
-- KEYS[2]: the record. ARGV[4] and [5]: the whole value, milliseconds.
local key, value, left = KEYS[2], ARGV[4], ARGV[5]
if redis.call('SET', key, value, 'NX', 'PX', left) then return answer(STORED) end
local bytes = redis.pcall('GETRANGE', key, 0, 17)
if type(bytes) == 'table' then return answer(CONFLICT) end -- not a string
if bytes:byte(1) == MOVED then
  redis.call('SET', key, value, 'PX', left)
  return answer(STORED)
end
return answer(bytes:sub(3) == value:sub(3, 18) and STORED or CONFLICT) -- or sent again
