-- Take from several buckets at once or from none. Nothing is written when refused. A negative amount is given back.
-- KEYS: limits
-- ARGV: bell, ttl seconds, turn id or '', its tokens, most turns at once, lease milliseconds,
--       then for each bucket: name, amount, most, seconds
local limits = KEYS[1]
local bell, ttl, turn, tokens, most_turns, lease = unpack(ARGV)
local now = microseconds()

local levels, slowest, wait = {}, nil, 0
for i = 7, #ARGV, 4 do
  local name, amount, most, seconds = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  if amount > most then return {'never', name} end
  local before = redis.call('HGET', limits, 'bucket:' .. name)
  local level = before and math.min(most, (level_of(before, now))) or most
  levels[name] = level
  local short = (amount - level) * seconds * 1000 / most
  if amount > 0 and short > wait then slowest, wait = name, short end
end
if slowest then return {'exhausted', slowest, string.format('%.0f', math.ceil(wait) + 1)} end

if turn ~= '' and tonumber(most_turns) > 0 then
  local fields, running = redis.call('HGETALL', limits), 0
  for i = 1, #fields, 2 do
    if fields[i]:sub(1, 5) == 'turn:' then
      local deadline = tonumber(fields[i + 1]:match(' (%S+)$'))
      if deadline > now then running = running + 1 else redis.call('HDEL', limits, fields[i]) end
    end
  end
  if running >= tonumber(most_turns) then return {'running'} end
end

for i = 7, #ARGV, 4 do
  local name, amount, most, seconds = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  write(limits, name, math.min(most, levels[name] - amount), now, most, seconds)
end
if turn ~= '' then
  redis.call('HSET', limits, 'turn:' .. turn, string.format('%d %.0f', tokens, now + tonumber(lease) * 1000))
end
if redis.call('TTL', limits) < tonumber(ttl) then redis.call('EXPIRE', limits, ttl) end
redis.call('PUBLISH', bell, '')
return {'taken'}
