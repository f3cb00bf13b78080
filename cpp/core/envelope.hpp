// The envelope: an event as it is kept and delivered.
//
// {"id":"evt_01JD…","app_id":"demo-app","channel":"room:test","type":"message","data":{"text":"Hello"},
//  "meta":{"user_id":null,"ts":"2025-11-17T18:39:56.107549Z","source_ip":"127.0.0.1"},"offset":42}
//
// (on one line, without spaces). It is serialised once, by append_envelope, all but its end: the offset is known only
// when history gives it, and is written by write_offset. `type` and `data` are copied byte for byte.
//
// Thread safety: values and pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/event_id.hpp"
#include "core/timestamp.hpp"

namespace polyglot::core {

struct SentEvent;  // core/event.hpp

// What the gateway adds.
struct EventMeta {
  std::string_view app;
  std::string_view channel;
  Ulid id;
  TimeUs time;
  std::string_view user_id;    // UTF-8 text; empty is written as null
  std::string_view source_ip;  // UTF-8 text; empty is written as null
};

// Appends the envelope up to and with `"offset":` to `out`.
// REQUIRES: app and channel passed check_app and check_channel; the event came from a parse_* function.
void append_envelope(std::string& out, const EventMeta& meta, const SentEvent& event);

// The end of the envelope: `42}`. Writes at most kMaxOffsetLength bytes and returns how many.
inline constexpr std::size_t kMaxOffsetLength = 21;
std::size_t write_offset(std::uint64_t offset, char* out);

// The id in an envelope made by append_envelope. REQUIRES: envelope.size() >= 7 + kEventIdLength.
inline std::string_view envelope_id(std::string_view envelope) {
  return envelope.substr(7, kEventIdLength);
}
// Where the app's name is, and how many bytes lie between it and the channel's. REQUIRES: as envelope_id.
inline constexpr std::size_t kEnvelopeAppAt = 7 + kEventIdLength + 12;
inline constexpr std::size_t kEnvelopeBetween = 13;
// The data and what follows them. REQUIRES: is_envelope_of. Empty when no type and data follow.
std::string_view envelope_from_data(std::string_view envelope, std::string_view app, std::string_view channel);
// Whether it begins as append_envelope makes it for this app and channel.
bool is_envelope_of(std::string_view envelope, std::string_view app, std::string_view channel);

}  // namespace polyglot::core
