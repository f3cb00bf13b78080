// Any bytes as the body of each kind of publish: refused as JSON exactly when they are none, and an envelope is JSON.
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/event.hpp"
#include "core/json.hpp"
#include "require.hpp"

namespace polyglot::core {
namespace {

bool is_inside(std::string_view body, std::string_view slice) {
  return slice.data() >= body.data() && slice.data() + slice.size() <= body.data() + body.size();
}

void check_event(std::string_view body, const SentEvent& event) {
  require(is_inside(body, event.type) && is_inside(body, event.data), "slices are of the body");
  require(check_json(event.type).ok() && check_json(event.data).ok(), "slices are JSON");
  require(event.type.size() > 2 && event.type.size() <= kMaxTypeLength + 2, "the type has its length");
  std::string envelope;
  append_envelope(envelope, {"demo-app", "room:test", {}, 1763404796107549, "user", "127.0.0.1"}, event);
  std::array<char, kMaxOffsetLength> end;
  envelope.append(end.data(), write_offset(42, end.data()));
  require(check_json(envelope).ok(), "the envelope is JSON");
}

void check_refused(std::string_view body, const Status& status) {
  require(!status.ok() && !status.message().empty(), "a refusal has a reason");
  require(status.position() >= 0 && status.position() <= static_cast<std::int64_t>(body.size()), "and a place");
  require(check_json(problem_json(status)).ok(), "and is told in JSON");
}

template <typename T>
void check_whole(std::string_view body, bool is_json, const Result<T>& result) {
  require(is_json || !result.ok(), "what is accepted is JSON");
  if (!result.ok()) {
    check_refused(body, result.status());
    require((result.status().code() == Code::invalid_json) == !is_json, "invalid_json is what is no JSON");
  }
}

void check_items(std::string_view body, const std::vector<BatchItem>& items) {
  require(!items.empty() && items.size() <= kMaxBatchEvents, "a batch has its length");
  for (const BatchItem& item : items) {
    require(item.event.channel.empty() || is_inside(body, item.event.channel), "the channel is of the body");
    if (item.status.ok()) {
      check_event(body, item.event);
    } else {
      check_refused(body, item.status);
    }
  }
}

}  // namespace
}  // namespace polyglot::core

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace polyglot::core;
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  const bool is_json = check_json(body).ok();

  const Result<SentEvent> event = parse_event(body);
  check_whole(body, is_json, event);
  if (event.ok()) {
    check_event(body, event.value());
  }
  const auto batch = parse_batch(body);
  check_whole(body, is_json, batch);
  if (batch.ok()) {
    check_items(body, batch.value());
  }
  const Result<Broadcast> broadcast = parse_broadcast(body);
  check_whole(body, is_json, broadcast);
  if (broadcast.ok()) {
    require(!broadcast->channels.empty() && broadcast->channels.size() <= kMaxBroadcastChannels, "it has channels");
    check_event(body, broadcast->event);
  }
  const auto lines = parse_ndjson(body);
  if (lines.ok()) {
    check_items(body, lines.value());
  } else {
    check_refused(body, lines.status());
  }
  return 0;
}
