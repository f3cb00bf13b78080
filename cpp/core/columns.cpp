#include "core/columns.hpp"

#include <algorithm>
#include <array>

#include "core/envelope.hpp"

namespace polyglot::core {

Result<ColumnsRequest> ColumnsRequest::parse(const std::vector<std::string>& fields, double window) {
  auto numbers = JsonNumbers::parse(fields);
  if (!numbers.ok()) return numbers.status();
  if (!(window >= 0 && window <= kMaxWindow)) {
    return Status(Code::invalid_parameter,
                  "window is " + std::to_string(window) + " seconds; allowed is 0 to a hundred years.");
  }
  return ColumnsRequest{std::move(numbers).value(), static_cast<TimeUs>(window * 1e6)};
}

void Columns::clear() {
  offsets.clear();
  times.clear();
  sizes.clear();
  for (auto& field : fields) field.clear();
}

void Columns::add(std::string_view app, std::string_view channel, const JsonNumbers& numbers, std::uint64_t offset,
                  TimeUs time, std::string_view envelope, std::size_t size) {
  offsets.push_back(static_cast<std::int64_t>(offset));
  times.push_back(times.empty() ? time : std::max(time, times.back()));
  sizes.push_back(static_cast<std::int64_t>(size));
  if (numbers.size() == 0) return;
  std::array<double, kMaxPointers> found;
  numbers.read(is_envelope_of(envelope, app, channel) ? envelope_from_data(envelope, app, channel) : std::string_view(),
               found.data());
  for (std::size_t i = 0; i < numbers.size(); ++i) fields[i].push_back(found[i]);
}

void Columns::end(GapReason gap, TimeUs not_before) {
  read_at = times.empty() ? read_at : std::max(read_at, times.back());
  const bool lost = gap != GapReason::none && gap != GapReason::expired;
  begin = std::min(!lost ? not_before : times.empty() ? read_at : times.front(), read_at);
}

}  // namespace polyglot::core
