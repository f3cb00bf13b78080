#include "server/presence_message.hpp"

#include <type_traits>
#include <utility>

#include "core/channel.hpp"
#include "core/json.hpp"

namespace polyglot::server {
namespace {

constexpr std::string_view kMagic = "PGP2";

template <typename T>
void put(std::string& out, T number) {
  static_assert(std::is_unsigned_v<T>);
  for (std::size_t i = 0; i < sizeof(T); ++i) out.push_back(static_cast<char>(number >> (8 * i)));
}
void put_text(std::string& out, std::string_view text) {
  put(out, static_cast<std::uint16_t>(text.size()));
  out.append(text);
}

class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes) {}
  bool take(std::string_view& bytes, std::size_t count) {
    if (count > left_.size()) return false;
    bytes = left_.substr(0, count);
    left_.remove_prefix(count);
    return true;
  }
  template <typename T>
  bool number(T& value) {
    static_assert(std::is_unsigned_v<T>);
    std::string_view bytes;
    if (!take(bytes, sizeof(T))) return false;
    value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      value = static_cast<T>(value | static_cast<T>(static_cast<unsigned char>(bytes[i])) << (8 * i));
    }
    return true;
  }
  bool text(std::string_view& value) {
    std::uint16_t size = 0;
    return number(size) && take(value, size);
  }
  bool at_end() const { return left_.empty(); }

 private:
  std::string_view left_;
};

using Kind = PresenceMessage::Kind;

bool is_part(Kind kind) {
  return kind == Kind::list || kind == Kind::end;
}
bool has_one_entry(Kind kind) {
  return kind == Kind::join || kind == Kind::leave;
}

// Whether the numbers of the head go together.
bool makes_sense(const PresenceMessage& message) {
  const bool is_counted = is_part(message.kind) || has_one_entry(message.kind);
  return message.worker != 0 && message.list <= message.number && (message.number != 0 || !is_counted) &&
         (message.list != 0 || !is_part(message.kind)) && (message.whom == 0 || message.kind == Kind::hello);
}

}  // namespace

void PresenceEntry::append_to(std::string& out) const {
  for (const std::string_view text : {app, channel, key, ref, std::string_view(json)}) put_text(out, text);
}

std::string PresenceMessage::head() const {
  std::string out(kMagic);
  put(out, static_cast<std::uint8_t>(kind));
  for (const std::uint64_t each : {worker, number, list, whom}) put(out, each);
  return out;
}

std::string PresenceMessage::bytes() const {
  std::string out = head();
  for (const PresenceEntry& entry : entries) entry.append_to(out);
  return out;
}

std::optional<PresenceMessage> PresenceMessage::parse(std::string_view bytes) {
  if (bytes.size() > kMaxPresenceMessage) return std::nullopt;
  Reader reader(bytes);
  PresenceMessage message;
  std::string_view magic;
  std::uint8_t kind = 0;
  const bool headed = reader.take(magic, kMagic.size()) && magic == kMagic && reader.number(kind) &&
                      reader.number(message.worker) && reader.number(message.number) && reader.number(message.list) &&
                      reader.number(message.whom);
  if (!headed || kind < static_cast<int>(Kind::join) || kind > static_cast<int>(Kind::beat)) return std::nullopt;
  message.kind = static_cast<Kind>(kind);
  if (!makes_sense(message)) return std::nullopt;
  while (!reader.at_end()) {
    PresenceEntry entry;
    std::string_view meta;
    const bool whole = reader.text(entry.app) && reader.text(entry.channel) && reader.text(entry.key) &&
                       reader.text(entry.ref) && reader.text(meta);
    if (!whole || !core::check_app(entry.app).ok() || !core::check_channel(entry.channel).ok() ||
        !is_presence_name(entry.key) || !is_presence_name(entry.ref) ||
        (message.kind == Kind::leave && !meta.empty())) {
      return std::nullopt;
    }
    if (message.kind != Kind::leave) {
      auto json = presence_meta(entry.ref, meta);
      if (!json) return std::nullopt;
      entry.json = *std::move(json);
    }
    if (entry.size() > kMaxMember) return std::nullopt;
    message.entries.push_back(std::move(entry));
  }
  if (!is_part(message.kind) && message.entries.size() != (has_one_entry(message.kind) ? 1 : 0)) return std::nullopt;
  return message;
}

std::optional<std::string> presence_meta(std::string_view ref, std::string_view meta) {
  std::string json = "{\"phx_ref\":";
  core::append_json_string(json, ref);
  if (!meta.empty()) {
    if (!core::check_utf8(meta).ok()) return std::nullopt;
    core::JsonCursor cursor(meta);
    if (!cursor.expect('{')) return std::nullopt;
    for (bool more = !cursor.next_is('}'); more; more = cursor.next_is(',') && cursor.expect(',')) {
      std::string_view name, value;
      if (!cursor.string(name) || !cursor.expect(':') || !cursor.value(value)) return std::nullopt;
      if (core::unescape(name) != "phx_ref") json.append(",").append(name).append(":").append(value);
    }
    if (!cursor.expect('}') || !cursor.end()) return std::nullopt;
  }
  return json.append("}");
}

bool is_presence_name(std::string_view text) {
  return !text.empty() && core::check_utf8(text).ok();
}

}  // namespace polyglot::server
