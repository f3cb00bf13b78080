#!lua name=polyglot_2

-- What the Redis engine does in Redis, each in one atomic step (https://redis.io/docs/latest/develop/programmability).
-- The number in the name is raised with every change of meaning, so that gateways of two versions can share a Redis.
--
-- A channel is one stream, and nothing but that stream: whatever takes it away (FLUSHALL, eviction, its TTL) takes all
-- of the channel's past, and the next life has another epoch. What is appended together may be one entry, of at most
-- MOST events, because an entry costs Redis more than its bytes. Its id is `offset-time` of its last event, the time in
-- microseconds, which never falls within a channel; its fields are `n`, the number of events, and `e`, for each event
-- `<time> <size>\n<envelope>` as in core/replica.hpp. A consumer group, which nobody reads with, bears what else is
-- known: its name is `2:reign:epoch:real`, and the last id that it has delivered is that of the newest event, or 0-0.
-- A stream without such a group was made by another version or another hand, and counts as not being there: the channel
-- begins anew, and who had a position in it is told.
--
-- The reign is the time for which one Redis process is the master. A Redis that starts again, or takes over from
-- another, may lack the newest events, and gives their offsets away a second time; so each reign has epochs of its own:
-- the events that are left stay, and the next append, or the first reader, ends the epoch before. It is named after the
-- process, when it loaded this library, which it does at its start and when its data is replaced by another's, and where
-- in the stream of replication it took over from another the last time: a replica that is promoted without either may
-- lack the last of what its master acknowledged. `real` is 0 for a channel that somebody asked for and 1
-- for one that has had events, of which forgetting may have left none.
--
-- News is told on the shard channel that has the stream's name: the events themselves, as core/replica.hpp has them, or
-- nothing, which means that whoever hears it has to look for itself.
--
-- Redis does not undo what a function did before it failed. So all that may be forbidden to the gateway's user (INFO,
-- SPUBLISH) comes before the first write once; empty news that turns out to be none does no harm.
--
-- Epochs are numbers beyond 2^53, and stay texts here.

local MOST = 64
local SECOND = 1000000

local loaded  -- names this process and the loading of this library
local reign
local asked = 0

local function reign_now()
  if not loaded then
    local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
    local now = redis.call('TIME')
    loaded = string.format('%s%x', string.sub(run_id, 1, 12), tonumber(now[1]) * SECOND + tonumber(now[2]))
  end
  local clock = redis.call('TIME')
  local now = tonumber(clock[1]) * SECOND + tonumber(clock[2])
  -- No Redis becomes a replica and a master again between two calls that follow so closely.
  if not reign or now - asked > SECOND / 1000 or now < asked then
    local taken_over = string.match(redis.call('INFO', 'replication'), 'second_repl_offset:(%-?%d+)')
    reign = string.format('%s%x', loaded, tonumber(taken_over) + 1)
  end
  asked = now
  return reign
end

local may_tell = false  -- was found out before

local function check_telling(key)
  if not may_tell then redis.call('SPUBLISH', key, '') end
  may_tell = true
end

local function life_of(reign, epoch, real)
  return '2:' .. reign .. ':' .. epoch .. ':' .. real
end

-- `life` is the one before; without it the channel was not there.
local function set_life(key, life, reign, epoch, real, newest)
  if life then redis.call('XGROUP', 'DESTROY', key, life) else redis.call('DEL', key) end
  redis.call('XGROUP', 'CREATE', key, life_of(reign, epoch, real), newest, 'MKSTREAM')
end

-- A table: reign, the present one; there, whether there is a stream; newest, the id of the newest event, offset and time
-- in it (a text); epoch; real; ended, whether the epoch has to end because its reign has; life, the name of the group.
local function state_of(key)
  local state = {reign = reign_now(), there = false, newest = '0-0', epoch = '0', real = '0', ended = true}
  local groups = redis.pcall('XINFO', 'GROUPS', key)
  if not groups.err then
    local group = groups[1]
    local reign, epoch, real
    if group then reign, epoch, real = string.match(group[2], '^2:(%x+):(%d+):(%d)$') end
    if reign then
      state.there, state.life, state.newest = true, group[2], group[8]
      state.epoch, state.real, state.ended = epoch, real, reign ~= state.reign
    end
  elseif not string.find(groups.err, 'no such key', 1, true) then
    error(groups.err)
  end
  local offset, time = string.match(state.newest, '^(%d+)-(%d+)$')
  state.offset, state.time = tonumber(offset), time
  return state
