// Replica: a stretch of a channel's events as an engine elsewhere keeps them, on its way into the history of this host.
//
// As bytes, in decimal digits:
//
//   <epoch> <offset of the first event> <number of events>\n, then for each event <time> <size of the
//   envelope>\n<envelope>
//
// The envelope goes up to and with `"offset":` (event.hpp). Without events the offset is that of the next one.
//
// Thread safety: values and pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "core/timestamp.hpp"

namespace polyglot::core {

struct Replica {
  struct Event {
    std::string_view envelope;
    TimeUs time;
  };

  std::uint64_t epoch = 0;  // never 0
  std::uint64_t first = 1;
  std::vector<Event> events = {};

  // Of the last event; first - 1 when there is none.
  std::uint64_t last() const { return first + events.size() - 1; }

  // Nothing when the bytes are not right to the last one. Envelopes are slices of them.
  static std::optional<Replica> parse(std::string_view bytes);
};

inline constexpr std::uint64_t kMaxReplicaOffset = std::uint64_t{1} << 53;  // beyond it Redis cannot count

}  // namespace polyglot::core
