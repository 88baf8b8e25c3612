-- Forget workers that are gone for long, or one. Whoever has a job is kept: with it the job would be forgotten.
-- KEYS: jobs
-- ARGV: group, milliseconds, name of a worker (empty: any)
local jobs = KEYS[1]
local group, gone, only = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local MOST = 1000

local groups = redis.call('EXISTS', jobs) == 1 and redis.call('XINFO', 'GROUPS', jobs) or {}
if #groups == 0 then return 0 end
local forgotten = 0
for _, worker in ipairs(redis.call('XINFO', 'CONSUMERS', jobs, group)) do
  local has = {}
  for i = 1, #worker, 2 do has[worker[i]] = worker[i + 1] end
  local meant = only == '' and has.idle > gone or only == has.name
  if meant and has.pending == 0 and forgotten < MOST then
    redis.call('XGROUP', 'DELCONSUMER', jobs, group, has.name)
    forgotten = forgotten + 1
  end
end
return forgotten
