-- Delete a conversation: every key of it. Whoever runs a turn of it is told to stop, and whoever follows it to look.
-- Turns are found by what was submitted. Keys of turns are made here; they are in the slot of the others.
-- KEYS: meta events live idem pending
-- ARGV: owner, prefix of turn keys, prefix of cancel channels, bell
local meta, events, live, idem, pending = unpack(KEYS)
local owner, turn_key, cancel, bell = unpack(ARGV)

if redis.call('HGET', meta, 'owner') ~= owner then return 'not_found' end
local turns = {}
for _, known in ipairs(redis.call('HVALS', idem)) do
  turns[#turns + 1] = known:match('^%S+ (%S+) %S+$')
end
redis.call('DEL', meta, events, live, idem, pending)
for _, turn in ipairs(turns) do redis.call('DEL', turn_key .. turn) end
for _, turn in ipairs(turns) do redis.call('PUBLISH', cancel .. turn, '') end
redis.call('PUBLISH', bell, '')
return 'ok'
