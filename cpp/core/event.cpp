#include "core/event.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <string>
#include <utility>

#include "core/json.hpp"

namespace polyglot::core {
namespace {

Status refuse(std::string message, std::size_t position) {
  return Status(Code::invalid_event, std::move(message), static_cast<std::int64_t>(position));
}

// A text that a client sent, in quotes and cut to a length that a message can bear.
std::string shown(std::string_view text) {
  constexpr std::size_t kMaxShown = 64;
  if (text.size() <= kMaxShown) {
    return '"' + std::string(text) + '"';
  }
  std::size_t length = kMaxShown;
  while ((static_cast<unsigned char>(text[length]) & 0xC0) == 0x80) {
    --length;
  }
  return '"' + std::string(text.substr(0, length)) + "…\"";
}

std::string_view without_quotes(std::string_view quoted) {
  return quoted.substr(1, quoted.size() - 2);
}

bool has_escape(std::string_view text) {
  return text.find('\\') != std::string_view::npos;
}

// Reads bodies. Two kinds of trouble are kept apart: what is no JSON stays in the cursor and stops everything; what is
// JSON but has another shape than asked for is noted in a Status, the first only, and reading goes on, because every
// byte of a body is checked.
//
// The functions return false when the cursor failed.
class Reader {
 public:
  explicit Reader(std::string_view text, std::size_t from = 0) : cursor_(text, from) {}

  // Reads {name: value, …}: calls `read(index)` for each known member with the cursor before its value. A member that
  // is missing, unknown or given twice is noted, and so is a value that is no object at all.
  template <std::size_t N, typename Read>
  bool members(std::string_view what, const std::array<std::string_view, N>& names, Status& noted, Read read) {
    if (!cursor_.next_is('{')) {
      return other_shape(std::string(what) + " must be a JSON object.", noted);
    }
    const std::size_t start = cursor_.position();
    cursor_.expect('{');
    unsigned seen = 0;
    if (!cursor_.next_is('}')) {
      do {
        std::string_view name;
        if (!cursor_.string(name)) {
          return false;
        }
        const std::size_t place = cursor_.position() - name.size();
        const std::size_t index = find(names, name);
        if (!cursor_.expect(':')) {
          return false;
        }
        if (index < N && (seen >> index & 1U) == 0) {
          seen |= 1U << index;
          if (!read(index)) {
            return false;
          }
        } else {
          note(noted, place, [&] {
            return std::string(what) + (index < N ? " has the member " + shown(names[index]) + " twice."
                                                  : " has the member " + shown(without_quotes(name)) +
                                                        ", which is not known; it may have " + listed(names) + ".");
          });
          std::string_view skipped;
          if (!cursor_.value(skipped)) {
            return false;
          }
        }
      } while (cursor_.next_is(',') && cursor_.expect(','));
    }
    if (!cursor_.expect('}')) {
      return false;
    }
    if (const unsigned missing = ~seen & ((1U << N) - 1); missing != 0) {
      note(noted, start, [&] {
        return std::string(what) + " lacks the member " +
               shown(names[static_cast<std::size_t>(std::countr_zero(missing))]) + ".";
      });
    }
    return true;
  }

  // Reads [element, …]: calls `read()` with the cursor before each element.
  template <typename Read>
  bool elements(std::string_view what, Status& noted, Read read) {
    if (!cursor_.next_is('[')) {
      return other_shape(std::string(what) + " must be a JSON array.", noted);
    }
    cursor_.expect('[');
    if (!cursor_.next_is(']')) {
      do {
        if (!read()) {
          return false;
        }
      } while (cursor_.next_is(',') && cursor_.expect(','));
    }
    return cursor_.expect(']');
  }

