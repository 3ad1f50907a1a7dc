-- Replaces live records, each by itself.
-- KEYS: the records. ARGV, for each: the revision it has to have, the new value with a nonce, as
-- one that waits and has no instants yet, 1 if its owner's index has it.
-- Most calls of the store run this: it does without the functions of held.lua. And Lua hashes every
-- byte of every string: no more is read than the owners mostly take, and the value is not put
-- together here, unless the user may not use SETRANGE. Until it is dated it is no record.
local GONE, CONFLICT, UNINDEXED, CORRUPT = '\0', '\2', '\3', '\4'
local call, read, write = redis.call, struct.unpack, struct.pack

local function one(key, revision, value, indexed)
  local held = call('GETRANGE', key, '0', '83')
  local kind = held:byte(1)
  if not kind or kind == 2 or kind == 3 then return GONE end
  local left = call('PTTL', key)
  if kind ~= 1 or #held < 52 or left < 0 then return CORRUPT end
  local expires_at, created_at = read('>I8I8', held, 19)
  local now = expires_at - 1 - left
  if held:sub(3, 10) ~= revision then
    if held:sub(3, 18) ~= value:sub(3, 18) then return CONFLICT end
    return write('>BI8I8I8', 1, created_at, expires_at, now) -- this very save, sent again
  end
  local was_absolute, was_length = read('>I8I2', held, 43)
  local idle, absolute, length = read('>I8I8I2', value, 35)
  if was_length > 32 then held = call('GETRANGE', key, '0', '307') end
  local left_owner = '' -- whose it is no more
  if held:sub(43, 52 + was_length) ~= value:sub(43, 52 + length) then
    -- another absolute timeout or owner
    local was_owner = held:sub(53, 52 + was_length)
    local is_same = was_owner == value:sub(53, 52 + length)
    local is_known = is_same and absolute <= was_absolute
    if indexed == '0' and length > 0 and not is_known then return UNINDEXED end
    if not is_same then left_owner = was_owner end
  end
  local ends, last = now + idle, created_at + absolute
  if last < ends then ends = last end
  if ends <= now then
    call('UNLINK', key)
    return write('>BI8I8I8', 0, 0, 0, 0) .. held:sub(53, 52 + was_length)
  end
  local rest = ends - now - 1
  if rest < 1 then rest = 1 end
  rest = string.format('%d', rest)
  local head = '\1' .. value:sub(2, 18) .. write('>I8I8', ends, created_at)
  call('SET', key, value, 'PX', rest)
  local dated = redis.pcall('SETRANGE', key, '0', head)
  if type(dated) == 'table' then call('SET', key, head .. value:sub(35), 'PX', rest) end
  return write('>BI8I8I8', 1, created_at, ends, now) .. left_owner
end
