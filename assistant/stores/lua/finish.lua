-- End a turn once: append its last events and let the session's next turn begin, which is to be queued then.
-- KEYS: meta events turn pending
-- ARGV: session id, fence, at, status, ttl seconds, bell, then events
local meta, events, turn, pending = unpack(KEYS)
local session_id, fence, at, status, ttl, bell = unpack(ARGV)

if not holds(turn, fence) then return {'lost'} end

local log = open_log(meta, session_id, at, bell)
for i = 7, #ARGV do log.append(events, ARGV[i]) end
redis.call('HSET', turn, 'status', status, 'last', redis.call('HGET', meta, 'seq'))
local following = begin_next(meta, pending)
for _, name in ipairs({meta, events, turn}) do redis.call('EXPIRE', name, ttl) end
return {'ok', following}
