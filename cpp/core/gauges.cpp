#include "core/gauges.hpp"

#include <algorithm>

namespace polyglot::core {

std::string_view gauge_name(Gauge gauge) {
  static constexpr std::array<std::string_view, kNamedGauges> kNames = {
      "websocket",       "sse",           "longpoll",           "http",
      "subscriptions",   "queue_bytes",   "engine_down",        "processor_down",
      "breakers_closed", "breakers_open", "breakers_half_open", "started"};
  return kNames[static_cast<std::size_t>(gauge)];
}

Gauges::Totals Gauges::totals() const {
  constexpr auto kStarted = static_cast<std::size_t>(Gauge::started);
  Totals totals;
  for (std::uint32_t i = 0; i < kMaxWorkers; ++i) {
    if (!segment_.alive(i)) continue;
    const auto& gauges = segment_.map().worker(i).gauges;
    for (std::size_t g = 0; g < kStarted; ++g) totals.sums[g] += gauges[g].load(std::memory_order_relaxed);
    const std::uint64_t started = gauges[kStarted].load(std::memory_order_relaxed);
    if (started == 0) continue;
    ++totals.workers;
    std::uint64_t& oldest = totals.sums[kStarted];
    oldest = oldest == 0 ? started : std::min(oldest, started);
  }
  return totals;
}

}  // namespace polyglot::core
