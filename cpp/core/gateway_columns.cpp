#include <algorithm>

#include "core/channel.hpp"
#include "core/gateway.hpp"

namespace polyglot::core {
namespace {

// Bytes of events that are in memory at a time, and the rest of one. Small enough to be of memory that the allocator
// keeps, as new pages from the kernel cost as much as the rest.
constexpr std::size_t kColumnsPage = 1 << 15;

}  // namespace

Result<Columns> Gateway::columns(std::string_view app, std::string_view channel, const ColumnsRequest& request) {
  if (Status status = check(app, channel); !status.ok()) return status;
  if (channel.empty()) return check_channel(channel);
  Columns columns(request.fields.size());
  columns.read_at = clock_() / 1000;
  HistoryQuery query = query_for({.limit = kMaxHistoryLimit, .since = 0}, rule(app, channel));
  if (request.window > 0) query.not_before = std::max(query.not_before, columns.read_at - request.window);
  query.enough = kColumnsPage;

  HistoryPage page;
  GapReason gap = GapReason::none;
  std::uint64_t last = 0;
  for (bool first = true;; first = false) {
    history_.read(app, channel, query, page);
    if (first || page.gap != GapReason::none) {
      // What was read so far is gone as well, if writers went round the history meanwhile, or its past was forgotten.
      columns.clear();
      columns.epoch = page.epoch;
      gap = page.gap;
      last = page.last;
    }
    for (const HistoryItem& item : page.items) {
      if (item.offset > last) break;
      columns.add(app, channel, request.fields, item.offset, item.time, page.bytes.text().substr(item.begin, item.size),
                  item.size);
    }
    if (page.items.empty() || page.items.back().offset >= last) break;
    query.since = page.items.back().offset;
    query.epoch = page.epoch;
  }
  columns.end(gap, query.not_before);
  counters_.add(Counter::history_reads);
  return columns;
}

}  // namespace polyglot::core
