#include "core/idempotency.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>

#include "core/access.hpp"
#include "core/checksum.hpp"

namespace polyglot::core {

IdempotencyKey::IdempotencyKey(std::string_view app, std::string_view channel, std::string_view given,
                               std::string_view type, std::string_view data)
    : event_hash(hash64(hash64(0, type), data)) {
  std::string text;
  text.reserve(app.size() + channel.size() + given.size() + 2);
  text.append(app).append(1, '\0').append(channel).append(1, '\0').append(given);
  const Digest digest = sha256(text);
  std::memcpy(key.data(), digest.data(), sizeof(key));
}

IdempotencyWindow::Found IdempotencyWindow::find(const IdempotencyKey& key, TimeUs now) const {
  const std::uint64_t slots = map_.geometry().idempotency_slots;
  Found found{Found::Kind::full, 0};
  bool has_future = false;
  for (std::uint64_t probe = 0, end = std::min(kProbes, slots); probe < end; ++probe) {
    const std::uint64_t index = (key.key[0] + probe) % slots;
    const IdempotencySlot& slot = map_.idempotency(index);
    const bool never_used = slot.key == std::array<std::uint64_t, 2>{};
    // A clock that was set back makes slots seem to come from the future; they are kept.
    has_future = has_future || slot.time_us > now;
    if (never_used || now - slot.time_us > kIdempotencyWindowUs) {
      if (found.kind == Found::Kind::full) found = {Found::Kind::free, index};
      // No slot is ever emptied again, so the key is not behind one that was never used.
      if (never_used) return found;
      continue;
    }
    if (slot.key != key.key) continue;
    return {slot.event_hash == key.event_hash ? Found::Kind::known : Found::Kind::mismatch, index};
  }
  if (found.kind == Found::Kind::full && has_future) date_back(key, now);
  return found;
}

void IdempotencyWindow::date_back(const IdempotencyKey& key, TimeUs now) const {
  const std::uint64_t slots = map_.geometry().idempotency_slots;
  for (std::uint64_t probe = 0, end = std::min(kProbes, slots); probe < end; ++probe) {
    const std::atomic_ref<std::int64_t> time(map_.idempotency((key.key[0] + probe) % slots).time_us);
    time.store(std::min(time.load(std::memory_order_relaxed), now), std::memory_order_release);
  }
}

void IdempotencyWindow::write(std::uint64_t index, const IdempotencySlot& slot) const {
  IdempotencySlot& to = map_.idempotency(index);
  const std::atomic_ref<std::int64_t> time(to.time_us);
  time.store(kLongAgo, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  to.key = slot.key;
  to.event_hash = slot.event_hash;
  to.id = slot.id;
  to.offset = slot.offset;
  to.epoch = slot.epoch;
  time.store(slot.time_us, std::memory_order_release);
}

}  // namespace polyglot::core
