#include "core/json_text.hpp"

#include <cstddef>

#include "core/hex.hpp"
#include "core/json_bytes.hpp"

namespace polyglot::core {
namespace {

// Of four hex digits that were checked before.
unsigned hex4_value(std::string_view digits) {
  unsigned unit = 0;
  for (const char c : digits) {
    unit = unit * 16 + static_cast<unsigned>(hex_value(c));
  }
  return unit;
}

void append_utf8(std::string& out, unsigned code_point) {
  const auto continuation = [&out, code_point](int shift) {
    out.push_back(static_cast<char>(0x80 | ((code_point >> shift) & 0x3F)));
  };
  if (code_point < 0x80) {
    out.push_back(static_cast<char>(code_point));
  } else if (code_point < 0x800) {
    out.push_back(static_cast<char>(0xC0 | (code_point >> 6)));
    continuation(0);
  } else if (code_point < 0x10000) {
    out.push_back(static_cast<char>(0xE0 | (code_point >> 12)));
    continuation(6);
    continuation(0);
  } else {
    out.push_back(static_cast<char>(0xF0 | (code_point >> 18)));
    continuation(12);
    continuation(6);
    continuation(0);
  }
}

// The letter of a two-character escape and the byte it stands for, in step.
constexpr std::string_view kEscapeLetters = "\"\\/bfnrt";
constexpr std::string_view kEscapedBytes = "\"\\/\b\f\n\r\t";

}  // namespace

std::string unescape(std::string_view quoted) {
  std::string_view rest = quoted.substr(1, quoted.size() - 2);
  std::string out;
  out.reserve(rest.size());
  for (std::size_t slash = rest.find('\\'); slash != std::string_view::npos; slash = rest.find('\\')) {
    out.append(rest.substr(0, slash));
    const char kind = rest[slash + 1];
    rest.remove_prefix(slash + 2);
    if (kind != 'u') {
      out.push_back(kEscapedBytes[kEscapeLetters.find(kind)]);
      continue;
    }
    unsigned code_point = hex4_value(rest.substr(0, 4));
    rest.remove_prefix(4);
    if (code_point >= 0xD800 && code_point <= 0xDBFF) {
      code_point = 0x10000 + ((code_point - 0xD800) << 10) + (hex4_value(rest.substr(2, 4)) - 0xDC00);
      rest.remove_prefix(6);
    }
    append_utf8(out, code_point);
  }
  return out.append(rest);
}

void append_json_string(std::string& out, std::string_view text) {
  out.push_back('"');
  const char* at = text.data();
  const char* const end = at + text.size();
  for (;;) {
    const char* const special = skip_plain(at, end);
    out.append(at, special);
    if (special == end) {
      break;
    }
    const std::size_t escape = kEscapedBytes.find(*special);
    if (escape != std::string_view::npos) {
      out.push_back('\\');
      out.push_back(kEscapeLetters[escape]);
    } else {
      constexpr std::string_view kHexDigits = "0123456789abcdef";
      const auto byte = static_cast<unsigned char>(*special);
      out.append("\\u00").push_back(kHexDigits[byte >> 4]);
      out.push_back(kHexDigits[byte & 15]);
    }
    at = special + 1;
  }
  out.push_back('"');
}

}  // namespace polyglot::core
