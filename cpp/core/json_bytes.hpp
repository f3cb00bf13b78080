// The classes of bytes that JSON knows, and the search for the ones that matter in a string.
//
// Thread safety: pure functions.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace polyglot::core {

inline bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

inline bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Has to be escaped in a string, or ends it.
inline bool is_special(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\';
}

// A one in the top bit of some bytes of `word`, of which the lowest is the first special one; 0 when none is special.
// (A borrow can mark a byte wrongly, but only above one that is marked rightly.)
inline std::uint64_t special_bytes(std::uint64_t word) {
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  const std::uint64_t quote = word ^ (kOnes * '"');
  const std::uint64_t backslash = word ^ (kOnes * '\\');
  return (((word - kOnes * 0x20) & ~word) | ((quote - kOnes) & ~quote) | ((backslash - kOnes) & ~backslash)) &
         (kOnes * 0x80);
}

// The first special byte of a string's inside, or `end`.
inline const char* skip_plain(const char* at, const char* end) {
  static_assert(std::endian::native == std::endian::little, "the lowest byte of a word has to be the first in memory");
  while (end - at >= 8) {
    std::uint64_t word;
    std::memcpy(&word, at, sizeof word);
    if (const std::uint64_t special = special_bytes(word); special != 0) {
      return at + std::countr_zero(special) / 8;
    }
    at += 8;
  }
  while (at != end && !is_special(*at)) {
    ++at;
  }
  return at;
}

}  // namespace polyglot::core
