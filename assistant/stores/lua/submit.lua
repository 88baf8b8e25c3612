-- Accept a turn: append the user's message, or say why not. Nothing is written unless all is.
-- With the answer comes the session's turn that nobody has claimed, if there is one: it is to be queued (perhaps again).
-- KEYS: meta events live idem pending turn
-- ARGV: owner, client message id, body hash, turn id, message id, session id, at, event, options, queued event head,
--       most waiting turns, ttl seconds, bell, title
local meta, events, live, idem, pending, turn = unpack(KEYS)
local owner, key, body, turn_id, message_id, session_id, at, event, options, queued, most, ttl, bell, title =
  unpack(ARGV)

local kept_owner, active, unclaimed = unpack(redis.call('HMGET', meta, 'owner', 'active', 'unclaimed'))
if kept_owner ~= owner then return {'not_found'} end

local before = redis.call('HGET', idem, key)
if before then
  local seen_body, seen_turn, seen_message = before:match('^(%S+) (%S+) (%S+)$')
  if seen_body ~= body then return {'conflict'} end
  return {'duplicate', seen_turn, seen_message, unclaimed or ''}
end

local waiting = redis.call('LLEN', pending)
if active and active ~= '' and waiting >= tonumber(most) then return {'busy'} end

local log = open_log(meta, session_id, at, bell)
redis.call('HSET', idem, key, body .. ' ' .. turn_id .. ' ' .. message_id)
redis.call('HSET', turn, 'status', 'queued', 'owner', owner, 'fence', 0, 'attempts', 0, 'options', options)
log.append(events, event)
redis.call('HSETNX', meta, 'title', title)
if not active or active == '' then
  unclaimed = turn_id
  redis.call('HSET', meta, 'active', turn_id, 'unclaimed', turn_id)
else
  redis.call('RPUSH', pending, turn_id)
  log.append_live(live, queued .. ',"position":' .. (waiting + 1) .. '}')
end
for _, name in ipairs({meta, events, idem, pending, turn}) do redis.call('EXPIRE', name, ttl) end
return {'accepted', turn_id, message_id, unclaimed or ''}
