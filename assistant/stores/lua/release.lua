-- Give a running turn back: whoever claims it next goes on from the text so far, and no attempt was made in vain.
-- That text is written to disk and to replicas, in one piece: a worker is often stopped together with its server.
-- KEYS: live turn
-- ARGV: fence
local live, turn = unpack(KEYS)

if not holds(turn, ARGV[1]) then return 'lost' end

local text = redis.call('DUMP', live)
if text then redis.call('RESTORE', live, LIVE_SECONDS * 1000, text, 'REPLACE') end
redis.call('HINCRBY', turn, 'attempts', -1)
redis.call('HSET', turn, 'status', 'queued')
redis.call('HDEL', turn, 'run', 'deadline')
return 'ok'
