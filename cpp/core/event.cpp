#include "core/event.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <chrono>
#include <cstring>

#include "core/json.hpp"

namespace polyglot::core {
namespace {

constexpr std::uint64_t kMaxMilliseconds = (std::uint64_t{1} << 48) - 1;

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
  Status verdict(Status noted) const { return cursor_.status().ok() ? std::move(noted) : cursor_.status(); }

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

constexpr std::int64_t kSecondUs = 1'000'000;

void write_digits(std::uint32_t value, int digits, char* out) {
  for (int i = digits - 1; i >= 0; --i) {
    out[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
}

// "2025-11-17T18:39:56"
constexpr std::size_t kSecondLength = 19;
void write_second(std::int64_t second, char* out) {
  const std::chrono::sys_seconds time{std::chrono::seconds{second}};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{time - day};
  std::memcpy(out, "0000-00-00T00:00:00", kSecondLength);
  write_digits(static_cast<std::uint32_t>(static_cast<int>(date.year())), 4, out);
  write_digits(static_cast<unsigned>(date.month()), 2, out + 5);
  write_digits(static_cast<unsigned>(date.day()), 2, out + 8);
  write_digits(static_cast<std::uint32_t>(clock.hours().count()), 2, out + 11);
  write_digits(static_cast<std::uint32_t>(clock.minutes().count()), 2, out + 14);
  write_digits(static_cast<std::uint32_t>(clock.seconds().count()), 2, out + 17);
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
  return reader.verdict(std::move(noted));
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
  return reader.verdict(std::move(noted));
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
      item.status = reader.verdict(std::move(item.status));
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
  return reader.verdict(std::move(noted));
}

EventIds::EventIds() {
  std::random_device device;
  std::seed_seq seed{device(), device(), device(), device(), device(), device(), device(), device()};
  random_.seed(seed);
}

Ulid EventIds::next(TimeUs now) {
  const std::uint64_t milliseconds = now < 0 ? 0 : std::min(static_cast<std::uint64_t>(now) / 1000, kMaxMilliseconds);
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  std::uint64_t time = 0;
  {
    const std::lock_guard lock(mutex_);
    if (milliseconds > milliseconds_) {
      milliseconds_ = milliseconds;
      high_ = random_() & 0xFFFF;
      low_ = random_();
    } else if (++low_ == 0 && ++high_ == 0x10000) {
      high_ = 0;
      ++milliseconds_;
    }
    time = milliseconds_;
    high = high_;
    low = low_;
  }
  Ulid id;
  const auto put = [&id](std::size_t at, std::uint64_t value, int bytes) {
    for (int i = bytes - 1; i >= 0; --i) {
      id[at++] = static_cast<std::uint8_t>(value >> (8 * i));
    }
  };
  put(0, time, 6);
  put(6, high, 2);
  put(8, low, 8);
  return id;
}

void write_event_id(const Ulid& id, char* out) {
  // Crockford's base 32; 128 bits in 26 digits, so that the first stands for three bits only.
  static constexpr std::string_view kDigits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  const auto get = [&id](std::size_t at, std::size_t bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i) {
      value = value << 8 | id[at + i];
    }
    return value;
  };
  const auto put = [&out](std::uint64_t value, int digits) {
    for (int shift = 5 * (digits - 1); shift >= 0; shift -= 5) {
      *out++ = kDigits[value >> shift & 31];
    }
  };
  std::memcpy(out, "evt_", 4);
  out += 4;
  put(get(0, 6), 10);
  put(get(6, 5), 8);
  put(get(11, 5), 8);
}

void write_timestamp(TimeUs time, char* out) {
  constexpr TimeUs kLast = 253'402'300'799'999'999;  // the end of the year 9999
  time = std::clamp<TimeUs>(time, 0, kLast);
  // Most calls fall into the second of the one before.
  struct Second {
    std::int64_t number = -1;
    char text[kSecondLength] = {};
  };
  thread_local constinit Second second;
  if (second.number != time / kSecondUs) {
    second.number = time / kSecondUs;
    write_second(second.number, second.text);
  }
  std::memcpy(out, second.text, kSecondLength);
  out[kSecondLength] = '.';
  write_digits(static_cast<std::uint32_t>(time % kSecondUs), 6, out + kSecondLength + 1);
  out[kTimestampLength - 1] = 'Z';
}

std::string event_id_text(const Ulid& id) {
  std::string text(kEventIdLength, '\0');
  write_event_id(id, text.data());
  return text;
}

std::string timestamp_text(TimeUs time) {
  std::string text(kTimestampLength, '\0');
  write_timestamp(time, text.data());
  return text;
}

void append_envelope(std::string& out, const EventMeta& meta, const SentEvent& event) {
  constexpr std::string_view kId = R"({"id":")";
  constexpr std::string_view kApp = R"(","app_id":")";
  constexpr std::string_view kChannel = R"(","channel":")";
  constexpr std::string_view kType = R"(","type":)";
  constexpr std::string_view kData = R"(,"data":)";
  constexpr std::string_view kUser = R"(,"meta":{"user_id":)";
  constexpr std::string_view kTime = R"(,"ts":")";
  constexpr std::string_view kSource = R"(","source_ip":)";
  constexpr std::string_view kOffset = R"(},"offset":)";
  constexpr std::size_t kFixed =
      kId.size() + kEventIdLength + kApp.size() + kChannel.size() + kType.size() + kData.size() + kUser.size();
  constexpr std::size_t kQuotedOrNull = 4;

  // The part whose length is known is written in place, the rest appended.
  const std::size_t start = out.size();
  const std::size_t known = kFixed + meta.app.size() + meta.channel.size() + event.type.size() + event.data.size();
  const std::size_t rest = kTime.size() + kTimestampLength + kSource.size() + kOffset.size() + 2 * kQuotedOrNull +
                           meta.user_id.size() + meta.source_ip.size();
  out.reserve(start + known + rest + kMaxOffsetLength);
  out.resize(start + known);
  char* at = out.data() + start;
  const auto put = [&at](std::string_view text) {
    text.copy(at, text.size());
    at += text.size();
  };
  put(kId);
  write_event_id(meta.id, at);
  at += kEventIdLength;
  put(kApp);
  put(meta.app);
  put(kChannel);
  put(meta.channel);
  put(kType);
  put(event.type);
  put(kData);
  put(event.data);
  put(kUser);

  const auto append_text = [&out](std::string_view text) {
    if (text.empty()) {
      out.append("null");
    } else {
      append_json_string(out, text);
    }
  };
  append_text(meta.user_id);
  std::array<char, kTime.size() + kTimestampLength + kSource.size()> time;
  kTime.copy(time.data(), kTime.size());
  write_timestamp(meta.time, time.data() + kTime.size());
  kSource.copy(time.data() + kTime.size() + kTimestampLength, kSource.size());
  out.append(time.data(), time.size());
  append_text(meta.source_ip);
  out.append(kOffset);
}

std::size_t write_offset(std::uint64_t offset, char* out) {
  char* const end = std::to_chars(out, out + kMaxOffsetLength - 1, offset).ptr;
  *end = '}';
  return static_cast<std::size_t>(end - out) + 1;
}

void write_epoch(std::uint64_t epoch, char* out) {
  for (int shift = 60; shift >= 0; shift -= 4) {
    *out++ = "0123456789abcdef"[epoch >> shift & 15];
  }
}

std::string epoch_text(std::uint64_t epoch) {
  std::string text(16, '\0');
  write_epoch(epoch, text.data());
  return text;
}

bool parse_epoch(std::string_view text, std::uint64_t& epoch) {
  if (text.size() != 16) {
    return false;
  }
  std::uint64_t read = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), read, 16);
  if (error != std::errc() || end != text.data() + text.size()) {
    return false;
  }
  epoch = read;
  return true;
}

}  // namespace polyglot::core
