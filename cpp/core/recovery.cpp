#include "core/recovery.hpp"

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "core/channel.hpp"
#include "core/channel_table.hpp"
#include "core/checksum.hpp"
#include "core/idempotency.hpp"
#include "core/record.hpp"
#include "core/segment.hpp"
#include "core/shared_bytes.hpp"

namespace polyglot::core {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kRelease = std::memory_order_release;

// An append whose `last` is stored is committed: readers may have seen it. Its record lies at head.
void finish_append(const SegmentMap& map) {
  Header& header = map.header();
  const std::uint64_t head = header.head.load(kRelaxed);
  RecordHeader record;
  if (!record_is_whole(map, head, record)) return;
  if (record.kind != RecordKind::event || record.channel >= map.geometry().max_channels) return;
  ChannelSlot& slot = map.channel(record.channel);
  const std::uint64_t generation = slot.generation.load(kRelaxed);
  const ChannelLife& life = SegmentMap::life(slot, generation);
  const bool committed = SegmentMap::live(generation) && life.epoch.load(kRelaxed) == record.epoch &&
                         life.last.load(kRelaxed) == record.offset &&
                         map.ring(record.channel, record.offset).load(kRelaxed) == head;
  if (!committed) return;
  slot.touched.store(head, kRelaxed);
  slot.newest_us.store(static_cast<std::uint64_t>(record.time_us), kRelaxed);
  const std::uint64_t end = head + record_bytes(record.payload);
  const std::uint64_t log_bytes = map.geometry().log_bytes;
  if (end > log_bytes && end - log_bytes > header.tail.load(kRelaxed)) header.tail.store(end - log_bytes, kRelease);
  header.head.store(end, kRelease);
}

// The slot belongs to the append that was in flight: it is right only if that append was committed.
void settle_idempotency(const SegmentMap& map) {
  Header& header = map.header();
  const std::uint64_t pending = header.idempotency_pending.load(kRelaxed);
  if (pending != 0 && pending <= map.geometry().idempotency_slots) {
    IdempotencySlot& slot = map.idempotency(pending - 1);
    bool committed = false;
    for (std::uint32_t i = 0; i < map.geometry().max_channels && !committed; ++i) {
      ChannelSlot& channel = map.channel(i);
      const ChannelLife& life = SegmentMap::life(channel, channel.generation.load(kRelaxed));
      if (life.epoch.load(kRelaxed) != slot.epoch || life.last.load(kRelaxed) < slot.offset) continue;
      RecordHeader record;
      const std::uint64_t position = map.ring(i, slot.offset).load(kRelaxed);
      if (!record_is_whole(map, position, record) || record.offset != slot.offset || record.epoch != slot.epoch)
        continue;
      std::array<char, 8 + kEventIdLength> start{};
      load_shared(start.data(), map.log(position) + sizeof(RecordHeader), start.size());
      committed = envelope_id({start.data(), start.size()}) == event_id_text(slot.id);
    }
    if (!committed) slot.time_us = kLongAgo;
  }
  header.idempotency_pending.store(0, kRelease);
}

struct Loss {
  std::uint64_t newest = 0;    // channels that lost their newest events
  std::uint64_t older = 0;     // channels that gave up events older than a damaged one
  std::uint64_t channels = 0;  // slots that held no channel any more
};

bool holds(const SegmentMap& map, std::uint32_t channel, std::uint64_t offset, std::uint64_t position,
           RecordHeader& record) {
  const Header& header = map.header();
  const std::uint64_t head = header.head.load(kRelaxed);
  if (position < header.tail.load(kRelaxed) || position >= head) return false;
  // One that reaches beyond a damaged head would be overwritten in part.
  return record_is_whole(map, position, record) && record_bytes(record.payload) <= head - position &&
         record.kind == RecordKind::event && record.channel == channel && record.offset == offset;
}

std::uint64_t epoch_after(const SegmentMap& map, std::uint64_t epoch) {
  const std::uint64_t next = hash64(map.header().verifying.load(kRelaxed), {reinterpret_cast<const char*>(&epoch), 8});
  return next == 0 ? 1 : next;
}

// The channel goes on with what is left of it, under another epoch.
void begin_epoch(const SegmentMap& map, std::uint32_t channel, std::uint64_t epoch, std::uint64_t first,
                 std::uint64_t last) {
  for (std::uint64_t offset = first; offset <= last; ++offset) {
    const std::uint64_t position = map.ring(channel, offset).load(kRelaxed);
    RecordHeader record = load_record(map.log(position));
    if (record.epoch == epoch) continue;
    record.epoch = epoch;
    std::vector<char> payload(record.payload);
    load_shared(payload.data(), map.log(position) + sizeof(record), payload.size());
    record.crc = record_crc(crc32c(0, payload.data(), payload.size()), record);
    store_record(map.log(position), record);
  }
  ChannelSlot& slot = map.channel(channel);
  const std::uint64_t generation = slot.generation.load(kRelaxed) + 2;
  ChannelLife& life = SegmentMap::life(slot, generation);
  life.epoch.store(epoch, kRelaxed);
  life.last.store(last, kRelaxed);
  life.first.store(first, kRelaxed);
  slot.generation.store(generation, kRelease);
}

// By epoch, as it was before verify: the newest offset that is left.
using Newest = std::unordered_map<std::uint64_t, std::uint64_t>;

void verify_channel(const SegmentMap& map, std::uint32_t index, ChannelLife& life, bool kernel_died, Newest& left,
                    Loss& loss) {
  const std::uint64_t epoch = life.epoch.load(kRelaxed), next_epoch = epoch_after(map, epoch);
  const std::uint64_t last = life.last.load(kRelaxed);
  const std::uint64_t reach = map.geometry().ring_slots - 1;
  const std::uint64_t oldest =
      std::max({life.first.load(kRelaxed), last > reach ? last - reach + 1 : 1, std::uint64_t{1}});
  auto whole = [&](std::uint64_t offset) {
    RecordHeader record;
    return holds(map, index, offset, map.ring(index, offset).load(kRelaxed), record) &&
           (record.epoch == epoch || record.epoch == next_epoch);
  };
  std::uint64_t newest = last;
  while (newest >= oldest && !whole(newest)) --newest;
  std::uint64_t first = newest;
  while (first > oldest && whole(first - 1)) --first;
  // Events that newer ones pushed out of the log are no damage. Their ring entries point before the tail.
  const std::uint64_t tail = map.header().tail.load(kRelaxed);
  auto pushed_out = [&](std::uint64_t offset) { return map.ring(index, offset).load(kRelaxed) < tail; };
  const bool all_pushed_out = last >= oldest && newest < oldest && pushed_out(last);
  if (all_pushed_out) newest = last;
  left[epoch] = newest;
  if (newest < oldest || all_pushed_out) first = newest + 1;
  if (newest < last) ++loss.newest;
  if (newest >= oldest && !all_pushed_out && first > oldest && !pushed_out(first - 1)) ++loss.older;
  if (newest < last || kernel_died) {
    begin_epoch(map, index, next_epoch, first, newest);
  } else if (last >= oldest) {
    life.first.store(first, kRelaxed);
  }
}

// An answer must not be given again for an event that is gone. `strangers_too`: nor for one of a channel that is not
// known.
void forget_keys(const SegmentMap& map, const Newest& left, bool strangers_too) {
  for (std::uint64_t i = 0; i < map.geometry().idempotency_slots; ++i) {
    IdempotencySlot& slot = map.idempotency(i);
    const auto channel = left.find(slot.epoch);
    if (channel == left.end() ? strangers_too : slot.offset > channel->second) slot.time_us = kLongAgo;
  }
  map.header().idempotency_pending.store(0, kRelease);
}

}  // namespace

