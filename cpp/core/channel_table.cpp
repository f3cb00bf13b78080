#include "core/channel_table.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/checksum.hpp"
#include "core/segment.hpp"
#include "core/shared_bytes.hpp"

namespace polyglot::core {
namespace {

constexpr std::uint32_t kTombstone = 0xFFFFFFFF;
constexpr std::size_t kCandidates = 64;

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kAcquire = std::memory_order_acquire;
constexpr auto kRelease = std::memory_order_release;

const std::byte* bytes_of(const ChannelName& name) {
  return reinterpret_cast<const std::byte*>(&name);
}
std::byte* bytes_of(ChannelName& name) {
  return reinterpret_cast<std::byte*>(&name);
}
std::size_t length_of(const ChannelName& name) {
  return std::size_t{2} + name.app_length + name.channel_length;
}

// Compares word by word against bytes that may be changing.
bool same_name(const ChannelName& shared, const ChannelName& key) {
  auto* words = reinterpret_cast<std::uint64_t*>(const_cast<ChannelName*>(&shared));
  const std::byte* wanted = bytes_of(key);
  for (std::size_t at = 0; at < length_of(key); at += 8) {
    std::uint64_t word;
    std::memcpy(&word, wanted + at, 8);
    if (std::atomic_ref<std::uint64_t>(words[at / 8]).load(kRelaxed) != word) return false;
  }
  return true;
}

// Puts the slot in the first bucket of its run that is free. REQUIRES: the table has an empty bucket.
void insert(const SegmentMap& map, std::uint64_t hash, std::uint32_t index) {
  for (std::uint64_t at = hash;; ++at) {
    SharedU32& bucket = map.bucket(at);
    const std::uint32_t held = bucket.load(kRelaxed);
    if (held != 0 && held != kTombstone) continue;
    if (held == 0) map.header().buckets_used.fetch_add(1, kRelaxed);
    bucket.store(index + 1, kRelease);
    return;
  }
}

void remove(const SegmentMap& map, std::uint64_t hash, std::uint32_t index) {
  for (std::uint64_t at = hash, end = hash + map.geometry().buckets; at != end; ++at) {
    const std::uint32_t held = map.bucket(at).load(kRelaxed);
    if (held == 0) return;
    if (held != index + 1) continue;
    map.bucket(at).store(kTombstone, kRelease);
    return;
  }
}

}  // namespace

ChannelKey::ChannelKey(std::string_view app, std::string_view channel, std::uint64_t seed) {
  name.app_length = static_cast<std::uint8_t>(app.size());
  name.channel_length = static_cast<std::uint8_t>(channel.size());
  std::memcpy(name.text.data(), app.data(), app.size());
  std::memcpy(name.text.data() + app.size(), channel.data(), channel.size());
  const std::size_t used = app.size() + channel.size();
  std::memset(name.text.data() + used, 0, std::min<std::size_t>(8, name.text.size() - used));
  // Of the texts, not of the name just written: reading back bytes that are still on their way to the cache is slow.
  hash = hash64(hash64(seed, app), channel);
}

bool read_name(const SegmentMap& map, const ChannelRef& ref, ChannelName& name) {
  const ChannelSlot& slot = map.channel(ref.index);
  if (slot.generation.load(kAcquire) != ref.generation) return false;
  load_shared(&name, bytes_of(slot.name), sizeof(name));
  std::atomic_thread_fence(kAcquire);
  return slot.generation.load(kRelaxed) == ref.generation;
}

std::optional<ChannelRef> ChannelTable::find(const ChannelKey& key) const {
  for (std::uint64_t at = key.hash, end = key.hash + map_.geometry().buckets; at != end; ++at) {
    const std::uint32_t held = map_.bucket(at).load(kAcquire);
    if (held == 0) return std::nullopt;
    if (held == kTombstone || held > map_.geometry().max_channels) continue;
    ChannelSlot& slot = map_.channel(held - 1);
    const std::uint64_t generation = slot.generation.load(kAcquire);
    if (!SegmentMap::live(generation) || slot.name_hash.load(kRelaxed) != key.hash) continue;
    if (!same_name(slot.name, key.name)) continue;
    std::atomic_thread_fence(kAcquire);
    if (slot.generation.load(kRelaxed) == generation) return ChannelRef{held - 1, generation};
    return std::nullopt;
  }
  return std::nullopt;
}

ChannelRef ChannelTable::find_or_create(const ChannelKey& key, bool& evicted) {
  if (const auto found = find(key)) return *found;
  Header& header = map_.header();
  if (std::uint64_t{header.buckets_used.load(kRelaxed)} * 4 > std::uint64_t{map_.geometry().buckets} * 3) rebuild(map_);
  header.table_changing.store(1, kRelease);
  const std::uint32_t index = take_slot(evicted);
  ChannelSlot& slot = map_.channel(index);
  const std::uint64_t generation = slot.generation.load(kRelaxed) + 1;
  // A free slot's generation was stored before these bytes change; a reader that sees any of them sees that it is free.
  std::atomic_thread_fence(kRelease);
  store_shared(bytes_of(slot.name), &key.name, round_up(length_of(key.name), 8));
  slot.name_hash.store(key.hash, kRelaxed);
  slot.touched.store(header.head.load(kRelaxed), kRelaxed);
  slot.newest_us.store(0, kRelaxed);
  ChannelLife& life = SegmentMap::life(slot, generation);
  life.epoch.store(new_epoch(), kRelaxed);
  life.last.store(0, kRelaxed);
  life.first.store(1, kRelaxed);
  slot.generation.store(generation, kRelease);
  insert(map_, key.hash, index);
  header.table_changing.store(0, kRelease);
  return {index, generation};
}

std::uint32_t ChannelTable::take_slot(bool& evicted) {
  Header& header = map_.header();
  const std::uint32_t used = header.slots_used.load(kRelaxed);
  if (used < map_.geometry().max_channels) {
    header.slots_used.store(used + 1, kRelaxed);
    return used;
  }
  for (;;) {
    if (candidates_.empty()) find_candidates();
    const Candidate candidate = candidates_.front();
    candidates_.pop_front();
    ChannelSlot& slot = map_.channel(candidate.index);
    const std::uint64_t generation = slot.generation.load(kRelaxed);
    if (!SegmentMap::live(generation)) return candidate.index;
    // A slot that got another channel was touched too. One that only forgot its past keeps its place.
    if (slot.touched.load(kRelaxed) != candidate.touched) continue;
    evicted = true;
    header.void_epoch.store(new_epoch(), kRelaxed);
    slot.generation.store(generation + 1, kRelease);
    remove(map_, slot.name_hash.load(kRelaxed), candidate.index);
    return candidate.index;
  }
}

void ChannelTable::find_candidates() {
  std::vector<Candidate> all(map_.geometry().max_channels);
  for (std::uint32_t i = 0; i < all.size(); ++i) {
    const ChannelSlot& slot = map_.channel(i);
    const std::uint64_t generation = slot.generation.load(kRelaxed);
    all[i] = {i, generation, slot.touched.load(kRelaxed)};
  }
  const auto middle = all.begin() + static_cast<std::ptrdiff_t>(std::min(kCandidates, all.size()));
  std::partial_sort(all.begin(), middle, all.end(), [](const Candidate& a, const Candidate& b) {
    const bool a_lives = SegmentMap::live(a.generation), b_lives = SegmentMap::live(b.generation);
    return a_lives != b_lives ? b_lives : a.touched < b.touched;
  });
  candidates_.assign(all.begin(), middle);
}

void ChannelTable::rebuild(const SegmentMap& map) {
  Header& header = map.header();
  header.table_changing.store(1, kRelease);
  std::atomic_thread_fence(kRelease);
  for (std::uint32_t i = 0; i < map.geometry().buckets; ++i) map.bucket(i).store(0, kRelaxed);
  header.buckets_used.store(0, kRelaxed);
  const std::uint32_t used = std::min(header.slots_used.load(kRelaxed), map.geometry().max_channels);
  for (std::uint32_t i = 0; i < used; ++i) {
    const ChannelSlot& slot = map.channel(i);
    if (SegmentMap::live(slot.generation.load(kRelaxed))) insert(map, slot.name_hash.load(kRelaxed), i);
  }
  header.table_changing.store(0, kRelease);
}

}  // namespace polyglot::core
