-- How a turn stands: its record, the place of its session, and the events since it began, or began again after its text was
-- lost. Once it has ended its message says what its deltas said, so those are left out. Other turns' events may be between.
-- A record of an earlier version has no numbers, and the whole log is looked through.
-- KEYS: meta events live turn
-- ARGV: owner
local meta, events, live, turn = unpack(KEYS)

local owner, epoch, seq = unpack(redis.call('HMGET', meta, 'owner', 'epoch', 'seq'))
if owner ~= ARGV[1] then return {'no_session'} end
local status, message_id, fence, first, last = unpack(redis.call('HMGET', turn, 'status', 'message', 'fence', 'first', 'last'))
if not status then return {'no_turn'} end

local answer = {'ok', status, message_id, epoch, seq}
local function add(stream)
  for _, entry in ipairs(redis.call('XRANGE', stream, first or '-', last or '+')) do answer[#answer + 1] = entry[2][2] end
end
if fence ~= '0' then add(events) end
if fence ~= '0' and (status == 'queued' or status == 'running') then add(live) end
return answer
