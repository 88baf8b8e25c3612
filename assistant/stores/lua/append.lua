-- Append events of a running turn and renew its lease. Refused when another worker has the turn or it has ended.
-- KEYS: meta events live turn
-- ARGV: session id, fence, at, lease milliseconds, bell, then pairs: 'events' or 'live', event
local meta, events, live, turn = unpack(KEYS)
local session_id, fence, at, lease, bell = unpack(ARGV)

local state = redis.call('HMGET', turn, 'fence', 'status')
if state[1] ~= fence or state[2] ~= 'running' then return 'lost' end

local now = redis.call('TIME')
redis.call('HSET', turn, 'deadline', now[1] * 1000 + math.floor(now[2] / 1000) + tonumber(lease))
if #ARGV == 5 then return 'ok' end

local epoch = redis.call('HGET', meta, 'epoch')
for i = 6, #ARGV, 2 do
  local seq = redis.call('HINCRBY', meta, 'seq', 1)
  local place = string.format('{"session_id":"%s","epoch":"%s","seq":%d,"at":"%s",', session_id, epoch, seq, at)
  local json = place .. ARGV[i + 1]:sub(2)
  if ARGV[i] == 'live' then
    redis.call('XADD', live, 'MAXLEN', '~', 20000, seq .. '-0', 'e', json)
    redis.call('EXPIRE', live, 3600)
  else
    redis.call('XADD', events, seq .. '-0', 'e', json)
  end
end
redis.call('PUBLISH', bell, '')
return 'ok'
