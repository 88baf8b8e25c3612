-- Put a conversation at the top of its owner's list. Scores are microseconds, no two alike, so that pages join.
-- KEYS: sessions
-- ARGV: session id, ttl seconds
local now = redis.call('TIME')
local score = now[1] * 1000000 + now[2]
local top = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
if top and tonumber(top) >= score then score = tonumber(top) + 1 end
redis.call('ZADD', KEYS[1], string.format('%.0f', score), ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 'ok'
