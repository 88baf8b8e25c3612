-- Give a conversation a title, and tell whoever follows it.
-- KEYS: meta events
-- ARGV: owner, session id, at, title, event, ttl seconds, bell
local meta, events = unpack(KEYS)
local owner, session_id, at, title, event, ttl, bell = unpack(ARGV)

if redis.call('HGET', meta, 'owner') ~= owner then return 'not_found' end
local log = open_log(meta, session_id, at, bell)
redis.call('HSET', meta, 'title', title)
log.append(events, event)
for _, name in ipairs({meta, events}) do redis.call('EXPIRE', name, ttl) end
return 'ok'
