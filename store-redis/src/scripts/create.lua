-- Stores a session that is in the index now.
-- KEYS[2]: the record. ARGV[5] and [6]: the whole value, milliseconds.
local key, value, millis = KEYS[2], ARGV[5], ARGV[6]
if redis.call('SET', key, value, 'NX', 'PX', millis) then return answer(STORED) end
local bytes = redis.pcall('GETRANGE', key, 2, 17)
return answer(bytes == value:sub(3, 18) and STORED or CONFLICT) -- or sent again
