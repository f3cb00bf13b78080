#include "core/checksum.hpp"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#include <wmmintrin.h>
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
// The instruction takes three cycles but a new one can begin in each, so longer texts are read in three lanes. What the
// first two lanes give is then moved over the bytes behind them, by a multiplication by x^(8 * bytes) (Gopal et al.,
// "Fast CRC Computation for iSCSI Polynomial Using CRC32 Instruction", Intel 2011).
constexpr std::size_t kLane = 80;  // bytes; three of them are most of a small envelope

// x^power modulo the polynomial, bits reversed.
constexpr std::uint32_t power_of_x(int power) {
  std::uint32_t remainder = 0x80000000U;
  for (; power > 0; --power) remainder = (remainder >> 1) ^ ((remainder & 1) != 0 ? 0x82F63B78U : 0U);
  return remainder;
}

// `lane` moved over 8 * bytes bits, of which the 32 that _mm_crc32_u64 adds and the 1 of a reversed product are left
// out.
template <std::size_t bytes>
__attribute__((target("sse4.2,pclmul"))) std::uint64_t move_over(std::uint64_t lane) {
  constexpr std::uint32_t kFactor = power_of_x(8 * static_cast<int>(bytes) - 33);
  const __m128i product =
      _mm_clmulepi64_si128(_mm_cvtsi64_si128(static_cast<long long>(lane)), _mm_cvtsi64_si128(kFactor), 0);
  return _mm_crc32_u64(0, static_cast<std::uint64_t>(_mm_cvtsi128_si64(product)));
}

__attribute__((target("sse4.2,pclmul"))) std::uint32_t crc32c_sse42(std::uint32_t crc, const void* bytes,
                                                                    std::size_t size) {
  const auto* at = static_cast<const unsigned char*>(bytes);
  auto word_at = [](const unsigned char* place) {
    std::uint64_t word;
    std::memcpy(&word, place, 8);
    return word;
  };
  std::uint64_t wide = ~crc;
  for (; size >= 3 * kLane; size -= 3 * kLane, at += 3 * kLane) {
    std::uint64_t second = 0, third = 0;
    for (std::size_t i = 0; i < kLane; i += 8) {
      wide = _mm_crc32_u64(wide, word_at(at + i));
      second = _mm_crc32_u64(second, word_at(at + kLane + i));
      third = _mm_crc32_u64(third, word_at(at + 2 * kLane + i));
    }
    wide = move_over<2 * kLane>(wide) ^ move_over<kLane>(second) ^ third;
  }
  for (; size >= 8; size -= 8, at += 8) wide = _mm_crc32_u64(wide, word_at(at));
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
const bool kHasInstructions = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
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
  if (kHasInstructions) return crc32c_sse42(crc, bytes, size);
#endif
  return crc32c_portable(crc, bytes, size);
}

std::uint64_t hash64(std::uint64_t seed, std::string_view bytes) {
  constexpr std::uint64_t kOdd1 = 0x9E3779B97F4A7C15, kOdd2 = 0xD6E8FEB86659FD93;
  std::uint64_t state = seed ^ bytes.size() * kOdd2;
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
