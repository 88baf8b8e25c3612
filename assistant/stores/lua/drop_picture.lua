-- Forget a picture that no conversation of its owner uses. The hash of its bytes, or nothing where it stays.
-- KEYS: image used sizes
-- ARGV: image id, prefix of source keys
local image, used, sizes = unpack(KEYS)
local image_id, source_key = unpack(ARGV)

if redis.call('SCARD', used) > 0 then return '' end
local sha256, source = unpack(redis.call('HMGET', image, 'sha256', 'source_sha256'))
if not sha256 then return '' end
if redis.call('GET', source_key .. source) == image_id then redis.call('DEL', source_key .. source) end
redis.call('DEL', image, used)
redis.call('HDEL', sizes, image_id)
return sha256
