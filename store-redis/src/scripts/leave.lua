-- Ends a record that moves to another server of a cluster, and leaves a note of the move for as
-- long as this may be sent again.
-- KEYS: the old record. ARGV: the revision it has to have, the nonce, milliseconds.
local bytes = redis.call('GETRANGE', KEYS[1], 0, 17)
if bytes == string.char(MOVED) .. ARGV[2] then return answer(STORED) end
local held, reason = live(KEYS[1])
if not held then return answer(reason) end
if held.bytes:sub(3, 10) ~= ARGV[1] then return answer(CONFLICT) end
redis.call('SET', KEYS[1], string.char(MOVED) .. ARGV[2], 'PX', ARGV[3])
return answer(STORED, 0, 0, 0, held.owner)
