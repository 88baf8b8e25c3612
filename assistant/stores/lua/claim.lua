-- Take a turn: raise its fence, so that whoever had it before can write no more, and announce the start.
-- KEYS: meta events turn
-- ARGV: session id, at, started event, lease milliseconds, bell
local meta, events, turn = unpack(KEYS)
local session_id, at, started, lease, bell = unpack(ARGV)

local status = redis.call('HGET', turn, 'status')
if status ~= 'queued' and status ~= 'running' then return {'gone'} end

local now = redis.call('TIME')
local milliseconds = now[1] * 1000 + math.floor(now[2] / 1000)
local deadline = tonumber(redis.call('HGET', turn, 'deadline') or 0)
if status == 'running' and milliseconds < deadline then return {'held'} end

local fence = redis.call('HINCRBY', turn, 'fence', 1)
local attempt = redis.call('HINCRBY', turn, 'attempts', 1)
redis.call('HSET', turn, 'status', 'running', 'deadline', milliseconds + tonumber(lease))

local seq = redis.call('HINCRBY', meta, 'seq', 1)
local place = string.format('{"session_id":"%s","epoch":"%s","seq":%d,"at":"%s","attempt":%d,',
  session_id, redis.call('HGET', meta, 'epoch'), seq, at, attempt)
redis.call('XADD', events, seq .. '-0', 'e', place .. started:sub(2))
redis.call('PUBLISH', bell, '')
return {'claimed', fence, attempt, redis.call('HGET', turn, 'owner'), redis.call('HGET', turn, 'options')}
