#include "core/resp.hpp"

#include <charconv>

namespace polyglot::core {
namespace {

constexpr std::string_view kEnd = "\r\n";
constexpr std::int64_t kMostBytes = std::int64_t{512} << 20;  // that Redis allows a text
constexpr std::int64_t kMostParts = std::int64_t{1} << 31;

bool parse_number(std::string_view digits, std::int64_t& number) {
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return error == std::errc() && end == digits.data() + digits.size();
}

// One part: a line, and what belongs to it.
struct Part {
  std::size_t size = 0;     // 0: its end is not there yet
  std::int64_t number = 0;  // of an array its length, of a text its bytes; -1 for none
  std::string_view text;
};

std::optional<Part> first_part(std::string_view bytes) {
  if (bytes.empty()) return Part{};
  const char kind = bytes.front();
  if (kind != '*' && kind != '$' && kind != ':' && kind != '+' && kind != '-') return std::nullopt;
  const std::size_t line = bytes.find(kEnd);
  if (line == std::string_view::npos) return Part{};
  Part part{.size = line + kEnd.size(), .text = bytes.substr(1, line - 1)};
  if (kind == '+' || kind == '-') return part;
  if (!parse_number(part.text, part.number)) return std::nullopt;
  if (kind == ':') return part;
  if (part.number < -1 || part.number > (kind == '*' ? kMostParts : kMostBytes)) return std::nullopt;
  if (kind == '*' || part.number == -1) return part;
  const auto length = static_cast<std::size_t>(part.number);
  if (bytes.size() < part.size + length + kEnd.size()) return Part{};
  part.text = bytes.substr(part.size, length);
  if (bytes.substr(part.size + length, kEnd.size()) != kEnd) return std::nullopt;
  part.size += length + kEnd.size();
  return part;
}

}  // namespace

std::optional<std::size_t> resp_size(std::string_view bytes) {
  std::size_t size = 0;
  for (std::int64_t parts = 1; parts > 0; --parts) {
    const auto part = first_part(bytes.substr(size));
    if (!part) return std::nullopt;
    if (part->size == 0) return 0;
    if (bytes[size] == '*' && part->number > 0) parts += part->number;
    if (parts > kMostParts) return std::nullopt;
    size += part->size;
  }
  return size;
}

bool RespParts::take_array(std::size_t& length) {
  const auto part = left_.starts_with('*') ? first_part(left_) : std::nullopt;
  if (!part || part->number < 0) return false;
  length = static_cast<std::size_t>(part->number);
  left_.remove_prefix(part->size);
  return true;
}

bool RespParts::take_text(std::string_view& text) {
  const auto part = left_.starts_with('$') ? first_part(left_) : std::nullopt;
  if (!part || part->number < 0) return false;
  text = part->text;
  left_.remove_prefix(part->size);
  return true;
}

bool RespParts::take_integer(std::uint64_t& number) {
  const auto part = left_.starts_with(':') ? first_part(left_) : std::nullopt;
  if (!part || part->number < 0) return false;
  number = static_cast<std::uint64_t>(part->number);
  left_.remove_prefix(part->size);
  return true;
}

}  // namespace polyglot::core
