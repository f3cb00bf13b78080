// Phoenix Channels v2 as the `phoenix` JavaScript client speaks it (its serializer, vsn 2.0.0), free of I/O.
//
// A message is [join_ref, ref, topic, event, payload] in one text frame, or, when a client pushes an ArrayBuffer, one
// binary frame:
//
//   kind u8 = 0 | sizes of join_ref, ref, topic, event u8 each | join_ref | ref | topic | event | payload
//
// Clients only ever get text. Long polling carries the same texts: a request has them one a line, an answer as JSON
// strings (core::append_json_string).
//
// Errors: invalid_json is what is no strict JSON or no UTF-8, invalid_event what is no message, invalid_parameter what
// a payload may not say. Each has the position of the first wrong byte, counted from the start of what was given.
//
// Thread safety: values and pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/status.hpp"

namespace polyglot::server {

// Bytes between the quotes of a ref, as sent; what a binary message can say. They are kept while a channel is joined.
inline constexpr std::size_t kMaxRefLength = 255;

// One message of a client. Everything is a slice of what was parsed or of the scratch given with it.
struct PhoenixMessage {
  std::string_view join_ref;    // JSON as sent: a string with its quotes or `null`, which the heartbeat has
  std::string_view ref;         // the same; a reply repeats both
  std::string_view topic_json;  // JSON as sent, for a reply
  std::string_view topic;       // the text that it stands for
  std::string_view event;       // text
  std::string_view payload;     // any JSON value as sent; when binary the bytes, which nobody has checked
  bool binary = false;
};

// A text frame, or a line of a long-poll request. White space as JSON has it is accepted. A ref that is a number is
// invalid_event: clients send strings and compare what comes back with ===. Overwrites `scratch`, and allocates only
// for a topic or event with escapes.
core::Result<PhoenixMessage> parse_phoenix(std::string_view text, std::string& scratch);

// A binary frame. An empty join_ref or ref is `null`: so the client writes one that it does not have. Overwrites
// `scratch`, where the refs and the topic get their quotes.
core::Result<PhoenixMessage> parse_phoenix_binary(std::string_view bytes, std::string& scratch);

// The body of a long-poll request: takes the next line off the front of `body`, without its \n or \r\n; empty lines are
// skipped. Nothing when there are no more. (A line in base64 instead of JSON would be a binary push; parse_phoenix
// refuses it as invalid_json.)
std::optional<std::string_view> next_phoenix_line(std::string_view& body);

// What a join may carry:
//   {"since":41,"epoch":"0123456789abcdef","access_token":"…","presence":{"key":"alice","meta":{…}}}
// What is absent is empty.
struct JoinParameters {
  std::optional<std::uint64_t> since;  // the offset that the subscriber has seen
  std::string epoch;                   // 16 hex digits of either case, as sent
  std::string access_token;
  std::string presence_key;
  std::string_view presence_meta;  // a JSON object as sent, a slice of the payload
};

// The payload of `phx_join`. Unknown members are ignored; invalid_parameter, which names the member, for a value of the
// wrong type, null among them, for a known member given twice, and for a payload that is no object.
core::Result<JoinParameters> parse_join(std::string_view payload);

// The payload of `access_token`: {"access_token":"…"}, with errors as in parse_join; the token has to be there, and not
// be empty.
core::Result<std::string> parse_access_token(std::string_view payload);

// Each appends one message, or a part of one, to `out`. What is named json, and each ref, is written as it is.
// REQUIRES: it is strict JSON; other texts are UTF-8.

// [join_ref, ref, topic, "phx_reply", {"status":"ok" or "error","response":…}]
void append_reply(std::string& out, std::string_view join_ref, std::string_view ref, std::string_view topic_json,
                  bool ok, std::string_view response_json);

// [join_ref, null, topic, event, payload]; join_ref may be `null`, which reaches every join of the topic.
void append_push(std::string& out, std::string_view join_ref, std::string_view topic_json, std::string_view event,
                 std::string_view payload_json);

// The event that all subscribers of a channel get, in one frame for all: [null,null,<channel>,"event",<envelope>] is
// head, envelope, kEventTail. REQUIRES: check_channel(channel).ok(), so that the name needs no escapes.
void append_event_head(std::string& out, std::string_view channel);
inline constexpr std::string_view kEventTail = "]";

}  // namespace polyglot::server
