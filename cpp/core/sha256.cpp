#include "core/sha256.hpp"

#include <bit>
#include <cstddef>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

#include "core/hex.hpp"

namespace polyglot::core {
namespace {

constexpr std::size_t kBlock = 64;  // bytes
using State = std::array<std::uint32_t, 8>;

// FIPS 180-4 §5.3.3 and §4.2.2.
constexpr State kInitial = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                            0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
alignas(16) constexpr std::array<std::uint32_t, 64> kRounds = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

std::uint32_t load_big_endian(const std::uint8_t* in) {
  static_assert(std::endian::native == std::endian::little);
  std::uint32_t word;
  std::memcpy(&word, in, sizeof word);
  return __builtin_bswap32(word);
}

void store_big_endian(std::uint32_t word, std::uint8_t* out) {
  word = __builtin_bswap32(word);
  std::memcpy(out, &word, sizeof word);
}

// FIPS 180-4 §6.2.2 for one block.
void compress_portable(State& state, const std::uint8_t* block) {
  std::array<std::uint32_t, 64> w;
  for (std::size_t t = 0; t < 16; ++t, block += 4) {
    w[t] = load_big_endian(block);
  }
  for (std::size_t t = 16; t < 64; ++t) {
    const std::uint32_t s0 = std::rotr(w[t - 15], 7) ^ std::rotr(w[t - 15], 18) ^ (w[t - 15] >> 3);
    const std::uint32_t s1 = std::rotr(w[t - 2], 17) ^ std::rotr(w[t - 2], 19) ^ (w[t - 2] >> 10);
    w[t] = w[t - 16] + s0 + w[t - 7] + s1;
  }
  auto [a, b, c, d, e, f, g, h] = state;
  for (std::size_t t = 0; t < 64; ++t) {
    const std::uint32_t sum1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
    const std::uint32_t t1 = h + sum1 + ((e & f) ^ (~e & g)) + kRounds[t] + w[t];
    const std::uint32_t sum0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
    const std::uint32_t t2 = sum0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + t2;
  }
  const State added = {a, b, c, d, e, f, g, h};
  for (std::size_t i = 0; i < state.size(); ++i) {
    state[i] += added[i];
  }
}

using Compress = void (*)(State&, const std::uint8_t*);

#if defined(__x86_64__)

// The same with the SHA extensions, four rounds at a time. The instructions want the state as the two vectors
// (a,b,e,f) and (c,d,g,h), the first letter in the highest lane.
__attribute__((target("sha,sse4.1,ssse3"))) void compress_sha_ni(State& state, const std::uint8_t* block) {
  const __m128i swap_bytes = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
  auto* const words = reinterpret_cast<__m128i*>(state.data());
  const __m128i dcba = _mm_loadu_si128(words);
  const __m128i hgfe = _mm_loadu_si128(words + 1);
  // Lanes are named from the highest to the lowest.
  const __m128i cdab = _mm_shuffle_epi32(dcba, 0xB1);
  const __m128i efgh = _mm_shuffle_epi32(hgfe, 0x1B);
  __m128i abef = _mm_alignr_epi8(cdab, efgh, 8);
  __m128i cdgh = _mm_blend_epi16(efgh, cdab, 0xF0);
  const __m128i abef_before = abef;
  const __m128i cdgh_before = cdgh;

  // The sixteen words of the message schedule that are still needed; group n of four words is in w[n % 4].
  __m128i w[4];
  const auto* const message = reinterpret_cast<const __m128i*>(block);
  const auto* const constants = reinterpret_cast<const __m128i*>(kRounds.data());
#pragma GCC unroll 16
  for (int group = 0; group < 16; ++group) {
    __m128i& current = w[group % 4];
    if (group < 4) {
      current = _mm_shuffle_epi8(_mm_loadu_si128(message + group), swap_bytes);
    } else {
      const __m128i& one_before = w[(group + 3) % 4];
      const __m128i seven_before = _mm_alignr_epi8(one_before, w[(group + 2) % 4], 4);
      current = _mm_sha256msg1_epu32(current, w[(group + 1) % 4]);
      current = _mm_sha256msg2_epu32(_mm_add_epi32(current, seven_before), one_before);
    }
    const __m128i keyed = _mm_add_epi32(current, _mm_load_si128(constants + group));
    cdgh = _mm_sha256rnds2_epu32(cdgh, abef, keyed);
    abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(keyed, 0x0E));
  }
  abef = _mm_add_epi32(abef, abef_before);
  cdgh = _mm_add_epi32(cdgh, cdgh_before);

