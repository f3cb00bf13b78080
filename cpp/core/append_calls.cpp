#include "core/append_calls.hpp"

#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "core/hex.hpp"
#include "core/resp.hpp"

namespace polyglot::core {
namespace {

// FCALL, function, number of keys; and behind the keys epoch, size, two TTLs and the number of entries.
constexpr std::size_t kArguments = 3 + 5;
constexpr std::size_t kNumber = 20;  // digits of any

struct Number {
  explicit Number(std::uint64_t number) : size(std::to_chars(digits, digits + kNumber, number).ptr - digits) {}
  std::string_view text() const { return {digits, static_cast<std::size_t>(size)}; }

  char digits[kNumber];
  std::ptrdiff_t size;
};

void put(std::string& out, std::string_view argument) {
  out.push_back('$');
  out.append(Number(argument.size()).text()).append("\r\n").append(argument).append("\r\n");
}

void put(std::string& out, std::uint64_t number) {
  put(out, Number(number).text());
}

void append_hex(std::string& out, std::uint64_t number) {
  char digits[kHexLength];
  write_hex(number, digits);
  out.append(digits, sizeof(digits));
}

void append_hex(std::string& out, const Ulid& id) {
  constexpr char kDigits[] = "0123456789abcdef";
  for (const std::uint8_t byte : id) out.append({kDigits[byte >> 4], kDigits[byte & 15]});
}

bool parse_id(std::string_view hex, Ulid& id) {
  if (hex.size() != 2 * id.size()) return false;
  for (std::size_t i = 0; i < id.size(); ++i) {
    const int high = hex_value(hex[2 * i]);
    const int low = hex_value(hex[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    id[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return true;
}

// Takes what stands before `end` off the front of `text`.
std::string_view take_until(std::string_view& text, char end) {
  const std::string_view taken = text.substr(0, text.find(end));
  text.remove_prefix(std::min(taken.size() + 1, text.size()));
  return taken;
}

template <typename Integer>
bool parse_number(std::string_view text, Integer& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

struct Place {
  std::string_view app;
  std::string_view channel;
  bool operator==(const Place&) const = default;
};

struct PlaceHash {
  std::size_t operator()(const Place& place) const {
    const std::hash<std::string_view> hash;
    return hash(place.channel) * 31 + hash(place.app);
  }
};

// An answer that is remembered: <event>:<id>:<time>, to which Redis adds :<offset>-<epoch>.
std::string remembered(const Append& append) {
  std::string text;
  append_hex(text, append.key->event_hash);
  text.push_back(':');
  append_hex(text, append.id);
  text.push_back(':');
  return text.append(std::to_string(append.time));
}

std::vector<std::span<Append* const>> entries_of(const std::vector<Append*>& appends) {
  std::vector<std::span<Append* const>> entries;
  for (std::size_t begin = 0; begin < appends.size();) {
    std::size_t end = begin + 1;
    if (appends[begin]->key == nullptr) {
      const std::size_t most = std::min(appends.size(), begin + AppendCalls::kMostTogether);
      while (end < most && appends[end]->key == nullptr) ++end;
    }
    entries.emplace_back(appends.data() + begin, end - begin);
    begin = end;
  }
  return entries;
}

Status mismatch() {
  return {Code::idempotency_mismatch, "The Idempotency-Key was used before in this channel, with another body."};
}

}  // namespace

std::string RedisLayout::stream(std::string_view app, std::string_view channel) const {
  std::string name;
  name.reserve(prefix.size() + app.size() + channel.size() + 4);
  return name.append(prefix).append(":{").append(app).append(":").append(channel).append("}");
}

std::optional<std::pair<std::string_view, std::string_view>> RedisLayout::names_in(std::string_view stream) {
  const std::size_t begin = stream.find('{');
  if (begin == std::string_view::npos || !stream.ends_with('}')) return std::nullopt;
  const std::string_view names = stream.substr(begin + 1, stream.size() - begin - 2);
  const std::size_t colon = names.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  return std::pair(names.substr(0, colon), names.substr(colon + 1));
}

std::int64_t RedisLayout::lifetime_ms(const ChannelRule& rule) const {
  return std::max(keep_ms, rule.history_ttl_us / 1000);
}

void AppendCalls::gather(const RedisLayout& layout, std::span<Submission* const> submissions) {
  std::unordered_map<Place, Call*, PlaceHash> open_calls;
  for (Submission* submission : submissions) {
    if (!submission->traceparent().empty()) traceparents_.push_back(submission->traceparent());
    for (Append& append : submission->appends()) {
      Call*& open = open_calls[{append.app, append.channel}];
      if (open == nullptr || open->appends.size() == kMostEvents || open->bytes >= kMostBytes) {
        open = &calls_.emplace_back(
            Call{append.app, append.channel, layout.stream(append.app, append.channel), {}, 0, {}});
      }
      open->appends.push_back(&append);
      open->bytes += append.envelope.size();
    }
  }
}

std::size_t AppendCalls::event_count() const {
  std::size_t count = 0;
  for (const Call& call : calls_) count += call.appends.size();
  return count;
}

void AppendCalls::pack(const RedisLayout& layout, Call& call, const ChannelRule& rule, std::uint64_t new_epoch) {
  call.entries = entries_of(call.appends);
  std::size_t keys = 1;
  std::size_t bytes = 256 + call.stream.size();
  for (const Append* append : call.appends) {
    keys += append->key != nullptr ? 1 : 0;
    bytes += append->envelope.size() + (append->key != nullptr ? 256 + call.stream.size() : 64);
  }
  std::string& out = call.command;
  out.reserve(bytes);
  out.push_back('*');
  out.append(Number(kArguments + keys + 3 * call.entries.size() + 2 * (keys - 1)).text()).append("\r\n");
  put(out, "FCALL");
  put(out, layout.function);
  put(out, keys);
  put(out, call.stream);
  std::string name;
  for (const Append* append : call.appends) {
    if (append->key == nullptr) continue;
    name.assign(call.stream).append(":key:");
    append_hex(name, append->key->key[0]);
    append_hex(name, append->key->key[1]);
    put(out, name);
  }
  put(out, new_epoch);
  put(out, layout.history_size);
  put(out, static_cast<std::uint64_t>(layout.lifetime_ms(rule)));
  put(out, static_cast<std::uint64_t>(layout.remember_ms));
  put(out, call.entries.size());
  std::string events;
  for (const auto& entry : call.entries) {
    TimeUs time = 0;
    events.clear();
    for (const Append* append : entry) {
      time = std::max(time, append->time);
      events.append(Number(static_cast<std::uint64_t>(append->time)).text()).push_back(' ');
      events.append(Number(append->envelope.size()).text()).push_back('\n');
      events.append(append->envelope.data(), append->envelope.size());
    }
    put(out, entry.size());
    put(out, static_cast<std::uint64_t>(time));
    put(out, events);
  }
  for (std::size_t i = 0; i < call.entries.size(); ++i) {
    const Append& append = *call.entries[i].front();
    if (append.key == nullptr) continue;
    put(out, i + 1);
    put(out, remembered(append));
  }
}

bool AppendCalls::settle(std::size_t call, std::string_view answer) {
  RespParts parts(answer);
  std::size_t length = 0;
  std::string_view digits;
  std::uint64_t epoch = 0;
  if (!parts.take_array(length) || length != entries(call) + 1 || !parts.take_text(digits) ||
      !parse_number(digits, epoch)) {
    return false;
  }
  for (std::size_t entry = 0; entry < entries(call); ++entry) {
    std::uint64_t offset = 0;
    std::string_view remembered;
    if (parts.take_integer(offset)) {
      if (offset <= 1) return false;
      kept(call, entry, offset, epoch);
      continue;
    }
    if (!parts.take_text(remembered)) return false;
    if (remembered.empty()) {
      mismatched(call, entry);
    } else if (!replayed(call, entry, remembered)) {
      return false;
    }
  }
  return parts.is_end();
}

void AppendCalls::kept(std::size_t call, std::size_t entry, std::uint64_t offset, std::uint64_t epoch) {
  for (Append* append : calls_[call].entries[entry]) {
    append->offset = offset++;
    append->epoch = epoch;
  }
}

bool AppendCalls::replayed(std::size_t call, std::size_t entry, std::string_view remembered) {
  Append first;
  take_until(remembered, ':');
  const bool right = parse_id(take_until(remembered, ':'), first.id) &&
                     parse_number(take_until(remembered, ':'), first.time) &&
                     parse_number(take_until(remembered, '-'), first.offset) && parse_number(remembered, first.epoch);
  Append& append = keyed(call, entry);
  if (!right || append.key == nullptr) return false;
  append.id = first.id;
  append.time = first.time;
  append.offset = first.offset;
  append.epoch = first.epoch;
  append.replayed = true;
  return true;
}

void AppendCalls::mismatched(std::size_t call, std::size_t entry) {
  keyed(call, entry).status = mismatch();
}

void AppendCalls::spooled(Append& append) {
  append.status = {};
  append.spooled = true;
}

void AppendCalls::repeated(Append& append, const Ulid& id, TimeUs time, std::uint64_t event_hash) {
  if (append.key == nullptr || append.key->event_hash != event_hash) {
    append.status = mismatch();
    return;
  }
  spooled(append);
  append.id = id;
  append.time = time;
  append.replayed = true;
}

void AppendCalls::refused(std::size_t call, const Status& status) {
  for (Append* append : calls_[call].appends) append->status = status;
}

}  // namespace polyglot::core
