-- End a turn once: append its last events, take its job off the queue and start the next turn of the session.
-- KEYS: meta events turn pending jobs
-- ARGV: session id, fence, at, status, job id, group, ttl seconds, bell, then events
local meta, events, turn, pending, jobs = unpack(KEYS)
local session_id, fence, at, status, job, group, ttl, bell = unpack(ARGV)

local state = redis.call('HMGET', turn, 'fence', 'status')
if state[1] ~= fence or state[2] ~= 'running' then return 'lost' end

local epoch = redis.call('HGET', meta, 'epoch')
for i = 9, #ARGV do
  local seq = redis.call('HGET', meta, 'seq') + 1
  redis.call('HSET', meta, 'seq', seq)
  local place = string.format('{"session_id":"%s","epoch":"%s","seq":%d,"at":"%s",', session_id, epoch, seq, at)
  local json = place .. ARGV[i]:sub(2)
  redis.call('XADD', events, seq .. '-0', 'e', json)
  redis.call('PUBLISH', bell, seq .. ' ' .. json)
end
redis.call('HSET', turn, 'status', status)
redis.call('XACK', jobs, group, job)
redis.call('XDEL', jobs, job)

local following = redis.call('LPOP', pending)
redis.call('HSET', meta, 'active', following or '')
if following then redis.call('XADD', jobs, '*', 's', session_id, 't', following) end
for _, name in ipairs({meta, events, turn}) do redis.call('EXPIRE', name, ttl) end
return 'ok'
