// Any bytes as a message of a client, a binary one, a long-poll request and a payload: what is accepted means the same
// when it is written again, and a refusal has a reason and a place.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/epoch.hpp"
#include "core/json.hpp"
#include "require.hpp"
#include "server/phoenix.hpp"

namespace polyglot::server {
namespace {

using core::require;

void check_refused(std::string_view input, const core::Status& status) {
  require(!status.ok() && !status.message().empty(), "a refusal has a reason");
  require(status.position() >= 0 && status.position() <= static_cast<std::int64_t>(input.size()), "and a place");
  require(core::check_json(core::problem_json(status)).ok(), "and is told in JSON");
}

void check_refs(const PhoenixMessage& message) {
  for (const std::string_view ref : {message.join_ref, message.ref}) {
    require(ref == "null" || ref.starts_with('"'), "a ref is a string or null");
  }
  require(core::unescape(message.topic_json) == message.topic, "the topic is what its JSON says");
  std::string reply;
  append_reply(reply, message.join_ref, message.ref, message.topic_json, false, "{}");
  require(core::check_json(reply).ok(), "a reply is JSON");
  std::string push;
  append_push(push, message.join_ref, message.topic_json, message.event, "{}");
  std::string scratch;
  const auto pushed = parse_phoenix(push, scratch);
  // The refs of a binary message may become too long by their escapes.
  require(pushed.ok() || message.binary, "a push is a message");
  if (pushed.ok()) {
    require(pushed->topic == message.topic && pushed->event == message.event, "with the same topic and event");
  }
}

void check_text(std::string_view text) {
  std::string scratch;
  const auto message = parse_phoenix(text, scratch);
  const bool is_json = core::check_json(text).ok();
  if (!message.ok()) {
    check_refused(text, message.status());
    require((message.status().code() == core::Code::invalid_json) == !is_json, "invalid_json is what is no JSON");
    return;
  }
  require(is_json, "what is accepted is JSON");
  check_refs(message.value());
  std::string again = "[";
  again.append(message->join_ref).append(",").append(message->ref).append(",");
  core::append_json_string(again, message->topic);
  again.append(",");
  core::append_json_string(again, message->event);
  again.append(",").append(message->payload).append("]");
  std::string other_scratch;
  const auto other = parse_phoenix(again, other_scratch);
  require(other.ok(), "it can be written again");
  require(other->join_ref == message->join_ref && other->ref == message->ref && other->topic == message->topic &&
              other->event == message->event && other->payload == message->payload,
          "and means the same");
}

void check_binary(std::string_view bytes) {
  std::string scratch;
  const auto message = parse_phoenix_binary(bytes, scratch);
  if (!message.ok()) {
    check_refused(bytes, message.status());
    return;
  }
  check_refs(message.value());
  const auto text = [](std::string_view ref) { return ref == "null" ? std::string() : core::unescape(ref); };
  const std::string join_ref = text(message->join_ref);
  const std::string ref = text(message->ref);
  std::string again(1, '\0');
  for (const std::size_t size : {join_ref.size(), ref.size(), message->topic.size(), message->event.size()}) {
    again.push_back(static_cast<char>(size));
  }
  again.append(join_ref).append(ref).append(message->topic).append(message->event).append(message->payload);
  require(again == bytes, "a binary message can be written again");
}

void check_payload(std::string_view payload) {
  const auto join = parse_join(payload);
  if (join.ok()) {
    std::uint64_t number = 0;
    require(join->epoch.empty() || core::parse_epoch(join->epoch, number), "an epoch is one");
    require(core::check_utf8(join->presence_key).ok() && core::check_utf8(join->access_token).ok(), "texts are UTF-8");
    require(join->presence_meta.empty() || join->presence_meta.starts_with('{'), "a meta is an object");
    require(join->presence_meta.empty() || core::check_json(join->presence_meta).ok(), "in JSON");
  } else {
    check_refused(payload, join.status());
  }
  const auto token = parse_access_token(payload);
  if (token.ok()) {
    require(!token->empty() && core::check_utf8(token.value()).ok(), "a token is a text");
  } else {
    check_refused(payload, token.status());
  }
}

}  // namespace
}  // namespace polyglot::server

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace polyglot::server;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  check_text(input);
  check_binary(input);
  check_payload(input);
  while (const auto line = next_phoenix_line(input)) {
    polyglot::core::require(!line->empty() && line->find('\n') == std::string_view::npos, "a line is one");
  }
  return 0;
}
