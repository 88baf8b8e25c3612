-- Keep a summary of the beginning of a conversation, while the conversation is there.
-- KEYS: meta
-- ARGV: owner, summary
local owner, summary = unpack(ARGV)

if redis.call('HGET', KEYS[1], 'owner') ~= owner then return 'not_found' end
redis.call('HSET', KEYS[1], 'summary', summary)
return 'ok'
