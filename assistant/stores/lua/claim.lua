-- Take a turn: raise its fence, so that whoever had it before can write no more, and announce the start.
-- A job whose turn has ended is over; with it comes the turn that nobody has claimed, if there is one, which is queued
-- before the job goes. One whose turn a worker has stays, even if another job stands for the turn: that may be lost.
-- The fence counts claims; attempts are those of them that were not given back (see release).
-- KEYS: meta events live turn pending
-- ARGV: session id, turn id, at, started event, event of a turn whose record is gone, lease milliseconds, bell
local meta, events, live, turn, pending = unpack(KEYS)
local session_id, turn_id, at, started, lost, lease, bell = unpack(ARGV)

local active, unclaimed = unpack(redis.call('HMGET', meta, 'active', 'unclaimed'))
if active ~= turn_id then return {'over', unclaimed or ''} end

local status, deadline, before = unpack(redis.call('HMGET', turn, 'status', 'deadline', 'run'))
if status == 'running' and before == server_run() and milliseconds() < tonumber(deadline) then return {'held'} end

local log = open_log(meta, session_id, at, bell)
if not status then
  log.append(events, lost)
  return {'over', begin_next(meta, pending)}
end

local fence = redis.call('HINCRBY', turn, 'fence', 1)
local failures = redis.call('HINCRBY', turn, 'attempts', 1) - 1
local given_back = fence > 1 and not before
local text = given_back and redis.call('DUMP', live)
local restart = given_back and not text or before and before ~= log.run or false
if restart or text then redis.call('DEL', live) end
if text then  -- it was written down when the turn was given back; from now on it is in memory alone
  redis.set_repl(redis.REPL_NONE)
  redis.call('RESTORE', live, LIVE_SECONDS * 1000, text)
  redis.set_repl(redis.REPL_ALL)
end
redis.call('HSET', turn, 'status', 'running', 'deadline', milliseconds() + tonumber(lease), 'run', log.run)
redis.call('HSET', meta, 'unclaimed', '')
local message_id, owner, options = unpack(redis.call('HMGET', turn, 'message', 'owner', 'options'))
local known = string.format('{"attempt":%d,"restart":%s,"message_id":"%s",', fence, tostring(restart), message_id)
log.append(events, known .. started:sub(2))
if fence == 1 or restart then redis.call('HSET', turn, 'first', redis.call('HGET', meta, 'seq')) end
return {'claimed', fence, failures, owner, options, message_id}
