-- What a key holds, for the scripts below. `now` is the time by the record's own clock: its
-- deadline, less what Redis says is left until then. So they do not ask what time it is.
local GONE, STORED, CONFLICT, UNINDEXED, CORRUPT = 0, 1, 2, 3, 4
local LIVE, MOVED = 1, 3
local HEADER = 52

local function answer(verdict, created_at, expires_at, now, owner)
  local times = struct.pack('>BI8I8I8', verdict, created_at or 0, expires_at or 0, now or 0)
  return times .. (owner or '')
end

-- The record that lives under a key; else nil and the reason.
local function live(key)
  local bytes = redis.call('GETRANGE', key, '0', '307')
  local kind = bytes:byte(1)
  if kind == LIVE and #bytes >= HEADER then
    local expires_at, created_at, _, absolute, length = struct.unpack('>I8I8I8I8I2', bytes, 19)
    local left = redis.call('PTTL', key)
    if left >= 0 and #bytes >= HEADER + length then
      return {
        bytes = bytes,
        created_at = created_at,
        expires_at = expires_at,
        now = expires_at - 1 - left,
        absolute = absolute,
        owner = bytes:sub(HEADER + 1, HEADER + length),
      }
    end
  elseif kind == nil or kind == 2 or kind == MOVED then
    return nil, GONE
  end
  return nil, CORRUPT
end

-- How long Redis has to keep a record, so that it does not serve it at its deadline.
local function left(expires_at, now)
  return math.max(expires_at - now - 1, 1)
end