  // Reads the `type` of an event.
  bool type(std::string_view& slice, Status& noted) {
    if (!cursor_.next_is('"')) {
      return other_shape("The member \"type\" must be a string.", noted);
    }
    const std::size_t place = cursor_.position();
    if (!cursor_.string(slice)) {
      return false;
    }
    const std::size_t length = slice.size() - 2;
    if (length == 0 || length > kMaxTypeLength) {
      note(noted, place, [length] {
        return "The member \"type\" has " + std::to_string(length) + " bytes between its quotes; it may have 1 to " +
               std::to_string(kMaxTypeLength) + ".";
      });
    }
    return true;
  }

  // Reads the name of a channel; `name` stays empty when there is none to give.
  bool channel(std::string_view& name, Status& noted) {
    if (!cursor_.next_is('"')) {
      return other_shape("The name of a channel must be a string.", noted);
    }
    const std::size_t place = cursor_.position();
    std::string_view quoted;
    if (!cursor_.string(quoted)) {
      return false;
    }
    if (has_escape(quoted)) {
      note(noted, place, [] { return std::string("The name of a channel must be written without escapes."); });
    } else {
      name = without_quotes(quoted);
    }
    return true;
  }

  bool value(std::string_view& slice) { return cursor_.value(slice); }
  bool end() { return cursor_.end(); }
  // Moves to the next token.
  std::size_t next() {
    cursor_.next_is('\0');
    return cursor_.position();
  }

  // The message is made only when it is kept.
  template <typename Message>
  static void note(Status& noted, std::size_t position, Message message) {
    if (noted.ok()) {
      noted = refuse(message(), position);
    }
  }

  // Why the text is refused as a whole: the cursor's trouble before what was noted.
  Status verdict(const Status& noted) const { return cursor_.status().ok() ? noted : cursor_.status(); }

 private:
  // Reads a value that is not what was asked for.
  bool other_shape(std::string message, Status& noted) {
    const std::size_t place = cursor_.position();
    std::string_view skipped;
    if (!cursor_.value(skipped)) {
      return false;
    }
    note(noted, place, [&message] { return std::move(message); });
    return true;
  }

  template <std::size_t N>
  static std::size_t find(const std::array<std::string_view, N>& names, std::string_view quoted) {
    auto found = std::ranges::find(names, without_quotes(quoted));
    if (found == names.end() && has_escape(quoted)) {
      found = std::ranges::find(names, std::string_view(unescape(quoted)));
    }
    return static_cast<std::size_t>(found - names.begin());
  }

  template <std::size_t N>
  static std::string listed(const std::array<std::string_view, N>& names) {
    std::string text;
    for (std::size_t i = 0; i < N; ++i) {
      text.append(i == 0 ? "" : i + 1 == N ? " and " : ", ").append(shown(names[i]));
    }
    return text;
  }

