-- Take a turn: raise its fence, so that whoever had it before can write no more, and announce the start.
-- KEYS: meta events live turn
-- ARGV: session id, at, started event, lease milliseconds, bell
local meta, events, live, turn = unpack(KEYS)
local session_id, at, started, lease, bell = unpack(ARGV)

local status, deadline, before = unpack(redis.call('HMGET', turn, 'status', 'deadline', 'run'))
if status ~= 'queued' and status ~= 'running' then return {'gone'} end
if status == 'running' and milliseconds() < tonumber(deadline) then return {'held'} end

local log = open_log(meta, session_id, at, bell)
local restart = before and before ~= log.run or false
if restart then redis.call('DEL', live) end

local fence = redis.call('HINCRBY', turn, 'fence', 1)
local attempt = redis.call('HINCRBY', turn, 'attempts', 1)
redis.call('HSET', turn, 'status', 'running', 'deadline', milliseconds() + tonumber(lease), 'run', log.run)
log.append(events, string.format('{"attempt":%d,"restart":%s,', attempt, tostring(restart)) .. started:sub(2))
return {'claimed', fence, attempt, redis.call('HGET', turn, 'owner'), redis.call('HGET', turn, 'options')}
