-- Append events of a running turn and renew its lease. Refused when another worker has the turn or it has ended.
-- KEYS: meta events live turn
-- ARGV: session id, fence, at, lease milliseconds, bell, then pairs: 'events' or 'live', event
local meta, events, live, turn = unpack(KEYS)
local session_id, fence, at, lease, bell = unpack(ARGV)

if not holds(turn, fence) then return 'lost' end

redis.set_repl(redis.REPL_NONE)
redis.call('HSET', turn, 'deadline', milliseconds() + tonumber(lease))
redis.set_repl(redis.REPL_ALL)

local log = open_log(meta, session_id, at, bell)
for i = 6, #ARGV, 2 do
  if ARGV[i] == 'live' then
    log.append_live(live, ARGV[i + 1])
  else
    log.append(events, ARGV[i + 1])
  end
end
return 'ok'