bool record_is_whole(const SegmentMap& map, std::uint64_t position, RecordHeader& header) {
  if (position % 8 != 0 || map.run(position) < sizeof(RecordHeader)) return false;
  header = load_record(map.log(position));
  if (header.position != position || header.payload > map.run(position) - sizeof(RecordHeader)) return false;
  thread_local std::vector<char> payload;
  payload.resize(header.payload);
  load_shared(payload.data(), map.log(position) + sizeof(header), payload.size());
  return record_crc(crc32c(0, payload.data(), payload.size()), header) == header.crc;
}

void repair(const SegmentMap& map) {
  finish_append(map);
  if (map.header().idempotency_pending.load(kRelaxed) != 0) settle_idempotency(map);
  if (map.header().table_changing.load(kRelaxed) != 0) ChannelTable::rebuild(map);
}

bool verify(const SegmentMap& map, bool kernel_died, std::vector<std::string>& notices) {
  Header& header = map.header();
  const std::uint64_t head = header.head.load(kRelaxed), tail = header.tail.load(kRelaxed);
  if (head % 8 != 0 || tail > head || head - tail > map.geometry().log_bytes) return false;
  if (header.slots_used.load(kRelaxed) > map.geometry().max_channels || header.void_epoch.load(kRelaxed) == 0)
    return false;
  const bool resumed = header.verifying.load(kRelaxed) != 0;
  if (!resumed) header.verifying.store(new_epoch(), kRelease);
  finish_append(map);
  Loss loss;
  Newest left;
  for (std::uint32_t i = 0; i < map.geometry().max_channels; ++i) {
    ChannelSlot& slot = map.channel(i);
    const std::uint64_t generation = slot.generation.load(kRelaxed);
    if (!SegmentMap::live(generation)) continue;
    ChannelLife& life = SegmentMap::life(slot, generation);
    ChannelName name;
    load_shared(&name, reinterpret_cast<const std::byte*>(&slot.name), sizeof(name));
    const bool named = i < header.slots_used.load(kRelaxed) && name.app_length <= kMaxAppLength &&
                       name.channel_length <= kMaxChannelLength && check_app(app_of(name)).ok() &&
                       check_channel(channel_of(name)).ok() && life.epoch.load(kRelaxed) != 0 &&
                       life.first.load(kRelaxed) <= life.last.load(kRelaxed) + 1 &&
                       life.last.load(kRelaxed) < std::uint64_t{1} << 62;
    if (!named) {
      ++loss.channels;
      slot.generation.store(generation + 1, kRelease);
      continue;
    }
    slot.name_hash.store(ChannelKey(app_of(name), channel_of(name), header.seed).hash, kRelaxed);
    slot.touched.store(std::min(slot.touched.load(kRelaxed), header.head.load(kRelaxed)), kRelaxed);
    verify_channel(map, i, life, kernel_died, left, loss);
  }
  if (loss.channels != 0 || kernel_died) header.void_epoch.store(new_epoch(), kRelaxed);
  forget_keys(map, left, kernel_died || resumed || loss.channels != 0);
  ChannelTable::rebuild(map);
  header.verifying.store(0, kRelease);
  if (kernel_died) {
    notices.emplace_back(
        "The machine went down while the history was in use: every channel goes on under a new epoch.");
  }
  auto say = [&](std::uint64_t count, const char* what) {
    if (count != 0) notices.push_back(std::to_string(count) + what);
  };
  say(loss.newest, " channel(s) had lost their newest events: they go on from the newest whole one under a new epoch.");
  say(loss.older, " channel(s) had a damaged event: it and the older ones were given up.");
  say(loss.channels, " channel(s) had no readable name and were dropped.");
  return true;
}

}  // namespace polyglot::core
