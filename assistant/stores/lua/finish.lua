-- End a turn once: append its last events, take its job off the queue and start the next turn of the session.
-- KEYS: meta events turn pending jobs
-- ARGV: session id, fence, at, status, job id, group, ttl seconds, bell, then events
local meta, events, turn, pending, jobs = unpack(KEYS)
local session_id, fence, at, status, job, group, ttl, bell = unpack(ARGV)

if not holds(turn, fence) then return 'lost' end

local log = open_log(meta, session_id, at, bell)
for i = 9, #ARGV do log.append(events, ARGV[i]) end
redis.call('HSET', turn, 'status', status)
redis.call('XACK', jobs, group, job)
redis.call('XDEL', jobs, job)

local following = redis.call('LPOP', pending)
redis.call('HSET', meta, 'active', following or '')
if following then redis.call('XADD', jobs, '*', 's', session_id, 't', following) end
for _, name in ipairs({meta, events, turn}) do redis.call('EXPIRE', name, ttl) end
return 'ok'