  JsonCursor cursor_;
};

constexpr std::array<std::string_view, 2> kEventMembers = {"type", "data"};
constexpr std::array<std::string_view, 3> kItemMembers = {"type", "data", "channel"};
constexpr std::array<std::string_view, 3> kBroadcastMembers = {"type", "data", "channels"};
constexpr std::array<std::string_view, 1> kBatchMembers = {"events"};

// An event that names its channel: an element of a batch, a line of NDJSON.
bool read_item(Reader& reader, BatchItem& item) {
  item.event.position = reader.next();
  return reader.members("The event", kItemMembers, item.status, [&](std::size_t member) {
    switch (member) {
      case 0:
        return reader.type(item.event.type, item.status);
      case 1:
        return reader.value(item.event.data);
      default:
        return reader.channel(item.event.channel, item.status);
    }
  });
}

std::string too_many_events() {
  return "The batch has more than " + std::to_string(kMaxBatchEvents) + " events.";
}

}  // namespace

Result<SentEvent> parse_event(std::string_view body) {
  if (Status checked = check_utf8(body); !checked.ok()) {
    return checked;
  }
  Reader reader(body);
  SentEvent event;
  Status noted;
  event.position = reader.next();
  const bool read = reader.members("The event", kEventMembers, noted, [&](std::size_t member) {
    return member == 0 ? reader.type(event.type, noted) : reader.value(event.data);
  });
  if (read && reader.end() && noted.ok()) {
    return event;
  }
  return reader.verdict(noted);
}

Result<std::vector<BatchItem>> parse_batch(std::string_view body) {
  if (Status checked = check_utf8(body); !checked.ok()) {
    return checked;
  }
  constexpr std::size_t kSmallestEvent = 36;
  std::vector<BatchItem> items;
  items.reserve(std::min(kMaxBatchEvents, body.size() / kSmallestEvent));
  Reader reader(body);
  Status noted;
  const auto read_event = [&] {
    if (items.size() < kMaxBatchEvents) {
      return read_item(reader, items.emplace_back());
    }
    Reader::note(noted, reader.next(), too_many_events);
    std::string_view skipped;
    return reader.value(skipped);
  };
  const auto read_events = [&](std::size_t) {
    const std::size_t place = reader.next();
    if (!reader.elements("The member \"events\"", noted, read_event)) {
      return false;
    }
    if (items.empty()) {
      Reader::note(noted, place, [] { return std::string("The batch has no events."); });
    }
    return true;
  };
  if (reader.members("The batch", kBatchMembers, noted, read_events) && reader.end() && noted.ok()) {
    return items;
  }
  return reader.verdict(noted);
}

Result<std::vector<BatchItem>> parse_ndjson(std::string_view body) {
  // One check for all lines; only when it fails does each line need its own.
  const bool is_utf8 = check_utf8(body).ok();
  std::vector<BatchItem> items;
  for (std::size_t start = 0; start < body.size();) {
    const std::size_t newline = std::min(body.find('\n', start), body.size());
    const std::size_t from = start;
    const std::size_t end = newline > from && body[newline - 1] == '\r' ? newline - 1 : newline;
    start = newline + 1;
    if (end == from) {
      continue;
    }
    if (items.size() == kMaxBatchEvents) {
      return refuse(too_many_events(), from);
    }
    BatchItem& item = items.emplace_back();
    item.event.position = from;
    const std::string_view to_line_end = body.substr(0, end);
    if (!is_utf8) {
      item.status = check_utf8(to_line_end, from);
    }
    if (item.status.ok()) {
      Reader reader(to_line_end, from);
      if (read_item(reader, item)) {
        reader.end();
      }
      item.status = reader.verdict(item.status);
    }
  }
  if (items.empty()) {
    return refuse("The batch has no events.", 0);
  }
  return items;
}

Result<Broadcast> parse_broadcast(std::string_view body) {
  if (Status checked = check_utf8(body); !checked.ok()) {
    return checked;
  }
  Reader reader(body);
  Broadcast broadcast;
  Status noted;
  broadcast.event.position = reader.next();
  const auto read_channel = [&] {
    const std::size_t place = reader.next();
    std::string_view name;
    if (!reader.channel(name, noted)) {
      return false;
    }
    if (broadcast.channels.size() == kMaxBroadcastChannels) {
      Reader::note(noted, place, [] {
        return "The broadcast names more than " + std::to_string(kMaxBroadcastChannels) + " channels.";
      });
    } else if (std::ranges::find(broadcast.channels, name) != broadcast.channels.end()) {
      Reader::note(noted, place, [name] { return "The broadcast names the channel " + shown(name) + " twice."; });
    } else {
      broadcast.channels.push_back(name);
    }
    return true;
  };
  const auto read_channels = [&] {
    const std::size_t place = reader.next();
    if (!reader.elements("The member \"channels\"", noted, read_channel)) {
      return false;
    }
    if (broadcast.channels.empty()) {
      Reader::note(noted, place, [] { return std::string("The broadcast names no channels."); });
    }
    return true;
  };
  const bool read = reader.members("The broadcast", kBroadcastMembers, noted, [&](std::size_t member) {
    switch (member) {
      case 0:
        return reader.type(broadcast.event.type, noted);
      case 1:
        return reader.value(broadcast.event.data);
      default:
        return read_channels();
    }
  });
  if (read && reader.end() && noted.ok()) {
    return broadcast;
  }
  return reader.verdict(noted);
}

}  // namespace polyglot::core
