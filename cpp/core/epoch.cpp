#include "core/epoch.hpp"

#include <charconv>
#include <system_error>

#include "core/hex.hpp"

namespace polyglot::core {

void write_epoch(std::uint64_t epoch, char* out) {
  write_hex(epoch, out);
}

std::string epoch_text(std::uint64_t epoch) {
  std::string text(kEpochLength, '\0');
  write_epoch(epoch, text.data());
  return text;
}

bool parse_epoch(std::string_view text, std::uint64_t& epoch) {
  if (text.size() != kEpochLength) {
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
