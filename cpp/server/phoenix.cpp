#include "server/phoenix.hpp"

#include <array>
#include <charconv>
#include <system_error>
#include <utility>

#include "core/epoch.hpp"
#include "core/json.hpp"

namespace polyglot::server {
namespace {

using core::Code;
using core::Status;

constexpr std::size_t kElements = 5;
constexpr std::array<std::string_view, kElements> kElementNames = {"join_ref", "ref", "topic", "event", "payload"};
constexpr std::string_view kShape = "[join_ref, ref, topic, event, payload]";

Status refuse(Code code, std::string message, std::size_t position) {
  return {code, std::move(message), static_cast<std::int64_t>(position)};
}

bool is_string(std::string_view json) {
  return json.starts_with('"');
}

// Where a slice begins in what it was cut from.
std::size_t place_of(std::string_view slice, std::string_view whole) {
  return static_cast<std::size_t>(slice.data() - whole.data());
}

// The text of a JSON string; goes to `scratch` only when it has escapes. REQUIRES: scratch has room, so that slices of
// it last.
std::string_view text_of(std::string_view quoted, std::string& scratch) {
  if (quoted.find('\\') == std::string_view::npos) {
    return quoted.substr(1, quoted.size() - 2);
  }
  const std::size_t from = scratch.size();
  scratch.append(core::unescape(quoted));
  return std::string_view(scratch).substr(from);
}

// The JSON string of a text, written to `scratch`. REQUIRES: as text_of.
std::string_view quoted_in(std::string& scratch, std::string_view text) {
  const std::size_t from = scratch.size();
  core::append_json_string(scratch, text);
  return std::string_view(scratch).substr(from);
}

// What has the right number of elements but a wrong type among them.
Status check_elements(std::string_view text, const std::array<std::string_view, kElements>& elements) {
  const auto refuse_element = [&](std::size_t i, const std::string& reason) {
    return refuse(Code::invalid_event, "The " + std::string(kElementNames[i]) + reason, place_of(elements[i], text));
  };
  for (const std::size_t ref : {0U, 1U}) {
    if (!is_string(elements[ref]) && elements[ref] != "null") {
      return refuse_element(ref, " must be a string or null.");
    }
    if (is_string(elements[ref]) && elements[ref].size() - 2 > kMaxRefLength) {
      return refuse_element(ref, " has " + std::to_string(elements[ref].size() - 2) +
                                     " bytes between its quotes; it may have at most " + std::to_string(kMaxRefLength) +
                                     ".");
    }
  }
  for (const std::size_t name : {2U, 3U}) {
    if (!is_string(elements[name])) {
      return refuse_element(name, " must be a string.");
    }
  }
  return {};
}

// Reads the values of an object's members, as sent; empty where there is none. `what` names the object in a sentence,
// `prefix` stands before the names of its members. REQUIRES: `object` is JSON, and a slice of `payload`.
template <std::size_t N>
Status read_members(std::string_view payload, std::string_view object, std::string_view what, std::string_view prefix,
                    const std::array<std::string_view, N>& names, std::array<std::string_view, N>& values) {
  core::JsonCursor cursor(object);
  if (!cursor.next_is('{')) {
    return refuse(Code::invalid_parameter, std::string(what) + " must be a JSON object.",
                  place_of(object, payload) + cursor.position());
  }
  cursor.expect('{');
  for (bool more = !cursor.next_is('}'); more; more = cursor.next_is(',') && cursor.expect(',')) {
    std::string_view name;
    std::string_view value;
    cursor.string(name);
    cursor.expect(':');
    cursor.value(value);
    const std::string text = core::unescape(name);
    for (std::size_t i = 0; i < N; ++i) {
      if (text != names[i]) {
        continue;
      }
      if (!values[i].empty()) {
        return refuse(Code::invalid_parameter,
                      std::string(what) + " has the member \"" + std::string(prefix) + text + "\" twice.",
                      place_of(name, payload));
      }
      values[i] = value;
    }
  }
  return {};
}

// The next three read one member, whose value is empty when it is absent and `out` then left alone.

Status read_string(std::string_view payload, std::string_view name, std::string_view value, std::string& out) {
  if (value.empty()) {
    return {};
  }
  if (!is_string(value)) {
    return refuse(Code::invalid_parameter, "The member \"" + std::string(name) + "\" must be a string.",
                  place_of(value, payload));
  }
  out = core::unescape(value);
  return {};
}

Status read_since(std::string_view payload, std::string_view value, std::optional<std::uint64_t>& out) {
  if (value.empty()) {
    return {};
  }
  std::uint64_t since = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), since);
  if (error != std::errc() || end != value.data() + value.size()) {
    return refuse(Code::invalid_parameter, "The member \"since\" must be an offset, a whole number of at most 64 bits.",
                  place_of(value, payload));
  }
  out = since;
  return {};
}

