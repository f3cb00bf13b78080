#!lua name=polyglot_1

-- What the Redis engine does in Redis, each in one atomic step (https://redis.io/docs/latest/develop/programmability).
-- The number in the name is raised with every change of meaning, so that gateways of two versions can share a Redis.
--
-- A channel is one stream, and nothing but that stream: whatever takes it away (FLUSHALL, eviction, its TTL) takes all
-- of the channel's past, and the next life has another epoch. The entry of an event has the id `offset-1` and the
-- fields `e`, the envelope up to `"offset":`, and `t`, its time in microseconds, which never falls within a channel. A
-- consumer group, which nobody reads with, bears what else is known in its name: `reign:epoch:real`.
--
-- The reign is the time for which one Redis process is the master. A Redis that starts again, or takes over from
-- another, may lack the newest events, and gives their offsets away a second time; so each reign has epochs of its own:
-- the events that are left stay, and the next append, or the first reader, ends the epoch before. `real` is 0 for a
-- channel that somebody asked for and 1 for one that has had events, of which forgetting may have left none.
--
-- Redis does not undo what a function did before it failed. So all that may be forbidden to the gateway's user (INFO,
-- SPUBLISH) comes before the first write; news that turns out to be none does no harm.
--
-- News is said on the shard channel that is named as the stream: an empty message, upon which one looks for oneself.
--
-- Epochs are numbers beyond 2^53, and stay texts here.

local run_id  -- of this process, in which the library was loaded anew

-- The id of the process alone would be the same for one that was master, then replica, then master again; that of the
-- replication alone may come back with the data.
local function reign_now()
  run_id = run_id or string.sub(string.match(redis.call('INFO', 'server'), 'run_id:(%x+)'), 1, 12)
  return run_id .. string.sub(string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)'), 1, 12)
end

local function set_life(key, life, reign, epoch, real)
  if life then redis.call('XGROUP', 'DESTROY', key, life) end
  redis.call('XGROUP', 'CREATE', key, reign .. ':' .. epoch .. ':' .. real, '0', 'MKSTREAM')
end

-- A table: reign, the present one; there, whether there is a stream; offset and time of the newest event, 0 when there
-- is none; epoch; real; ended, whether the epoch has to end because its reign has; life, the name of the group.
local function state_of(key)
  local state = {reign = reign_now(), there = false, offset = 0, time = 0, epoch = '0', real = '0', ended = true}
  if redis.call('EXISTS', key) == 0 then return state end
  state.there, state.real = true, '1'
  local group = redis.call('XINFO', 'GROUPS', key)[1]
  if group then
    state.life = group[2]
    local reign, epoch, real = string.match(state.life, '^(%x+):(%d+):(%d)$')
    if reign then
      state.epoch, state.real, state.ended = epoch, real, reign ~= state.reign
    end
  end
  local newest = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  if newest then
    state.offset = tonumber(string.match(newest[1], '^%d+'))
    state.time = tonumber(newest[2][4])
  end
  return state
end

