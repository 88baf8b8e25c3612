-- Give a running turn back: whoever claims it next goes on from the text so far.
-- That text is written to disk and to replicas, in one piece: a worker is often stopped together with its server. Where
-- the server is another than at the claim, the text is gone already; the record stays as it is, by which the next claim
-- finds that out. An attempt counts only where it was cut off and not by the server's death.
-- KEYS: live turn
-- ARGV: fence, 1 where the attempt was cut off
local live, turn = unpack(KEYS)
local fence, cut_off = unpack(ARGV)

local kept_fence, status, run = unpack(redis.call('HMGET', turn, 'fence', 'status', 'run'))
if kept_fence ~= fence or status ~= 'running' then return 'lost' end

local same = run == server_run()
if same then
  local text = redis.call('DUMP', live)
  if text then redis.call('RESTORE', live, LIVE_SECONDS * 1000, text, 'REPLACE') end
  redis.call('HDEL', turn, 'run')
end
if not same or cut_off ~= '1' then redis.call('HINCRBY', turn, 'attempts', -1) end
redis.call('HSET', turn, 'status', 'queued')
redis.call('HDEL', turn, 'deadline')
return 'ok'