Status read_presence(std::string_view payload, std::string_view value, JoinParameters& join) {
  if (value.empty()) {
    return {};
  }
  constexpr std::array<std::string_view, 2> kNames = {"key", "meta"};
  std::array<std::string_view, 2> values;
  if (Status read = read_members(payload, value, "The member \"presence\"", "presence.", kNames, values); !read.ok()) {
    return read;
  }
  const auto& [key, meta] = values;
  if (!meta.empty() && !meta.starts_with('{')) {
    return refuse(Code::invalid_parameter, "The member \"presence.meta\" must be a JSON object.",
                  place_of(meta, payload));
  }
  join.presence_meta = meta;
  return read_string(payload, "presence.key", key, join.presence_key);
}

}  // namespace

core::Result<PhoenixMessage> parse_phoenix(std::string_view text, std::string& scratch) {
  if (Status checked = core::check_utf8(text); !checked.ok()) {
    return checked;
  }
  core::JsonCursor cursor(text);
  std::array<std::string_view, kElements> elements;
  std::string_view surplus;
  std::size_t count = 0;
  const bool is_array = cursor.next_is('[');
  const std::size_t start = cursor.position();
  std::size_t last = start;
  if (is_array) {
    cursor.expect('[');
    for (bool more = !cursor.next_is(']'); more; more = cursor.next_is(',') && cursor.expect(',')) {
      std::string_view element;
      if (!cursor.value(element)) {
        break;
      }
      if (count < kElements) {
        elements[count] = element;
      } else if (count == kElements) {
        surplus = element;
      }
      ++count;
    }
    last = cursor.position();
    cursor.expect(']');
  } else {
    cursor.value(surplus);
  }
  if (!cursor.end()) {
    return cursor.status();
  }
  if (!is_array) {
    return refuse(Code::invalid_event, "The message must be a JSON array: " + std::string(kShape) + ".", start);
  }
  if (count != kElements) {
    return refuse(
        Code::invalid_event,
        "The message has " + std::to_string(count) + " elements; it must have 5: " + std::string(kShape) + ".",
        count < kElements ? last : place_of(surplus, text));
  }
  if (Status checked = check_elements(text, elements); !checked.ok()) {
    return checked;
  }
  const auto& [join_ref, ref, topic, event, payload] = elements;
  scratch.clear();
  if (topic.find('\\') != std::string_view::npos || event.find('\\') != std::string_view::npos) {
    scratch.reserve(topic.size() + event.size());
  }
  return PhoenixMessage{join_ref, ref, topic, text_of(topic, scratch), text_of(event, scratch), payload, false};
}

core::Result<PhoenixMessage> parse_phoenix_binary(std::string_view bytes, std::string& scratch) {
  constexpr std::size_t kFields = kElements - 1;
  constexpr std::size_t kHead = 1 + kFields;
  if (!bytes.empty() && bytes[0] != 0) {
    return refuse(Code::invalid_event,
                  "The binary message has the kind " + std::to_string(static_cast<unsigned char>(bytes[0])) +
                      "; what a client pushes has the kind 0.",
                  0);
  }
  if (bytes.size() < kHead) {
    return refuse(Code::invalid_event, "The binary message ends before the sizes of its fields.", bytes.size());
  }
  std::array<std::string_view, kFields> fields;
  std::size_t at = kHead;
  for (std::size_t i = 0; i < kFields; ++i) {
    const std::size_t size = static_cast<unsigned char>(bytes[1 + i]);
    if (size > bytes.size() - at) {
      return refuse(Code::invalid_event,
                    "The binary message ends before its " + std::string(kElementNames[i]) + " does.", bytes.size());
    }
    // Each alone: two halves of a character side by side are none.
    if (Status checked = core::check_utf8(bytes.substr(0, at + size), at); !checked.ok()) {
      return checked;
    }
    fields[i] = bytes.substr(at, size);
    at += size;
  }
  const auto& [join_ref, ref, topic, event] = fields;
  constexpr std::size_t kLongestEscape = 6;  // \u001f
  constexpr std::size_t kQuotes = 6;         // of three strings
  scratch.clear();
  scratch.reserve(kLongestEscape * (join_ref.size() + ref.size() + topic.size()) + kQuotes);
  const auto ref_json = [&scratch](std::string_view text) {
    return text.empty() ? std::string_view("null") : quoted_in(scratch, text);
  };
  return PhoenixMessage{ref_json(join_ref), ref_json(ref), quoted_in(scratch, topic), topic, event,
                        bytes.substr(at),   true};
}

