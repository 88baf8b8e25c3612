-- Take a turn: raise its fence, so that whoever had it before can write no more, and announce the start.
-- KEYS: meta events live turn
-- ARGV: session id, at, started event, lease milliseconds, bell
local meta, events, live, turn = unpack(KEYS)
local session_id, at, started, lease, bell = unpack(ARGV)

local status = redis.call('HGET', turn, 'status')
if status ~= 'queued' and status ~= 'running' then return {'gone'} end

local now = redis.call('TIME')
local milliseconds = now[1] * 1000 + math.floor(now[2] / 1000)
local deadline = tonumber(redis.call('HGET', turn, 'deadline') or 0)
if status == 'running' and milliseconds < deadline then return {'held'} end

-- Live events are not written to disk. When the server is another than at the last attempt, they are gone, and with
-- them the numbers that clients have seen: go on well above those, and say that the text begins again.
local seq = redis.call('HGET', meta, 'seq') + 1
local run = redis.call('INFO', 'server'):match('run_id:(%w+)')
local before = redis.call('HGET', turn, 'run')
local lost = before and before ~= run
if lost then
  seq = seq + 1000000
  redis.call('DEL', live)
end

local fence = redis.call('HINCRBY', turn, 'fence', 1)
local attempt = redis.call('HINCRBY', turn, 'attempts', 1)
redis.call('HSET', turn, 'status', 'running', 'deadline', milliseconds + tonumber(lease), 'run', run)
redis.call('HSET', meta, 'seq', seq)
local place = string.format('{"session_id":"%s","epoch":"%s","seq":%d,"at":"%s","attempt":%d,"restart":%s,',
  session_id, redis.call('HGET', meta, 'epoch'), seq, at, attempt, tostring(lost or false))
local json = place .. started:sub(2)
redis.call('XADD', events, seq .. '-0', 'e', json)
redis.call('PUBLISH', bell, seq .. ' ' .. json)
return {'claimed', fence, attempt, redis.call('HGET', turn, 'owner'), redis.call('HGET', turn, 'options')}
