// Hexadecimal digits.
//
// Thread safety: pure functions.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace polyglot::core {

inline constexpr std::size_t kHexLength = 16;

// The value of a digit of either case; -1 for another character.
inline int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Writes exactly kHexLength lower-case digits, the highest first.
inline void write_hex(std::uint64_t number, char* out) {
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  for (int half = 0; half < 2; ++half, out += 8) {
    // Each of the eight digits gets a byte of its own, and then all become characters at once.
    std::uint64_t digits = half == 0 ? number >> 32 : number & 0xFFFFFFFF;
    digits = (digits | digits << 16) & 0x0000FFFF0000FFFF;
    digits = (digits | digits << 8) & 0x00FF00FF00FF00FF;
    digits = (digits | digits << 4) & 0x0F0F0F0F0F0F0F0F;
    const std::uint64_t letters = (digits + kOnes * 6) >> 4 & kOnes;
    digits += kOnes * '0' + letters * ('a' - '0' - 10);
    if constexpr (std::endian::native == std::endian::little) digits = __builtin_bswap64(digits);
    std::memcpy(out, &digits, sizeof(digits));
  }
}

}  // namespace polyglot::core
