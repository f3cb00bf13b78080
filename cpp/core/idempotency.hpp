// The idempotency window: for five minutes, which key in which channel was answered how.
//
// A table of slots in the segment, found by the key's hash with linear probing over kProbes slots; a slot older than
// the window is free again. When all probed slots are taken the key is refused rather than another one forgotten early.
// Should some of them come from the future, because the clock was set back, they count as written now from then on:
// they are forgotten in a window's time, and not when the clock has caught up.
//
// Thread safety: needs the segment's lock.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>

#include "core/segment_layout.hpp"

namespace polyglot::core {

inline constexpr TimeUs kIdempotencyWindowUs = TimeUs{5} * 60 * 1000 * 1000;
// Time of a slot whose key is no longer remembered. Emptied, it would hide the keys behind it.
inline constexpr TimeUs kLongAgo = std::numeric_limits<TimeUs>::min() / 2;
inline constexpr std::size_t kMaxIdempotencyKey = 255;  // bytes

struct IdempotencyKey {
  // `type` and `data` are the event's, as sent: two bodies that say the same event are the same request.
  IdempotencyKey(std::string_view app, std::string_view channel, std::string_view key, std::string_view type,
                 std::string_view data);
  // One that was made before.
  IdempotencyKey(const std::array<std::uint64_t, 2>& made, std::uint64_t hash) : key(made), event_hash(hash) {}
  std::array<std::uint64_t, 2> key;
  std::uint64_t event_hash;
};

class IdempotencyWindow {
 public:
  static constexpr std::uint64_t kProbes = 128;

  explicit IdempotencyWindow(const SegmentMap& map) : map_(map) {}

  struct Found {
    enum class Kind { free, known, mismatch, full } kind;
    std::uint64_t index;  // of the slot: the known one, or one that may be written
  };
  Found find(const IdempotencyKey& key, TimeUs now) const;
  // Writes a slot so that a writer who is killed within leaves one whose time is over.
  void write(std::uint64_t index, const IdempotencySlot& slot) const;

 private:
  // No probed slot comes from the future any more. What is replayed from those that did has the time of this call.
  void date_back(const IdempotencyKey& key, TimeUs now) const;

  SegmentMap map_;
};

}  // namespace polyglot::core
