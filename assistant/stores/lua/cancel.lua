-- Ask for a turn to stop. Whoever runs it, now or next, sees the mark.
-- KEYS: meta turn
-- ARGV: owner, seen characters, cancel channel
local meta, turn = unpack(KEYS)
local owner, seen, channel = unpack(ARGV)

if redis.call('HGET', meta, 'owner') ~= owner then return 'not_found' end
local status = redis.call('HGET', turn, 'status')
if not status then return 'not_found' end
if status == 'queued' or status == 'running' then
  redis.call('HSET', turn, 'cancel', seen)
  redis.call('PUBLISH', channel, '')
end
return 'ok'
