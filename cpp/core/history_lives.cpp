// History: the lives of channels, which end by forgetting, and are taken over from an engine elsewhere.
#include <algorithm>

#include "core/checksum.hpp"
#include "core/history.hpp"
#include "core/shared_bytes.hpp"

namespace polyglot::core {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kAcquire = std::memory_order_acquire;
constexpr auto kRelease = std::memory_order_release;

}  // namespace

ChannelLife& History::next_life(ChannelSlot& slot, std::uint64_t generation, std::uint64_t epoch, std::uint64_t first,
                                std::uint64_t last) {
  map_.header().void_epoch.store(new_epoch(), kRelease);
  ChannelLife& life = SegmentMap::life(slot, generation);
  // A reader who still sees an older life in this place also sees that the generation has moved on.
  std::atomic_thread_fence(kRelease);
  life.epoch.store(epoch, kRelaxed);
  life.last.store(last, kRelaxed);
  life.first.store(first, kRelaxed);
  return life;
}

void History::append_life_notice(const ChannelKey& key, std::uint32_t channel, std::uint64_t epoch, TimeUs newest) {
  RecordHeader record{};
  record.kind = RecordKind::forgotten;
  record.app_length = key.name.app_length;
  record.channel_length = key.name.channel_length;
  record.epoch = epoch;
  record.time_us = newest;
  record.channel = channel;
  const std::string_view names(key.name.text.data(), std::size_t{key.name.app_length} + key.name.channel_length);
  append_notice(record, names, crc32c(0, names.data(), names.size()));
}

std::uint64_t History::forget(std::string_view app, std::string_view channel) {
  const ChannelKey key(app, channel, map_.header().seed);
  const std::uint64_t epoch = new_epoch();
  {
    const Segment::Lock lock(segment_);
    const auto ref = table_.find(key);
    if (!ref) return map_.header().void_epoch.load(kRelaxed);
    ChannelSlot& slot = map_.channel(ref->index);
    const std::uint64_t generation = ref->generation + 2;
    next_life(slot, generation, epoch, 1, 0);
    slot.generation.store(generation, kRelease);
    append_life_notice(key, ref->index, epoch, static_cast<TimeUs>(slot.newest_us.load(kRelaxed)));
  }
  counters_.add(Counter::forgets);
  count_wakes(waker_.wake({&key.hash, 1}));
  return epoch;
}

// An event of a replica as it is stored.
struct History::Copy {
  std::uint64_t offset;
  TimeUs time;
  std::string envelope;
  std::uint32_t crc;

  // The feeds read the names of app and channel where they have to be.
  bool is_right;

  Copy(const ChannelKey& key, std::uint64_t the_offset, const Replica::Event& event)
      : offset(the_offset),
        time(event.time),
        envelope(event.envelope),
        is_right(is_envelope_of(envelope, app_of(key.name), channel_of(key.name))) {
    char ending[kMaxOffsetLength];
    envelope.append(ending, write_offset(offset, ending));
    crc = crc32c(0, envelope.data(), envelope.size());
  }
  // Of a record that is here.
  Copy(const RecordHeader& record, const std::byte* payload)
      : offset(record.offset), time(record.time_us), envelope(record.payload, '\0'), is_right(true) {
    load_shared(envelope.data(), payload, envelope.size());
    crc = crc32c(0, envelope.data(), envelope.size());
  }
};

std::optional<RecordHeader> History::write_copy(const ChannelKey& key, std::uint32_t channel, std::uint64_t epoch,
                                                const Copy& copy) {
  const std::uint64_t bytes = record_bytes(copy.envelope.size());
  if (bytes > map_.geometry().log_bytes / 4 || !copy.is_right) return std::nullopt;
  RecordHeader record{};
  record.kind = RecordKind::event;
  record.app_length = key.name.app_length;
  record.channel_length = key.name.channel_length;
  record.position = make_room(bytes);
  record.offset = copy.offset;
  record.epoch = epoch;
  record.time_us = std::max(copy.time, static_cast<TimeUs>(map_.channel(channel).newest_us.load(kRelaxed)));
  record.channel = channel;
  record.payload = static_cast<std::uint32_t>(copy.envelope.size());
  write_record(record, copy.envelope.data(), copy.crc);
  return record;
}