-- KEYS  the stream; then the keys under which idempotent appends are remembered
-- ARGV  a new epoch, should one be needed, most events to keep, TTL of the stream in ms, TTL of what is remembered in ms,
--       then for each event: envelope, time, number of its key in KEYS or 0, and what is remembered under it, which
--       begins with 16 digits for the event itself
-- {epoch, for each event: its offset, or what was remembered, or '' when another event was}
local function append(keys, args)
  local key = keys[1]
  local state = state_of(key)
  local epoch = state.ended and args[1] or state.epoch
  local offset, time = state.offset, state.time
  local answer = {epoch}
  local fresh = false
  for i = 5, #args, 4 do
    local remember = tonumber(args[i + 2])
    fresh = remember == 0 or not redis.call('GET', keys[remember])
    if fresh then break end
  end
  if fresh then
    redis.call('SPUBLISH', key, '')
    if state.ended or state.real == '0' then set_life(key, state.life, state.reign, epoch, 1) end
  end
  for i = 5, #args, 4 do
    local remember = tonumber(args[i + 2])
    local known = remember > 0 and redis.call('GET', keys[remember])
    if known then
      local same = string.sub(known, 1, 16) == string.sub(args[i + 3], 1, 16)
      answer[#answer + 1] = same and known or ''
    else
      offset = offset + 1
      time = math.max(time, tonumber(args[i + 1]))
      local id = string.format('%.0f-', offset)
      redis.call('XADD', key, id .. '1', 'e', args[i], 't', string.format('%.0f', time))
      if remember > 0 then
        redis.call('SET', keys[remember], args[i + 3] .. ':' .. id .. epoch, 'PX', args[4])
      end
      answer[#answer + 1] = offset
    end
  end
  if fresh then
    redis.call('XTRIM', key, 'MAXLEN', args[2])
    redis.call('PEXPIRE', key, args[3])
  end
  return answer
end

-- KEYS  the stream
-- ARGV  epoch of the new life, TTL of the stream in ms
local function forget(keys, args)
  local state = state_of(keys[1])
  if state.real == '1' then redis.call('SPUBLISH', keys[1], '') end
  redis.call('DEL', keys[1])
  set_life(keys[1], nil, state.reign, args[1], state.real)
  redis.call('PEXPIRE', keys[1], args[2])
  return redis.status_reply('OK')
end

-- Makes a channel that is not there, without events.
-- KEYS  the stream
-- ARGV  epoch of a new life, TTL of the stream in ms
local function begin(keys, args)
  local state = state_of(keys[1])
  if not state.there then
    set_life(keys[1], nil, state.reign, args[1], 0)
    redis.call('PEXPIRE', keys[1], args[2])
  end
  return redis.status_reply('OK')
end

-- Ends an epoch whose reign has ended; does nothing when that was done before.
-- KEYS  the stream
-- ARGV  the epoch, a new one
local function renew(keys, args)
  local state = state_of(keys[1])
  if state.there and state.ended and state.epoch == args[1] then
    redis.call('SPUBLISH', keys[1], '')
    set_life(keys[1], state.life, state.reign, args[2], state.real)
  end
  return redis.status_reply('OK')
end

-- The first offset from `low` on, before `high`, whose time is not before `limit`.
local function first_from(key, low, high, limit)
  while low < high do
    local middle = low + math.floor((high - low) / 2)
    local id = string.format('%.0f', middle)
    local found = redis.call('XRANGE', key, id, id)[1]
    if found and tonumber(found[2][4]) < limit then low = middle + 1 else high = middle end
  end
  return low
end

-- KEYS  the stream
-- ARGV  since, until, epoch ('' for none of these), most events, 1 for the newest first, how many newest events count,
--       and the time from which on events count
-- {offset of the newest event, epoch, its time, offset of the first event that can be read, reason of the gap or '',
--  gap from, gap to, {id, {'e', envelope, …}} for each event}; the epoch alone when it has to be renewed; nothing when
-- there is no stream
local function read(keys, args)
  local key = keys[1]
  local state = state_of(key)
  if not state.there then return {} end
  if state.ended then return {state.epoch} end
  local last, epoch = state.offset, state.epoch
  local since, till, limit = tonumber(args[1]), tonumber(args[2]), tonumber(args[4])
  local backwards = args[5] == '1'
  local oldest = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
  local kept = oldest and tonumber(string.match(oldest[1], '^%d+')) or last + 1
  kept = math.max(kept, last - tonumber(args[6]) + 1)
  local first, reason = kept, 'overwritten'
  if tonumber(args[7]) > 0 then
    first = first_from(key, kept, last + 1, tonumber(args[7]))
    if first > kept then reason = 'expired' end
  end
  local start, stop, gap_from, gap_to = first, last, 0, 0
  if not since then
    reason = ''
  elseif args[3] ~= '' and args[3] ~= epoch then
    reason = 'epoch_changed'
  elseif since > last then
    reason = 'beyond_end'
  elseif since + 1 < first then
    gap_from, gap_to = since + 1, first - 1
  else
    start, reason = since + 1, ''
  end
  if till and till < stop then stop = till end
  if stop - start + 1 > limit then
    if since and not backwards then stop = start + limit - 1 else start = stop - limit + 1 end
  end
  local events = {}
  if start <= stop then
    local from, to = string.format('%.0f', start), string.format('%.0f', stop)
    events = backwards and redis.call('XREVRANGE', key, to, from) or redis.call('XRANGE', key, from, to)
  end
  return {last, epoch, first <= last and state.time or 0, first, reason, gap_from, gap_to, events}
end

redis.register_function('polyglot_1_append', append)
redis.register_function('polyglot_1_forget', forget)
-- They add nothing to speak of, and a Redis that is full is still read.
redis.register_function{function_name = 'polyglot_1_begin', callback = begin, flags = {'allow-oom'}}
redis.register_function{function_name = 'polyglot_1_renew', callback = renew, flags = {'allow-oom'}}
redis.register_function{function_name = 'polyglot_1_read', callback = read, flags = {'no-writes'}}
