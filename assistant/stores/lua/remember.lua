-- Keep a memory of an owner, in the place of the one with its id; what was made of that one is void.
-- KEYS: memory styles
-- ARGV: memory id, memory, most memories, ttl seconds
local memory, styles = unpack(KEYS)
local id, json, most, ttl = unpack(ARGV)

if redis.call('HEXISTS', memory, id) == 0 and redis.call('HLEN', memory) >= tonumber(most) then return 'full' end
redis.call('HSET', memory, id, json)
redis.call('HDEL', styles, id)
for _, name in ipairs({memory, styles}) do redis.call('EXPIRE', name, ttl) end
return redis.call('HLEN', memory)
