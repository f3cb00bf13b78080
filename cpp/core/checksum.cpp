#include "core/checksum.hpp"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace polyglot::core {
namespace {

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78U : 0U);
    table[i] = crc;
  }
  return table;
}
constexpr auto kTable = make_table();

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t crc32c_sse42(std::uint32_t crc, const void* bytes, std::size_t size) {
  const auto* at = static_cast<const unsigned char*>(bytes);
  std::uint64_t wide = ~crc;
  for (; size >= 8; size -= 8, at += 8) {
    std::uint64_t word;
    std::memcpy(&word, at, 8);
    wide = _mm_crc32_u64(wide, word);
  }
  auto narrow = static_cast<std::uint32_t>(wide);
  if (size >= 4) {
    std::uint32_t half;
    std::memcpy(&half, at, 4);
    narrow = _mm_crc32_u32(narrow, half);
    at += 4;
    size -= 4;
  }
  for (; size > 0; --size, ++at) narrow = _mm_crc32_u8(narrow, *at);
  return ~narrow;
}
const bool kHasSse42 = __builtin_cpu_supports("sse4.2");
#endif

// The first `size` bytes, 1 to 7, as the lowest ones of a word. By whole loads: a word put together from pieces in
// memory is slow to read back.
std::uint64_t load_partial_word(const void* from, std::size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(from);
  if (size >= 4) {
    std::uint32_t low, high;
    std::memcpy(&low, bytes, 4);
    std::memcpy(&high, bytes + size - 4, 4);
    return low | std::uint64_t{high} << 8 * (size - 4);
  }
  std::uint64_t word = bytes[0];
  if (size > 1) word |= std::uint64_t{bytes[1]} << 8;
  if (size > 2) word |= std::uint64_t{bytes[2]} << 16;
  return word;
}

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

}  // namespace

std::uint32_t crc32c_portable(std::uint32_t crc, const void* bytes, std::size_t size) {
  const auto* at = static_cast<const unsigned char*>(bytes);
  crc = ~crc;
  for (; size > 0; --size, ++at) crc = (crc >> 8) ^ kTable[(crc ^ *at) & 0xFF];
  return ~crc;
}

std::uint32_t crc32c(std::uint32_t crc, const void* bytes, std::size_t size) {
#if defined(__x86_64__)
  if (kHasSse42) return crc32c_sse42(crc, bytes, size);
#endif
  return crc32c_portable(crc, bytes, size);
}

std::uint64_t hash64(std::uint64_t seed, std::string_view bytes) {
  constexpr std::uint64_t kOdd1 = 0x9E3779B97F4A7C15, kOdd2 = 0xD6E8FEB86659FD93;
  std::uint64_t state = seed ^ mix(bytes.size() ^ kOdd1, kOdd2);
  std::uint64_t word;
  for (; bytes.size() >= 8; bytes.remove_prefix(8)) {
    std::memcpy(&word, bytes.data(), 8);
    state = mix(state ^ word ^ kOdd1, kOdd2);
  }
  if (!bytes.empty()) {
    word = load_partial_word(bytes.data(), bytes.size());
    state = mix(state ^ word ^ kOdd1, kOdd2);
  }
  return mix(state ^ kOdd2, kOdd1);
}

}  // namespace polyglot::core
