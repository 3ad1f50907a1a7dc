-- Moves the deadlines of live records, not their data, each by itself.
-- KEYS: the records. ARGV: for each the revision it has to have.
-- As save.lua, it does without the functions of held.lua, and reads no more than it has to.
local GONE, CORRUPT = '\0', '\4'
local call, read, write = redis.call, struct.unpack, struct.pack

local function one(key, revision)
  local held = call('GETRANGE', key, '0', '51')
  local kind = held:byte(1)
  if not kind or kind == 2 or kind == 3 then return GONE end
  local left = call('PTTL', key)
  if kind ~= 1 or #held < 52 or left < 0 then return CORRUPT end
  if held:sub(3, 10) ~= revision then return GONE end
  local expires_at, created_at, idle, absolute = read('>I8I8I8I8', held, 19)
  local now = expires_at - 1 - left
  local ends, last = now + idle, created_at + absolute
  if last < ends then ends = last end
  if ends > expires_at then
    local rest = ends - now - 1
    if rest < 1 then rest = 1 end
    call('SETRANGE', key, '18', write('>I8', ends))
    call('PEXPIRE', key, string.format('%d', rest))
  else
    ends = expires_at
  end
  return write('>BI8I8I8', 1, created_at, ends, now)
end