bool History::replicate(std::string_view app, std::string_view channel, const Replica& replica) {
  const ChannelKey key(app, channel, map_.header().seed);
  std::vector<Copy> copies;
  {
    // Most of what several workers follow was taken over by another one already.
    const auto ref = table_.find(key);
    if (!ref) return false;
    ChannelSlot& slot = map_.channel(ref->index);
    const ChannelLife& life = SegmentMap::life(slot, ref->generation);
    const std::uint64_t epoch = life.epoch.load(kRelaxed);
    const std::uint64_t last = life.last.load(kAcquire);
    if (slot.generation.load(kRelaxed) == ref->generation && epoch == replica.epoch && last >= replica.last()) {
      return true;
    }
    const std::uint64_t known = epoch == replica.epoch ? last : 0;
    for (std::size_t i = 0; i < replica.events.size(); ++i) {
      if (replica.first + i > known) copies.emplace_back(key, replica.first + i, replica.events[i]);
    }
  }
  {
    const Segment::Lock lock(segment_);
    const auto ref = table_.find(key);
    if (!ref) return false;
    ChannelSlot& slot = map_.channel(ref->index);
    ChannelLife& life = SegmentMap::life(slot, ref->generation);
    if (life.epoch.load(kRelaxed) != replica.epoch || replica.first > life.last.load(kRelaxed) + 1) return false;
    for (const Copy& copy : copies) {
      // A life that began anew meanwhile may lack what was left out above.
      if (copy.offset > life.last.load(kRelaxed) + 1) return false;
      if (copy.offset <= life.last.load(kRelaxed)) continue;
      const auto record = write_copy(key, ref->index, replica.epoch, copy);
      if (!record) return false;
      commit(slot, life, *record);
    }
  }
  count_wakes(waker_.wake({&key.hash, 1}));
  return true;
}

bool History::replace(std::string_view app, std::string_view channel, std::uint64_t seen, const Replica& replica) {
  const ChannelKey key(app, channel, map_.header().seed);
  std::vector<Copy> copies;
  copies.reserve(replica.events.size());
  for (std::size_t i = 0; i < replica.events.size(); ++i)
    copies.emplace_back(key, replica.first + i, replica.events[i]);
  {
    const Segment::Lock lock(segment_);
    auto ref = table_.find(key);
    const std::uint64_t present = ref ? SegmentMap::life(map_.channel(ref->index), ref->generation).epoch.load(kRelaxed)
                                      : map_.header().void_epoch.load(kRelaxed);
    if (present != seen) return false;
    if (!ref) {
      bool evicted = false;
      ref = table_.find_or_create(key, evicted);
      if (evicted) counters_.add(Counter::evictions);
    }
    ChannelSlot& slot = map_.channel(ref->index);
    const ChannelLife& old = SegmentMap::life(slot, ref->generation);
    // What was taken over since the replica was asked for goes behind it.
    const std::uint64_t last =
        std::max(replica.last(), present == replica.epoch ? old.last.load(kRelaxed) : std::uint64_t{0});
    for (std::uint64_t offset = replica.last() + 1; offset <= last; ++offset) {
      const auto found = find_record(*ref, offset);
      if (!found || found->record.epoch != present) return false;
      copies.emplace_back(found->record, found->payload);
    }
    // Times never fall within a life; of the one before they say nothing.
    slot.newest_us.store(0, kRelaxed);
    std::uint64_t first = replica.first;
    for (const Copy& copy : copies) {
      const auto record = write_copy(key, ref->index, replica.epoch, copy);
      if (!record) {
        first =
            copy.offset + 1;  // larger than what is kept here, or no event: it and those before it count as overwritten
        continue;
      }
      map_.ring(ref->index, record->offset).store(record->position, kRelease);
      slot.touched.store(record->position, kRelaxed);
      slot.newest_us.store(static_cast<std::uint64_t>(record->time_us), kRelaxed);
      map_.header().head.store(record->position + record_bytes(record->payload), kRelease);
    }
    const std::uint64_t generation = ref->generation + 2;
    next_life(slot, generation, replica.epoch, first, last);
    slot.generation.store(generation, kRelease);
    append_life_notice(key, ref->index, replica.epoch, static_cast<TimeUs>(slot.newest_us.load(kRelaxed)));
  }
  count_wakes(waker_.wake({&key.hash, 1}));
  return true;
}

}  // namespace polyglot::core
