-- Append events of a running turn and renew its lease. Refused when another worker has the turn or it has ended.
-- KEYS: meta events live turn
-- ARGV: session id, fence, at, lease milliseconds, bell, then pairs: 'events' or 'live', event
local meta, events, live, turn = unpack(KEYS)
local session_id, fence, at, lease, bell = unpack(ARGV)

local state = redis.call('HMGET', turn, 'fence', 'status')
if state[1] ~= fence or state[2] ~= 'running' then return 'lost' end

-- Leases and live events stay in memory: a write to disk for every few words would be the slowest part of a turn, and
-- what they say is said for good by the message at the end. `claim` deals with a server that forgot them.
redis.set_repl(redis.REPL_NONE)
local now = redis.call('TIME')
redis.call('HSET', turn, 'deadline', now[1] * 1000 + math.floor(now[2] / 1000) + tonumber(lease))
if #ARGV == 5 then return 'ok' end

local epoch, seq = unpack(redis.call('HMGET', meta, 'epoch', 'seq'))
for i = 6, #ARGV, 2 do
  seq = seq + 1
  local place = string.format('{"session_id":"%s","epoch":"%s","seq":%d,"at":"%s",', session_id, epoch, seq, at)
  local json = place .. ARGV[i + 1]:sub(2)
  redis.set_repl(ARGV[i] == 'live' and redis.REPL_NONE or redis.REPL_ALL)
  redis.call('HSET', meta, 'seq', seq)
  if ARGV[i] == 'live' then
    redis.call('XADD', live, 'MAXLEN', '~', 20000, seq .. '-0', 'e', json)
    redis.call('EXPIRE', live, 3600)
  else
    redis.call('XADD', events, seq .. '-0', 'e', json)
  end
  redis.call('PUBLISH', bell, seq .. ' ' .. json)
end
return 'ok'
