-- Stores a new record where one has moved away to another server of a cluster.
-- KEYS: the record. ARGV: the whole value, milliseconds.
local bytes = redis.call('GETRANGE', KEYS[1], 0, 17)
if #bytes > 0 and bytes:byte(1) ~= MOVED then
  return answer(bytes:sub(3) == ARGV[1]:sub(3, 18) and STORED or CONFLICT) -- or sent again
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return answer(STORED)
