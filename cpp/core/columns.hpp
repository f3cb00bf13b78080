// Columns: the events of a channel, oldest first, as one array for each thing that figures are made of: offset, time,
// size, and chosen numbers of their data.
//
// Thread safety: values; one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/history.hpp"
#include "core/json_numbers.hpp"
#include "core/timestamp.hpp"

namespace polyglot::core {

// What a reader of columns may ask for.
struct ColumnsRequest {
  JsonNumbers fields = {};  // of the events' data
  TimeUs window = 0;        // only events that are at most so old; 0: all that is kept

  // invalid_parameter when the fields are refused by JsonNumbers, or `window`, in seconds, is not 0 to kMaxWindow.
  static Result<ColumnsRequest> parse(const std::vector<std::string>& fields, double window);
};
inline constexpr double kMaxWindow = 3.2e9;  // seconds; a hundred years

struct Columns {
  explicit Columns(std::size_t field_count = 0) : fields(field_count) {}

  std::uint64_t epoch = 0;
  TimeUs read_at = 0;
  // All events of the epoch from this time to read_at are here; 0: all there ever were.
  TimeUs begin = 0;
  // As long as each other; `fields` has one for each field that was asked for, with NaN where an event has no number.
  std::vector<std::int64_t> offsets = {};
  std::vector<std::int64_t> times = {};  // microseconds since 1970; they never fall
  std::vector<std::int64_t> sizes = {};  // bytes of the envelopes
  std::vector<std::vector<double>> fields;

  void clear();
  // `numbers` are as many as the fields. `envelope` may end before the number of its offset, so its size is told. One
  // that does not begin as those of this app and channel do has no numbers.
  void add(std::string_view app, std::string_view channel, const JsonNumbers& numbers, std::uint64_t offset,
           TimeUs time, std::string_view envelope, std::size_t size);
  // No more come. `gap`: what is missing before the first event. `not_before`: earlier events were not asked for; 0:
  // all were.
  void end(GapReason gap, TimeUs not_before);
};

}  // namespace polyglot::core
