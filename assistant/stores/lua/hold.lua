-- How many sockets of an owner a gateway has; those of a gateway that is silent for a lease do not count.
-- KEYS: sockets
-- ARGV: gateway, count, most (0: any number), lease milliseconds
local sockets = KEYS[1]
local gateway, count, most, lease = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
redis.set_repl(redis.REPL_NONE)
local now = milliseconds()

local others, fields = 0, redis.call('HGETALL', sockets)
for i = 1, #fields, 2 do
  local held, deadline = fields[i + 1]:match('^(%S+) (%S+)$')
  if fields[i] ~= gateway then
    if tonumber(deadline) > now then others = others + tonumber(held) else redis.call('HDEL', sockets, fields[i]) end
  end
end
if most > 0 and others + count > most then return 'full' end
if count == 0 then
  redis.call('HDEL', sockets, gateway)
else
  redis.call('HSET', sockets, gateway, string.format('%d %.0f', count, now + lease))
  redis.call('PEXPIRE', sockets, lease)
end
return 'ok'
