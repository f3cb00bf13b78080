// The two clocks of the server: one for time limits, one for what ends at a date.
//
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <ctime>

#include "core/gateway.hpp"

namespace polyglot::server {

// Milliseconds of a clock that never goes back, to within a few.
inline std::int64_t clock_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

// Seconds since 1970 by the system's clock, as core::Grant wants them.
inline std::int64_t seconds_now() {
  return core::system_time_ns() / 1'000'000'000;
}

}  // namespace polyglot::server
