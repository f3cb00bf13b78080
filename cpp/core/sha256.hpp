// SHA-256 (FIPS 180-4).
//
// Thread safety: pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace polyglot::core {

using Digest = std::array<std::uint8_t, 32>;
// Uses the processor's SHA instructions where it has them.
Digest sha256(std::string_view bytes);
// The portable way, for processors without them; same answer.
Digest sha256_portable(std::string_view bytes);
// False unless hex is exactly 64 hex digits.
bool parse_digest(std::string_view hex, Digest& digest);
bool equal_in_constant_time(const Digest& a, const Digest& b);
// In a time that depends on the lengths only.
bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace polyglot::core
