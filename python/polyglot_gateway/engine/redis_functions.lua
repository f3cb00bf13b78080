#!lua name=polyglot_1

-- What the Redis engine does in Redis, each in one atomic step (https://redis.io/docs/latest/develop/programmability).
-- The number in the name is raised with every change of meaning, so that gateways of two versions can share a Redis.
--
-- A channel is one stream, and nothing but that stream: whatever takes it away (FLUSHALL, eviction, its TTL) takes all
-- of the channel's past, and the next life has another epoch. The entry of an event has the id `offset-epoch`, and the
-- stream's last id keeps both after the events are gone. The fields are `e`, the envelope up to `"offset":`, `t`, its
-- time in microseconds, which never falls within a channel, and `r`, the reign under which it was appended. A stream
-- without entries is a channel that somebody asked for, or one that was forgotten: then it says that entries were added.
--
-- A Redis that starts again, or takes over from another, may lack the newest events, and would give their offsets away
-- a second time. So each reign, the life of one Redis process, has another epoch: the events that are left stay, and
-- the next one, or the first reader, ends the epoch before. Only a Redis that has every answered append on its disk
-- (appendfsync always) and never took over from another goes on as if nothing had happened; the gateway says that.
--
-- Numbers beyond 2^53 are epochs, which stay texts here.

local run_id  -- of this process, in which the library was loaded anew

local function reign_of(durable)
  if durable == '1' then return 'durable' end
  run_id = run_id or string.sub(string.match(redis.call('INFO', 'server'), 'run_id:(%x+)'), 1, 16)
  return run_id
end

local function parse(id)
  local offset, epoch = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(offset), epoch
end

local function begin_life(key, epoch, added, ttl)
  redis.call('DEL', key)
  redis.call('XGROUP', 'CREATE', key, 'made', '$', 'MKSTREAM')
  redis.call('XGROUP', 'DESTROY', key, 'made')
  redis.call('XSETID', key, '0-' .. epoch, 'ENTRIESADDED', added, 'MAXDELETEDID', '0-0')
  redis.call('PEXPIRE', key, ttl)
end

local function info_of(key)
  local info = {}
  local found = redis.call('XINFO', 'STREAM', key)
  for i = 1, #found, 2 do info[found[i]] = found[i + 1] end
  return info
end

-- offset, epoch and time of the newest event, and whether the epoch has to end because the reign has; nil when there is
-- no stream.
local function newest_of(key, reign)
  local newest = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  if newest then
    local offset, epoch = parse(newest[1])
    local time = tonumber(newest[2][4])
    if newest[2][6] == reign then return offset, epoch, time, false end
    local _, present = parse(info_of(key)['last-generated-id'])
    return offset, present, time, present == epoch
  end
  if redis.call('EXISTS', key) == 0 then return nil end
  local offset, epoch = parse(info_of(key)['last-generated-id'])
  return offset, epoch, 0, false
end

-- KEYS  the stream; then the keys under which idempotent appends are remembered
-- ARGV  a new epoch, should one be needed, most events to keep, TTL of the stream in ms, TTL of what is remembered in ms,
--       channel that is told and what it is told, 1 when Redis is durable, then for each event: envelope, time, number of its key in KEYS or 0,
--       and what is remembered under it, which begins with 16 digits for the event itself
-- {epoch, for each event: its offset, or what was remembered, or '' when another event was}
local function append(keys, args)
  local key = keys[1]
  local reign = reign_of(args[7])
  local offset, epoch, newest, ended = newest_of(key, reign)
  if not offset then offset, newest, ended = 0, 0, true end
  if ended then epoch = args[1] end
  local before = offset
  local answer = {epoch}
  for i = 8, #args, 4 do
    local remember = tonumber(args[i + 2])
    local known = remember > 0 and redis.call('GET', keys[remember])
    if known then
      local same = string.sub(known, 1, 16) == string.sub(args[i + 3], 1, 16)
      answer[#answer + 1] = same and known or ''
    else
      offset = offset + 1
      newest = math.max(newest, tonumber(args[i + 1]))
      local id = string.format('%.0f-%s', offset, epoch)
      redis.call('XADD', key, id, 'e', args[i], 't', string.format('%.0f', newest), 'r', reign)
      if remember > 0 then redis.call('SET', keys[remember], args[i + 3] .. ':' .. id, 'PX', args[4]) end
      answer[#answer + 1] = offset
    end
  end
  if offset > before then
    redis.call('XTRIM', key, 'MAXLEN', args[2])
    redis.call('PEXPIRE', key, args[3])
    redis.call('PUBLISH', args[5], args[6])
  end
  return answer
end

-- KEYS  the stream
-- ARGV  epoch of the new life, TTL of the stream in ms, channel that is told and what it is told
-- The epoch.
local function forget(keys, args)
  local key = keys[1]
  local was = redis.call('EXISTS', key) == 1 and info_of(key)['entries-added'] > 0
  begin_life(key, args[1], was and 1 or 0, args[2])
  if was then redis.call('PUBLISH', args[3], args[4]) end
  return args[1]
end

-- Makes a channel that is not there, without events.
-- KEYS  the stream
-- ARGV  epoch of a new life, TTL of the stream in ms
local function begin(keys, args)
  if redis.call('EXISTS', keys[1]) == 0 then begin_life(keys[1], args[1], 0, args[2]) end
  return redis.status_reply('OK')
end

-- Ends an epoch whose reign has ended; does nothing when that was done before.
-- KEYS  the stream
-- ARGV  the epoch, a greater one, channel that is told and what it is told, 1 when Redis is durable
local function renew(keys, args)
  local key = keys[1]
  local offset, epoch, _, ended = newest_of(key, reign_of(args[5]))
  if ended and epoch == args[1] then
    redis.call('XSETID', key, string.format('%.0f-%s', offset, args[2]))
    redis.call('PUBLISH', args[3], args[4])
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
--       the time from which on events count, and 1 when Redis is durable
-- {offset of the newest event, epoch, its time, offset of the first event that can be read, reason of the gap or '',
--  gap from, gap to, {id, {'e', envelope, …}} for each event}; the epoch alone when it has to be renewed; nothing when
-- there is no stream
local function read(keys, args)
  local key = keys[1]
  local last, epoch, newest, ended = newest_of(key, reign_of(args[8]))
  if not last then return {} end
  if ended then return {epoch} end
  local since, till, limit = tonumber(args[1]), tonumber(args[2]), tonumber(args[4])
  local backwards = args[5] == '1'
  local oldest = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
  local kept = oldest and parse(oldest[1]) or last + 1
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
  return {last, epoch, first <= last and newest or 0, first, reason, gap_from, gap_to, events}
end

redis.register_function('polyglot_1_append', append)
redis.register_function('polyglot_1_forget', forget)
redis.register_function('polyglot_1_begin', begin)
redis.register_function('polyglot_1_renew', renew)
redis.register_function{function_name = 'polyglot_1_read', callback = read, flags = {'no-writes'}}
