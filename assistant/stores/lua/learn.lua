-- Keep what an encoder made of a memory, unless it has been forgotten meanwhile.
-- KEYS: memory styles
-- ARGV: memory id, style, ttl seconds
local memory, styles = unpack(KEYS)
local id, style, ttl = unpack(ARGV)

if redis.call('HEXISTS', memory, id) == 0 then return 'gone' end
redis.call('HSET', styles, id, style)
redis.call('EXPIRE', styles, ttl)
return 'ok'
