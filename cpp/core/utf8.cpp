#include "core/utf8.hpp"

#include <simdjson.h>

#include <array>
#include <cstdint>
#include <cstdio>

namespace polyglot::core {
namespace {

// Position of the first byte that does not begin a well-formed sequence (The Unicode Standard, table 3-7), at or after
// `from`; the size when there is none.
std::size_t find_malformed(std::string_view text, std::size_t from) {
  // Behind the end stands a byte that continues nothing.
  const auto byte = [text](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  while (from < text.size()) {
    const unsigned lead = byte(from);
    const std::size_t length = lead < 0x80   ? 1
                               : lead < 0xC2 ? 0
                               : lead < 0xE0 ? 2
                               : lead < 0xF0 ? 3
                               : lead < 0xF5 ? 4
                                             : 0;
    if (length == 0) {
      return from;
    }
    if (length > 1) {
      const unsigned lowest = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
      const unsigned highest = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
      if (byte(from + 1) < lowest || byte(from + 1) > highest) {
        return from;
      }
    }
    for (std::size_t i = 2; i < length; ++i) {
      if ((byte(from + i) & 0xC0) != 0x80) {
        return from;
      }
    }
    from += length;
  }
  return from;
}

}  // namespace

Status check_utf8(std::string_view text, std::size_t from) {
  if (simdjson::validate_utf8(text.data() + from, text.size() - from)) {
    return {};
  }
  const std::size_t position = find_malformed(text, from);
  std::array<char, 96> message;
  std::snprintf(message.data(), message.size(),
                "Byte %zu: the text is not UTF-8, 0x%02X begins no well-formed sequence.", position,
                static_cast<unsigned>(static_cast<unsigned char>(text[position])));
  return Status(Code::invalid_json, message.data(), static_cast<std::int64_t>(position));
}

}  // namespace polyglot::core
