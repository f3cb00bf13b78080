// Events for a processor and its verdicts on them, as the messages Events and Verdicts of proto/processor.proto.
//
// Source of the encoding: protobuf.dev/programming-guides/encoding, proto3. As it says, fields that are not known are
// skipped, the last of several counts, and a field of another wire type is another field; groups, which proto3 does not
// have, are refused.
//
// Thread safety: pure functions. Views that are read are parts of the message.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/buffer.hpp"

namespace polyglot::core {

struct ProcessEvent {
  std::string_view id{};
  std::string_view app{};
  std::string_view channel{};
  std::string_view type{};
  std::string_view data{};
  std::string_view timestamp{};
  std::string_view user_id{};
  std::string_view source_ip{};
  std::string_view traceparent{};
};

enum class VerdictKind : std::uint8_t { accept = 1, replace = 2, reject = 3 };

struct ProcessVerdict {
  std::string_view id;  // of the event; UTF-8
  VerdictKind kind;
  std::string_view data;
  std::string_view reason;  // UTF-8
};

// Appends the message; all but the data has to be UTF-8.
void write_events(std::span<const ProcessEvent> events, Buffer& message);

// None for what is no such message, or has a verdict of no known kind.
std::optional<std::vector<ProcessVerdict>> read_verdicts(std::string_view message);

}  // namespace polyglot::core
