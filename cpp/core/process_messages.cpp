#include "core/process_messages.hpp"

#include <array>
#include <cstddef>

#include "core/utf8.hpp"

namespace polyglot::core {
namespace {

enum WireType : std::uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

std::size_t varint_size(std::size_t value) {
  std::size_t size = 1;
  while (value >>= 7) ++size;
  return size;
}

// A field of this number, whose bytes come next.
void begin_bytes(int field, std::size_t size, Buffer& message) {
  std::array<char, 11> bytes{static_cast<char>(field << 3 | kBytes)};
  std::size_t count = 1;
  for (; size >= 0x80; size >>= 7) bytes[count++] = static_cast<char>(size | 0x80);
  bytes[count++] = static_cast<char>(size);
  message.append({bytes.data(), count});
}

std::array<std::string_view, 9> fields_of(const ProcessEvent& event) {
  return {event.id,        event.app,     event.channel,   event.type,       event.data,
          event.timestamp, event.user_id, event.source_ip, event.traceparent};
}

// Takes what a message is made of, one field after the other.
class Fields {
 public:
  explicit Fields(std::string_view message) : rest_(message) {}

  // False at the end, and when something is wrong.
  bool next() {
    if (rest_.empty() || !good_) return false;
    std::uint64_t key = 0;
    if (!take_varint(key) || key >> 3 == 0 || key >> 32 != 0) return good_ = false;
    number_ = key >> 3;
    type_ = static_cast<WireType>(key & 7);
    bytes_ = {};
    if (type_ == kVarint) return good_ = take_varint(value_);
    std::uint64_t size = type_ == kFixed64 ? 8 : 4;
    if (type_ == kBytes && !take_varint(size)) return good_ = false;
    if ((type_ != kBytes && type_ != kFixed64 && type_ != kFixed32) || size > rest_.size()) return good_ = false;
    bytes_ = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }
  bool good() const { return good_; }
  bool is(std::uint64_t number, WireType type) const { return number_ == number && type_ == type; }
  std::uint64_t value() const { return value_; }
  std::string_view bytes() const { return bytes_; }

 private:
  bool take_varint(std::uint64_t& value) {
    value = 0;
    for (std::size_t i = 0; i < 10 && i < rest_.size(); ++i) {
      const auto byte = static_cast<unsigned char>(rest_[i]);
      if (i == 9 && byte > 1) return false;
      value |= std::uint64_t{byte & 0x7fU} << (7 * i);
      if (byte < 0x80) {
        rest_.remove_prefix(i + 1);
        return true;
      }
    }
    return false;
  }

  std::string_view rest_;
  bool good_ = true;
  std::uint64_t number_ = 0;
  WireType type_ = kVarint;
  std::uint64_t value_ = 0;
  std::string_view bytes_;
};

bool read_verdict(std::string_view message, ProcessVerdict& verdict) {
  std::uint32_t kind = 0;
  Fields fields(message);
  while (fields.next()) {
    if (fields.is(1, kBytes)) verdict.id = fields.bytes();
    if (fields.is(2, kVarint)) kind = static_cast<std::uint32_t>(fields.value());  // an enum has 32 bits
    if (fields.is(3, kBytes)) verdict.data = fields.bytes();
    if (fields.is(4, kBytes)) verdict.reason = fields.bytes();
  }
  verdict.kind = static_cast<VerdictKind>(kind);
  return fields.good() && kind >= 1 && kind <= 3 && check_utf8(verdict.id).ok() && check_utf8(verdict.reason).ok();
}

}  // namespace

void write_events(std::span<const ProcessEvent> events, Buffer& message) {
  for (const ProcessEvent& event : events) {
    const auto fields = fields_of(event);
    std::size_t size = 0;
    for (const std::string_view field : fields) {
      if (!field.empty()) size += 1 + varint_size(field.size()) + field.size();
    }
    begin_bytes(1, size, message);
    for (std::size_t i = 0; i < fields.size(); ++i) {
      if (fields[i].empty()) continue;
      begin_bytes(static_cast<int>(i) + 1, fields[i].size(), message);
      message.append(fields[i]);
    }
  }
}

std::optional<std::vector<ProcessVerdict>> read_verdicts(std::string_view message) {
  std::vector<ProcessVerdict> verdicts;
  Fields fields(message);
  while (fields.next()) {
    if (fields.is(1, kBytes) && !read_verdict(fields.bytes(), verdicts.emplace_back())) return std::nullopt;
  }
  if (!fields.good()) return std::nullopt;
  return verdicts;
}

}  // namespace polyglot::core