  const __m128i feba = _mm_shuffle_epi32(abef, 0x1B);
  const __m128i dchg = _mm_shuffle_epi32(cdgh, 0xB1);
  _mm_storeu_si128(words, _mm_blend_epi16(feba, dchg, 0xF0));
  _mm_storeu_si128(words + 1, _mm_alignr_epi8(dchg, feba, 8));
}

bool has_sha_ni() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  constexpr unsigned kSsse3 = 1U << 9;
  constexpr unsigned kSse41 = 1U << 19;
  constexpr unsigned kSha = 1U << 29;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx & kSsse3) == 0 || (ecx & kSse41) == 0) {
    return false;
  }
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ebx & kSha) != 0;
}

Compress best_compress() {
  return has_sha_ni() ? compress_sha_ni : compress_portable;
}

#else

Compress best_compress() {
  return compress_portable;
}

#endif

Digest digest_with(Compress compress, std::string_view bytes) {
  State state = kInitial;
  const std::uint64_t bits = static_cast<std::uint64_t>(bytes.size()) * 8;
  while (bytes.size() >= kBlock) {
    compress(state, reinterpret_cast<const std::uint8_t*>(bytes.data()));
    bytes.remove_prefix(kBlock);
  }
  // FIPS 180-4 §5.1.1: a one bit, zeros, and the length in bits as the last eight bytes of a block.
  std::array<std::uint8_t, 2 * kBlock> tail{};
  if (!bytes.empty()) {
    std::memcpy(tail.data(), bytes.data(), bytes.size());
  }
  tail[bytes.size()] = 0x80;
  const std::size_t length = bytes.size() < kBlock - 8 ? kBlock : 2 * kBlock;
  store_big_endian(static_cast<std::uint32_t>(bits >> 32), &tail[length - 8]);
  store_big_endian(static_cast<std::uint32_t>(bits), &tail[length - 4]);
  for (std::size_t at = 0; at < length; at += kBlock) {
    compress(state, &tail[at]);
  }
  Digest digest;
  for (std::size_t i = 0; i < state.size(); ++i) {
    store_big_endian(state[i], &digest[4 * i]);
  }
  return digest;
}

}  // namespace

Digest sha256(std::string_view bytes) {
  static const Compress compress = best_compress();
  return digest_with(compress, bytes);
}

Digest sha256_portable(std::string_view bytes) {
  return digest_with(compress_portable, bytes);
}

bool parse_digest(std::string_view hex, Digest& digest) {
  if (hex.size() != 2 * digest.size()) {
    return false;
  }
  Digest read{};
  for (std::size_t i = 0; i < hex.size(); ++i) {
    const int value = hex_value(hex[i]);
    if (value < 0) {
      return false;
    }
    read[i / 2] = static_cast<std::uint8_t>(read[i / 2] << 4 | value);
  }
  digest = read;
  return true;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned char difference = 0;  // as small as what is compared, so that many are at once
  for (std::size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  return difference == 0;
}

bool equal_in_constant_time(const Digest& a, const Digest& b) {
  std::array<std::uint32_t, 8> left;
  std::array<std::uint32_t, 8> right;
  std::memcpy(left.data(), a.data(), a.size());
  std::memcpy(right.data(), b.data(), b.size());
  std::uint32_t difference = 0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    difference |= left[i] ^ right[i];
  }
  return difference == 0;
}

}  // namespace polyglot::core
