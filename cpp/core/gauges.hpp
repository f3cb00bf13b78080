// Gauges: what a worker has at the moment, each in its own slot of the segment. Only the slots of living workers count,
// so nothing has to be taken back when one is killed.
//
// Thread safety: all of it.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "core/segment.hpp"

namespace polyglot::core {

enum class Gauge : std::uint8_t {
  websocket,        // open WebSocket connections
  sse,              // open event streams
  longpoll,         // long-poll sessions
  http,             // connections in HTTP, polls that wait among them
  subscriptions,    // channels that somebody reads, once for each reader
  queue_bytes,      // what waits for subscribers
  engine_down,      // 1: what keeps the events cannot be reached
  processor_down,   // 1: no processor would take an event
  breakers_closed,  // breakers before the processor by state
  breakers_open,
  breakers_half_open,
  started  // when the worker began to serve, in seconds since 1970; 0: it does not serve
};
inline constexpr std::size_t kNamedGauges = static_cast<std::size_t>(Gauge::started) + 1;
static_assert(kNamedGauges <= kGauges);
std::string_view gauge_name(Gauge gauge);

class Gauges {
 public:
  explicit Gauges(const Segment& segment) : segment_(segment) {}

  void set(Gauge gauge, std::uint64_t value) {
    segment_.map()
        .worker(segment_.worker())
        .gauges[static_cast<std::size_t>(gauge)]
        .store(value, std::memory_order_relaxed);
  }

  struct Totals {
    std::array<std::uint64_t, kNamedGauges> sums{};  // of living workers; of `started`: the oldest's
    std::uint32_t workers = 0;                       // that serve
  };
  Totals totals() const;

 private:
  const Segment& segment_;
};

}  // namespace polyglot::core
