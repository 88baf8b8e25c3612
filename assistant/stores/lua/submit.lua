-- Accept a turn: append the user's message, or say why not. Nothing is written unless all is.
-- With the answer comes the session's turn that nobody has claimed, if there is one: it is to be queued (perhaps again).
-- A turn that answers a message again has no message of its own. `tip` is the answer that the next message follows.
-- `named` are the ids that may be named later: of messages, and of answers, whether they are there, on their way or
-- never come.
-- KEYS: meta events live idem pending turn named
-- ARGV: owner, client message id, body hash, turn id, message id, session id, at, event, options, queued event head,
--       most waiting turns, ttl seconds, bell, title, parent
--       (empty: the tip; root: none), message to answer again (or empty)
local meta, events, live, idem, pending, turn, named = unpack(KEYS)
local owner, key, body, turn_id, message_id, session_id, at, event, options, queued, most, ttl, bell, title,
  parent, again = unpack(ARGV)

local kept_owner, active, unclaimed = unpack(redis.call('HMGET', meta, 'owner', 'active', 'unclaimed'))
if kept_owner ~= owner then return {'not_found'} end

local before = redis.call('HGET', idem, key)
if before then
  local seen_body, seen_turn, seen_message = before:match('^(%S+) (%S+) (%S+)$')
  if seen_body ~= body then return {'conflict'} end
  return {'duplicate', seen_turn, seen_message, unclaimed or ''}
end

for _, name in ipairs({parent, again}) do
  if name ~= '' and name ~= 'root' and redis.call('SISMEMBER', named, name) == 0 then return {'no_message'} end
end

local waiting = redis.call('LLEN', pending)
if active and active ~= '' and waiting >= tonumber(most) then return {'busy'} end

local log = open_log(meta, session_id, at, bell)
if again ~= '' then message_id = again end
redis.call('HSET', idem, key, body .. ' ' .. turn_id .. ' ' .. message_id)
redis.call('HSET', turn, 'status', 'queued', 'owner', owner, 'fence', 0, 'attempts', 0, 'options', options,
  'message', message_id)
if again == '' then
  if parent == '' then parent = redis.call('HGET', meta, 'tip') or 'root' end
  if parent ~= 'root' then
    local head = '{"type":"message.created","message":{'
    event = head .. '"parent":"' .. parent .. '",' .. event:sub(#head + 1)
  end
  log.append(events, event)
  redis.call('HSETNX', meta, 'title', title)
end
local answer = message_id .. '.' .. turn_id
redis.call('HSET', meta, 'tip', answer)
redis.call('SADD', named, message_id, answer)
if not active or active == '' then
  unclaimed = turn_id
  redis.call('HSET', meta, 'active', turn_id, 'unclaimed', turn_id)
else
  redis.call('RPUSH', pending, turn_id)
  log.append_live(live, queued .. ',"position":' .. (waiting + 1) .. '}')
end
for _, name in ipairs({meta, events, idem, pending, turn, named}) do redis.call('EXPIRE', name, ttl) end
return {'accepted', turn_id, message_id, unclaimed or ''}
