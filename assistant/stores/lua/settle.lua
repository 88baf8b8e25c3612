-- A turn has ended: it no longer runs, and what it took in advance and did not generate comes back. Once.
-- KEYS: limits
-- ARGV: bell, turn id, tokens generated (empty: as many as were taken), 1 to give back the turn itself
local limits = KEYS[1]
local bell, turn, tokens, refund = unpack(ARGV)
local now = microseconds()

local taken = redis.call('HGET', limits, 'turn:' .. turn)
if not taken then return 'gone' end
redis.call('HDEL', limits, 'turn:' .. turn)

local function give(name, amount)
  local bucket = redis.call('HGET', limits, 'bucket:' .. name)
  if not bucket then return end
  local level, most, seconds = level_of(bucket, now)
  write(limits, name, math.min(most, level + amount), now, most, seconds)
end

if tokens ~= '' then give('tokens', tonumber(taken:match('^(%S+)')) - tonumber(tokens)) end
if refund == '1' then give('turns', 1) end
redis.call('PUBLISH', bell, '')
return 'ok'