end

-- As core/replica.hpp has it; `blocks` hold `count` events.
local function replica(epoch, first, count, blocks)
  return string.format('%s %d %d\n', epoch, first, count) .. table.concat(blocks)
end

-- KEYS  the stream; then the keys under which idempotent appends are remembered
-- ARGV  a new epoch, should one be needed, most events to keep, TTL of the stream in ms, TTL of what is remembered in ms,
--       number of entries; then for each entry number and time of its events, and the events; then for each key the
--       number of its entry, which has one event, and what is remembered of it, which begins with 16 digits for the
--       event itself
-- {epoch, for each entry: the offset of its first event, or what was remembered, or '' when another event was}
local function append(keys, args)
  local key = keys[1]
  local state = state_of(key)
  local epoch = state.ended and args[1] or state.epoch
  local offset, time, time_text = state.offset, tonumber(state.time), state.time
  local entries = tonumber(args[5])
  local known = 0
  local key_of, remember_of = {}, {}  -- by the number of the entry
  for i = 2, #keys do
    local at = 2 + 3 * entries + 2 * i
    local entry = tonumber(args[at])
    key_of[entry], remember_of[entry] = keys[i], args[at + 1]
    if redis.call('GET', keys[i]) then known = known + 1 end
  end
  if known < entries then
    check_telling(key)
    if state.ended or state.real == '0' then set_life(key, state.life, state.reign, epoch, 1, state.newest) end
  end
  local answer, news, id = {epoch}, {}, nil
  for i = 1, entries do
    -- Another event of this call may have had the same key.
    local before = key_of[i] and redis.call('GET', key_of[i])
    if before then
      local same = string.sub(before, 1, 16) == string.sub(remember_of[i], 1, 16)
      answer[i + 1] = same and before or ''
    else
      answer[i + 1] = offset + 1
      local at = 3 + 3 * i
      offset = offset + tonumber(args[at])
      if tonumber(args[at + 1]) > time then time, time_text = tonumber(args[at + 1]), args[at + 1] end
      id = string.format('%d-%s', offset, time_text)
      redis.call('XADD', key, id, 'n', args[at], 'e', args[at + 2])
      news[#news + 1] = args[at + 2]
      if key_of[i] then
        redis.call('SET', key_of[i], string.format('%s:%d-%s', remember_of[i], offset, epoch), 'PX', args[4])
      end
    end
  end
  if id then
    redis.call('XGROUP', 'SETID', key, life_of(state.reign, epoch, 1), id)
    -- Both now and then only: what is there beyond the bounds is not read, and stays a minute longer than it has to.
    if offset % MOST < offset - state.offset then
      redis.call('XTRIM', key, 'MINID', string.format('%d', math.max(offset - tonumber(args[2]) + 1, 0)))
    end
    if offset % MOST < offset - state.offset or time - tonumber(state.time) > SECOND then
      redis.call('PEXPIRE', key, tonumber(args[3]) + MOST * SECOND / 1000)
    end
    redis.call('SPUBLISH', key, replica(epoch, state.offset + 1, offset - state.offset, news))
  end
  return answer
end

-- KEYS  the stream
-- ARGV  epoch of the new life, TTL of the stream in ms
local function forget(keys, args)
  local state = state_of(keys[1])
  if state.real == '1' then redis.call('SPUBLISH', keys[1], '') end
  set_life(keys[1], nil, state.reign, args[1], state.real, '0')
  redis.call('PEXPIRE', keys[1], args[2])
  return redis.status_reply('OK')
end

-- Makes a channel that is not there, without events.
-- KEYS  the stream
-- ARGV  epoch of a new life, TTL of the stream in ms
local function begin(keys, args)
  local state = state_of(keys[1])
  if not state.there then
    set_life(keys[1], nil, state.reign, args[1], 0, '0')
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
    set_life(keys[1], state.life, state.reign, args[2], state.real, state.newest)
  end
  return redis.status_reply('OK')
end

-- An entry as a table: first and last offset, time of the last event, block.
local function entry_of(entry)
  local offset, time = string.match(entry[1], '^(%d+)-(%d+)$')
  local last = tonumber(offset)
  return {first = last - tonumber(entry[2][2]) + 1, last = last, time = tonumber(time), block = entry[2][4]}
end

-- The first entry that has `offset` or a later one.
local function entry_from(key, offset)
  local found = redis.call('XRANGE', key, string.format('%d', offset), '+', 'COUNT', 1)[1]
  return found and entry_of(found)
end

-- Where the event behind the one at `at` begins, and the time of that one.
local function step(block, at)
  local _, line_end, time, size = string.find(block, '^(%d+) (%d+)\n', at)
  return line_end + 1 + tonumber(size), tonumber(time)
end

-- The first offset from `low` on, before `high`, whose time is not before `limit`.
local function first_from(key, low, high, limit)
  local found
  while low < high do
    local entry = entry_from(key, low + math.floor((high - low) / 2))
    if not entry then return low end
    if entry.time < limit then low = entry.last + 1 else high, found = math.max(entry.first, low), entry end
  end
  if not found then return low end
  local at, time = 1, nil
  for offset = found.first, found.last do
    at, time = step(found.block, at)
    if offset >= low then
      if time >= limit then break end
      low = offset + 1
    end
  end
  return low
end

-- The block of an entry without its first `skip` events, and with `take` events at most.
local function part_of(entry, skip, take)
  local count = entry.last - entry.first + 1
  if skip == 0 and take >= count then return entry.block end
  local at, from = 1, 1
  for i = 1, math.min(skip + take, count) do
    if i == skip + 1 then from = at end
    at = step(entry.block, at)
  end
  return string.sub(entry.block, from, at - 1)
end

-- The events from `start` to `stop`, as far as they are there without a hole, and no more once there are `enough` bytes:
-- how many, and their blocks.
local function blocks_of(key, start, stop, enough)
  local blocks, count = {}, 8
  local offset, size = start, 0
  local found
  repeat
    local from, to = string.format('%d', offset), string.format('%d', stop + MOST)
    found = redis.call('XRANGE', key, from, to, 'COUNT', count)
    for _, raw in ipairs(found) do
      local entry = entry_of(raw)
      if offset > stop or entry.first > offset or size >= enough then return offset - start, blocks end
      blocks[#blocks + 1] = part_of(entry, offset - entry.first, stop - offset + 1)
      size = size + #blocks[#blocks]
      offset = math.min(entry.last, stop) + 1
    end
    count = math.min(2 * count, 256)
  until offset > stop or #found == 0
  return offset - start, blocks
end

-- KEYS  the stream
-- ARGV  since, until, epoch ('' for none of these), most events, 1 for the newest of them, how many newest events count,
--       the time from which on events count, and how many bytes are enough
-- {offset of the newest event, epoch, its time, offset of the first event that can be read, reason of the gap or '',
--  gap from, gap to, the events as core/replica.hpp has them}; the epoch alone when it has to be renewed; nothing when
-- there is no stream
local function read(keys, args)
  local key = keys[1]
  local state = state_of(key)
  if not state.there then return {} end
  if state.ended then return {state.epoch} end
  local last, epoch = state.offset, state.epoch
  local since, till, limit = tonumber(args[1]), tonumber(args[2]), tonumber(args[4])
  local oldest = entry_from(key, 0)
  local kept = math.max(oldest and oldest.first or last + 1, last - tonumber(args[6]) + 1)
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
    if since and args[5] ~= '1' then stop = start + limit - 1 else start = stop - limit + 1 end
  end
  local count, blocks = 0, {}
  if start <= stop then
    count, blocks = blocks_of(key, start, stop, tonumber(args[8]))
  elseif not since then
    start = last + 1
  end
  local time = first <= last and tonumber(state.time) or 0
  return {last, epoch, time, first, reason, gap_from, gap_to, replica(epoch, start, count, blocks)}
end

redis.register_function('polyglot_2_append', append)
redis.register_function('polyglot_2_forget', forget)
-- They add nothing to speak of, and a Redis that is full is still read.
redis.register_function{function_name = 'polyglot_2_begin', callback = begin, flags = {'allow-oom'}}
redis.register_function{function_name = 'polyglot_2_renew', callback = renew, flags = {'allow-oom'}}
redis.register_function{function_name = 'polyglot_2_read', callback = read, flags = {'no-writes'}}
