-- What every script that appends begins with: how an event gets its place in the log of its session.
--
-- Live events are not written to disk, and a replica may not have had the last of the others when it took over. When the
-- server is another than at the last event, numbers that clients have seen may be gone: they then go on well above those.

local LIVE_SECONDS = 3600

local run_id
local function server_run()
  run_id = run_id or redis.call('INFO', 'server'):match('run_id:(%w+)')
  return run_id
end

local function open_log(meta, session_id, at, bell)
  local epoch, seq, run = unpack(redis.call('HMGET', meta, 'epoch', 'seq', 'run'))
  local now = server_run()
  if run ~= now then
    if run then seq = seq + 1000000 end
    redis.call('HSET', meta, 'run', now, 'seq', seq)
  end
  local log = {run = now}

  function log.append(stream, json)
    seq = seq + 1
    redis.call('HSET', meta, 'seq', seq)
    if json:find('{"type":"message.created"', 1, true) == 1 then redis.call('HINCRBY', meta, 'messages', 1) end
    local place = string.format('{"session_id":"%s","epoch":"%s","seq":%d,"at":"%s",', session_id, epoch, seq, at)
    json = place .. json:sub(2)
    redis.call('XADD', stream, seq .. '-0', 'e', json)
    redis.call('PUBLISH', bell, seq .. ' ' .. json)
  end

  -- In memory only: a write to disk for every few words would be the slowest part of a turn, and what they say is said
  -- for good by the message at its end.
  function log.append_live(stream, json)
    redis.set_repl(redis.REPL_NONE)
    log.append(stream, json)
    redis.call('XTRIM', stream, 'MAXLEN', '~', 20000)
    redis.call('EXPIRE', stream, LIVE_SECONDS)
    redis.set_repl(redis.REPL_ALL)
  end

  return log
end

-- Whether a turn is still its worker's: the same fence, running, and no live text of it forgotten since its claim.
local function holds(turn, fence)
  local state = redis.call('HMGET', turn, 'fence', 'status', 'run')
  return state[1] == fence and state[2] == 'running' and state[3] == server_run()
end

-- Make the turn that waits longest the active one; it, or nothing, which nobody has claimed yet.
local function begin_next(meta, pending)
  local following = redis.call('LPOP', pending) or ''
  redis.call('HSET', meta, 'active', following, 'unclaimed', following)
  return following
end

local function milliseconds()
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end
