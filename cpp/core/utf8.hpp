// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing beyond U+10FFFF.
//
// Thread safety: pure functions.
#pragma once

#include <cstddef>
#include <string_view>

#include "core/status.hpp"

namespace polyglot::core {

// Ok, or invalid_json with the position of the first byte that begins no well-formed sequence. Only what stands at or
// after `from` is checked; positions count from the start of `text`.
Status check_utf8(std::string_view text, std::size_t from = 0);

}  // namespace polyglot::core
