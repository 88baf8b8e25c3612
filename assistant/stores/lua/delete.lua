-- Delete a conversation: every key of it. Whoever runs a turn of it is told to stop, and whoever follows it to look.
-- With the answer comes the turn that a worker has, or '', and then those that nobody has begun.
-- Turns are found by what was submitted. Keys of turns are made here; they are in the slot of the others.
-- KEYS: meta events live idem pending named
-- ARGV: owner, prefix of turn keys, prefix of cancel channels, bell
local meta, events, live, idem, pending, named = unpack(KEYS)
local owner, turn_key, cancel, bell = unpack(ARGV)

local kept_owner, active, unclaimed = unpack(redis.call('HMGET', meta, 'owner', 'active', 'unclaimed'))
if kept_owner ~= owner then return 'not_found' end
local begun = active and active ~= unclaimed and active or ''
local answer = {'ok', begun}
if active and active ~= '' and begun == '' then answer[3] = active end
for _, turn in ipairs(redis.call('LRANGE', pending, 0, -1)) do answer[#answer + 1] = turn end

local turns = {}
for _, known in ipairs(redis.call('HVALS', idem)) do
  turns[#turns + 1] = known:match('^%S+ (%S+) %S+$')
end
redis.call('DEL', meta, events, live, idem, pending, named)
for _, turn in ipairs(turns) do redis.call('DEL', turn_key .. turn) end
for _, turn in ipairs(turns) do redis.call('PUBLISH', cancel .. turn, '') end
redis.call('PUBLISH', bell, '')
return answer
