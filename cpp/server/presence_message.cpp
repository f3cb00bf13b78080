#include "server/presence_message.hpp"

#include <cstring>
#include <utility>

#include "core/channel.hpp"
#include "core/json.hpp"
#include "core/segment_layout.hpp"

namespace polyglot::server {
namespace {

constexpr std::string_view kMagic = "PGP1";

template <typename T>
void put(std::string& out, T number) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &number, sizeof(T));
  out.append(bytes, sizeof(T));
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
    std::string_view bytes;
    if (!take(bytes, sizeof(T))) return false;
    std::memcpy(&value, static_cast<const void*>(bytes.data()), sizeof(T));
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

}  // namespace

void PresenceEntry::append_to(std::string& out) const {
  for (const std::string_view text : {app, channel, key, ref, std::string_view(json)}) put_text(out, text);
}

std::string PresenceMessage::head() const {
  std::string out(kMagic);
  put(out, kind);
  put(out, worker);
  put(out, incarnation);
  put(out, list);
  put(out, part);
  put(out, parts);
  return out;
}

std::string PresenceMessage::bytes() const {
  std::string out = head();
  for (const PresenceEntry& entry : entries) entry.append_to(out);
  return out;
}

std::optional<PresenceMessage> PresenceMessage::parse(std::string_view bytes) {
  Reader reader(bytes);
  PresenceMessage message;
  std::string_view magic;
  std::uint8_t kind = 0;
  const bool headed = reader.take(magic, kMagic.size()) && magic == kMagic && reader.number(kind) &&
                      reader.number(message.worker) && reader.number(message.incarnation) &&
                      reader.number(message.list) && reader.number(message.part) && reader.number(message.parts);
  if (!headed || kind < static_cast<int>(Kind::join) || kind > static_cast<int>(Kind::list)) return std::nullopt;
  message.kind = static_cast<Kind>(kind);
  const bool is_list = message.kind == Kind::list;
  if (message.worker >= core::kMaxWorkers || message.incarnation == 0) return std::nullopt;
  if (is_list ? message.list == 0 || message.part >= message.parts : message.part != 0 || message.parts != 0) {
    return std::nullopt;
  }
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
    auto json = presence_meta(entry.ref, meta);
    if (!json) return std::nullopt;
    entry.json = *std::move(json);
    message.entries.push_back(std::move(entry));
  }
  const bool needs_one = message.kind == Kind::join || message.kind == Kind::leave;
  if (!is_list && message.entries.size() != (needs_one ? 1 : 0)) return std::nullopt;
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
