-- A picture becomes part of a conversation, and is kept as long as it.
-- KEYS: image used pictures
-- ARGV: image id, session id, ttl seconds
local image, used, pictures = unpack(KEYS)
local image_id, session_id, ttl = unpack(ARGV)

if redis.call('EXISTS', image) == 0 then return 'not_found' end
redis.call('SADD', used, session_id)
redis.call('SADD', pictures, image_id)
for _, name in ipairs({image, used, pictures}) do redis.call('EXPIRE', name, ttl) end
return 'ok'
