-- Looks at a record that is to move to another server of a cluster.
-- KEYS: the old record. ARGV: the revision it has to have.
local held, reason = live(KEYS[1])
if not held then return answer(reason) end
if held.bytes:sub(3, 10) ~= ARGV[1] then return answer(CONFLICT) end
return answer(STORED, held.created_at, held.expires_at, held.now, held.owner)
