// CRC32C (Castagnoli, RFC 3720 appendix B.4), which guards records against a disk that lost part of them, and a quick
// 64-bit hash for tables.
//
// Thread safety: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace polyglot::core {

// The CRC of everything that gave `crc` followed by these bytes; start with 0. Uses the processor's instruction if it
// has one.
std::uint32_t crc32c(std::uint32_t crc, const void* bytes, std::size_t size);
// The portable way; same answer.
std::uint32_t crc32c_portable(std::uint32_t crc, const void* bytes, std::size_t size);

// Well mixed, the same for every build of this version, not cryptographic.
std::uint64_t hash64(std::uint64_t seed, std::string_view bytes);

}  // namespace polyglot::core
