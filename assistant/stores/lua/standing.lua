-- What is kept of buckets, and the time by which it is to be read; both of the server that has them.
-- KEYS: limits
-- ARGV: names of buckets
local answer = {string.format('%.0f', microseconds())}
for i, name in ipairs(ARGV) do
  answer[i + 1] = redis.call('HGET', KEYS[1], 'bucket:' .. name) or ''
end
return answer
