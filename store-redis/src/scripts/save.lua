-- Replaces live records, each by itself.
-- KEYS: the records. ARGV, for each: the revision it has to have, the new value with a nonce, the
-- place of the last byte of its header and owner, when its caller has dated it, its last
-- millisecond, 1 if its owner's index has it.
-- Most calls of the store run this: it does without the functions of held.lua. Mostly owner and
-- timeouts are what they were, and the caller's date is right: then the value is stored as it is.
-- Lua hashes every byte of every string, and a value that is put together here is two of them.
local GONE, STORED, CONFLICT, UNINDEXED, CORRUPT, AS_DATED = '\0', 1, '\2', '\3', '\4', '\6'
local FAR = 100 -- milliseconds from the server's clock at which a date is wrong
local call, read, write = redis.call, struct.unpack, struct.pack
local time = call('TIME')
local clock = time[1] * 1000 + math.floor(time[2] / 1000)

-- Any other record: it is judged and dated by its own clock, as in held.lua.
local function reckoned(key, revision, value, indexed)
  local held = call('GETRANGE', key, '0', '307')
  local kind = held:byte(1)
  if not kind or kind == 2 or kind == 3 then return GONE end
  if kind ~= 1 or #held < 52 then return CORRUPT end
  local expires_at, created_at = read('>I8I8', held, 19)
  local left = call('PTTL', key)
  local now = left < 0 and clock or expires_at - 1 - left -- somebody has made it last
  if held:sub(3, 10) ~= revision then
    if held:sub(3, 18) ~= value:sub(3, 18) then return CONFLICT end
    return write('>BI8I8I8', STORED, created_at, expires_at, now) -- this very save, sent again
  end
  local was_absolute, was_length = read('>I8I2', held, 43)
  local idle, absolute, length = read('>I8I8I2', value, 35)
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
  value = value:sub(1, 18) .. write('>I8I8', ends, created_at) .. value:sub(35)
  call('SET', key, value, 'PX', string.format('%d', rest))
  return write('>BI8I8I8', STORED, created_at, ends, now) .. left_owner
end

local function one(key, revision, value, last, dated, till, indexed)
  local held, behind = call('GETRANGE', key, '0', last), clock - dated
  if
    held:byte(1) == 1
    and held:sub(3, 10) == revision
    and held:sub(27) == value:sub(27, last + 1) -- begun then, these timeouts, this owner
    and behind < FAR
    and behind > -FAR
    and till - clock > 0
  then
    call('SET', key, value, 'PXAT', till)
    return AS_DATED
  end
  return reckoned(key, revision, value, indexed)
end
