// Any bytes as a replica of a channel: what is accepted says the same when it is written again, and a history that
// takes it over reads as it says.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "../cpp/temporary.hpp"
#include "core/envelope.hpp"
#include "core/replica.hpp"
#include "require.hpp"

namespace polyglot::core {
namespace {

std::string written(const Replica& replica) {
  std::string bytes = std::to_string(replica.epoch) + ' ' + std::to_string(replica.first) + ' ' +
                      std::to_string(replica.events.size()) + '\n';
  for (const Replica::Event& event : replica.events) {
    bytes += std::to_string(event.time) + ' ' + std::to_string(event.envelope.size()) + '\n';
    bytes += event.envelope;
  }
  return bytes;
}

void check(std::string_view bytes) {
  static const testing::TemporaryFolder folder;
  static const std::unique_ptr<Segment> segment = testing::open_segment(testing::small_options(folder.path()));
  static History history(*segment);
  const auto replica = Replica::parse(bytes);
  if (!replica) return;
  const std::string again = written(*replica);
  const auto parsed = Replica::parse(again);
  require(parsed && written(*parsed) == again, "it says the same when it is written again");

  HistoryPage page;
  history.read("app", "c", {.limit = 0}, page);
  // What is here of the same epoch beyond the replica stays.
  const std::uint64_t stays = page.epoch == replica->epoch ? page.last : 0;
  if (!history.replace("app", "c", page.epoch, *replica)) {
    require(page.epoch == replica->epoch && page.last > replica->last(), "only what would lose events is refused");
    return;
  }
  history.read("app", "c", {.since = replica->first - 1, .epoch = replica->epoch, .limit = 1000}, page);
  require(page.epoch == replica->epoch && page.last == std::max(replica->last(), stays),
          "the channel stands where it says");
  for (const HistoryItem& item : page.items) {
    if (item.offset > replica->last()) break;
    const Replica::Event& event = replica->events[item.offset - replica->first];
    require(page.bytes.text().substr(item.begin, item.size) ==
                std::string(event.envelope) + std::to_string(item.offset) + '}',
            "an event is what it was");
  }
}

}  // namespace
}  // namespace polyglot::core

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  polyglot::core::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
