#include "core/app_table.hpp"

#include <algorithm>

#include "core/checksum.hpp"

namespace polyglot::core {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kAcquire = std::memory_order_acquire;
constexpr std::size_t kNone = kMaxApps + 1;

}  // namespace

std::string_view AppTable::name(std::size_t place) const {
  const AppSlots::Slot& slot = slots_.slots[place];
  const std::uint64_t length = std::min<std::uint64_t>(slot.length.load(kAcquire), kMaxAppLength);
  return {slot.name.data(), length};
}

std::size_t AppTable::find(std::string_view app, std::uint64_t hash) const {
  for (std::size_t i = 0; i < AppSlots::kPlaces; ++i) {
    const std::uint32_t entry = slots_.buckets[(hash + i) % AppSlots::kPlaces].load(kAcquire);
    if (entry == 0) break;
    if (entry <= kMaxApps && name(entry - 1) == app) return entry - 1;
  }
  return kNone;
}

std::size_t AppTable::place(std::string_view app) {
  const std::uint64_t hash = hash64(segment_.map().header().seed, app);
  if (const std::size_t found = find(app, hash); found != kNone) return found;
  if (slots_.slots.back().length.load(kRelaxed) != 0) return kMaxApps;  // they are taken in order

  const Segment::Lock lock(segment_);
  if (const std::size_t found = find(app, hash); found != kNone) return found;
  std::size_t place = 0;
  while (place < kMaxApps && !name(place).empty() && name(place) != app) ++place;
  if (place == kMaxApps) return kMaxApps;
  AppSlots::Slot& slot = slots_.slots[place];
  if (slot.length.load(kRelaxed) == 0) {
    app.copy(slot.name.data(), app.size());
    slot.length.store(app.size(), std::memory_order_release);
  }
  for (std::size_t i = 0; i < AppSlots::kPlaces; ++i) {
    SharedU32& bucket = slots_.buckets[(hash + i) % AppSlots::kPlaces];
    if (bucket.load(kRelaxed) != 0) continue;
    bucket.store(static_cast<std::uint32_t>(place) + 1, std::memory_order_release);
    break;
  }
  return place;
}

std::vector<std::string> AppTable::names() const {
  std::vector<std::string> names;
  for (std::size_t place = 0; place < kMaxApps && !name(place).empty(); ++place) names.emplace_back(name(place));
  return names;
}

}  // namespace polyglot::core