std::optional<std::string_view> next_phoenix_line(std::string_view& body) {
  while (!body.empty()) {
    const std::size_t newline = body.find('\n');
    std::string_view line = body.substr(0, newline);
    body.remove_prefix(newline == std::string_view::npos ? body.size() : newline + 1);
    if (line.ends_with('\r')) {
      line.remove_suffix(1);
    }
    if (!line.empty()) {
      return line;
    }
  }
  return std::nullopt;
}

core::Result<JoinParameters> parse_join(std::string_view payload) {
  if (Status checked = core::check_json(payload); !checked.ok()) {
    return checked;
  }
  constexpr std::array<std::string_view, 4> kNames = {"since", "epoch", "access_token", "presence"};
  std::array<std::string_view, 4> values;
  if (Status read = read_members(payload, payload, "The payload of a join", "", kNames, values); !read.ok()) {
    return read;
  }
  const auto& [since, epoch, access_token, presence] = values;
  JoinParameters join;
  if (Status read = read_since(payload, since, join.since); !read.ok()) {
    return read;
  }
  if (Status read = read_string(payload, "epoch", epoch, join.epoch); !read.ok()) {
    return read;
  }
  if (std::uint64_t number = 0; !join.epoch.empty() && !core::parse_epoch(join.epoch, number)) {
    return refuse(Code::invalid_parameter, "The member \"epoch\" must be 16 hex digits.", place_of(epoch, payload));
  }
  if (Status read = read_string(payload, "access_token", access_token, join.access_token); !read.ok()) {
    return read;
  }
  if (Status read = read_presence(payload, presence, join); !read.ok()) {
    return read;
  }
  return join;
}

core::Result<std::string> parse_access_token(std::string_view payload) {
  if (Status checked = core::check_json(payload); !checked.ok()) {
    return checked;
  }
  constexpr std::array<std::string_view, 1> kNames = {"access_token"};
  std::array<std::string_view, 1> values;
  if (Status read = read_members(payload, payload, "The payload of \"access_token\"", "", kNames, values); !read.ok()) {
    return read;
  }
  std::string token;
  if (Status read = read_string(payload, "access_token", values[0], token); !read.ok()) {
    return read;
  }
  if (token.empty()) {
    return refuse(Code::invalid_parameter, "The member \"access_token\" must be there, and not be empty.",
                  values[0].empty() ? 0 : place_of(values[0], payload));
  }
  return token;
}

void append_reply(std::string& out, std::string_view join_ref, std::string_view ref, std::string_view topic_json,
                  bool ok, std::string_view response_json) {
  out.append("[").append(join_ref).append(",").append(ref).append(",").append(topic_json);
  out.append(ok ? R"(,"phx_reply",{"status":"ok","response":)" : R"(,"phx_reply",{"status":"error","response":)");
  out.append(response_json).append("}]");
}

void append_push(std::string& out, std::string_view join_ref, std::string_view topic_json, std::string_view event,
                 std::string_view payload_json) {
  out.append("[").append(join_ref).append(",null,").append(topic_json).append(",");
  core::append_json_string(out, event);
  out.append(",").append(payload_json).append("]");
}

void append_event_head(std::string& out, std::string_view channel) {
  out.append("[null,null,\"").append(channel).append("\",\"event\",");
}

}  // namespace polyglot::server
