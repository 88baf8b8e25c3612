-- Token buckets of one owner: fields of one hash, filled when they are looked at.
-- A bucket is 'level microseconds most seconds'; one that is not there is full. The level may be below zero: a turn that
-- generated more than it took in advance owes the rest. All of it is in memory only: a bucket that is lost is a full one.
redis.set_repl(redis.REPL_NONE)

local function microseconds()
  local now = redis.call('TIME')
  return now[1] * 1000000 + now[2]
end

local function level_of(text, now)
  local level, at, most, seconds = text:match('^(%S+) (%S+) (%S+) (%S+)$')
  level, at, most, seconds = tonumber(level), tonumber(at), tonumber(most), tonumber(seconds)
  return math.min(most, level + math.max(now - at, 0) * most / (seconds * 1000000)), most, seconds
end

local function write(hash, name, level, now, most, seconds)
  redis.call('HSET', hash, 'bucket:' .. name, string.format('%.17g %.0f %.17g %.17g', level, now, most, seconds))
end
