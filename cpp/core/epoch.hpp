// Epochs: the number that changes when a channel's past is gone, written as 16 lower-case hex digits.
//
// Thread safety: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace polyglot::core {

inline constexpr std::size_t kEpochLength = 16;

// Writes exactly kEpochLength characters.
void write_epoch(std::uint64_t epoch, char* out);
std::string epoch_text(std::uint64_t epoch);
// False unless text is exactly 16 hex digits of either case.
bool parse_epoch(std::string_view text, std::uint64_t& epoch);

}  // namespace polyglot::core
