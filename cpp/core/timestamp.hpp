// Times, and how they are written: RFC 3339 in UTC with six decimals.
//
// Thread safety: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace polyglot::core {

// Microseconds since 1970-01-01T00:00:00Z.
using TimeUs = std::int64_t;

inline constexpr std::size_t kTimestampLength = 27;  // "2025-11-17T18:39:56.107549Z"

// Writes exactly kTimestampLength characters. Times outside the years 1970 to 9999 are written as the nearest within.
void write_timestamp(TimeUs time, char* out);
std::string timestamp_text(TimeUs time);

}  // namespace polyglot::core
