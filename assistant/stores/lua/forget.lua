-- Say that the bytes of a picture are gone, to whoever has made something of them; those who are away may read it later.
-- KEYS: forgotten
-- ARGV: hash of the bytes, seconds for which it can be read, bell
local forgotten = KEYS[1]
local sha256, kept, bell = unpack(ARGV)

local oldest = milliseconds() - kept * 1000
redis.call('XADD', forgotten, 'MINID', string.format('%.0f', oldest), '*', 'sha256', sha256)
redis.call('EXPIRE', forgotten, kept)
redis.call('PUBLISH', bell, '')
return 'ok'
