// Any bytes as a message from the bus: what is accepted means the same when it is written again, is shown as JSON, and
// is gone with the worker that it names; members of others are not touched.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/json.hpp"
#include "require.hpp"
#include "server/presence.hpp"

namespace polyglot::server {
namespace {

using core::require;

// As all tell of it: the channel that is known, and the one that the message may name.
std::string shown(const Presence& presence, std::string_view app, std::string_view channel) {
  std::string state;
  presence.append_state(state, "app", "room:1");
  presence.append_state(state, app, channel);
  return state;
}

void check(std::string_view bytes) {
  constexpr std::uint64_t kOwn = 0x0807060504030201;
  Presence presence(kOwn);
  require(presence.join("app", "room:1", "alice", "r1", R"({"a":1})").ok(), "a member comes");
  const auto message = PresenceMessage::parse(bytes);
  if (!message || message->worker == kOwn) {
    const auto outcome = presence.apply(bytes);
    require(outcome.changes.empty() && outcome.question.empty() && !outcome.retell, "it counts for nothing");
    return;
  }
  const std::string written = message->bytes();
  const auto again = PresenceMessage::parse(written);
  require(again.has_value() && again->bytes() == written, "it means the same when it is written again");

  const bool names = !message->entries.empty();
  const std::string_view app = names ? message->entries.front().app : "app";
  const std::string_view channel = names ? message->entries.front().channel : "room:1";
  const std::string before = shown(presence, app, channel);
  for (const auto& change : presence.apply(bytes).changes) {
    std::string diff;
    Presence::append_diff(diff, change);
    require(core::check_json(diff).ok(), "a change is told in JSON");
  }
  std::string state;
  presence.append_state(state, app, channel);
  require(core::check_json(state).ok(), "members are shown in JSON");
  presence.drop_worker(message->worker);
  require(shown(presence, app, channel) == before, "nothing is left of it");
}

}  // namespace
}  // namespace polyglot::server

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  polyglot::server::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
