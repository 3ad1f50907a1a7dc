-- Stores a new session of an owner.
-- KEYS: the index, the record. ARGV: the session, for how many milliseconds it can live, the whole
-- value, for how many milliseconds it lives unless it is used.
local index, key = unpack(KEYS)
local session, life, value, millis = unpack(ARGV)
enter(index, session, life)
if redis.call('SET', key, value, 'NX', 'PX', millis) then return answer(STORED) end
local bytes = redis.pcall('GETRANGE', key, 2, 17)
return answer(bytes == value:sub(3, 18) and STORED or CONFLICT) -- or sent again
