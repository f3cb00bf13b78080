// Ids of events: "evt_" and a ULID (https://github.com/ulid/spec).
//
// Thread safety: EventIds may be used from several threads; the rest are values and pure functions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <random>
#include <string>

#include "core/timestamp.hpp"

namespace polyglot::core {

inline constexpr std::size_t kEventIdLength = 30;  // "evt_" and 26 characters

// 48 bits of milliseconds, 80 random bits, big endian; sorts by time.
using Ulid = std::array<std::uint8_t, 16>;

// Gives ids that strictly increase within the process, even when the clock stands still or is set back: within one
// millisecond each is the one before plus one, as the ULID specification has it. Not usable across a fork, which would
// repeat them.
class EventIds {
 public:
  EventIds();
  // Gives only ids greater than `last`.
  explicit EventIds(const Ulid& last);
  Ulid next(TimeUs now);

 private:
  std::mutex mutex_;
  std::mt19937_64 random_;
  std::uint64_t milliseconds_ = 0;
  std::uint64_t high_ = 0;  // the upper 16 of the random bits
  std::uint64_t low_ = 0;   // the lower 64
};

// Writes exactly kEventIdLength characters; their order as text is the order of the ids.
void write_event_id(const Ulid& id, char* out);
std::string event_id_text(const Ulid& id);

}  // namespace polyglot::core
