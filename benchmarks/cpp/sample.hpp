// The event that every benchmark publishes.
#pragma once

#include <string_view>

namespace polyglot::core {

inline constexpr std::string_view kSampleBody =
    R"({"type": "message", "data": {"text": "Hello, everybody in this room; the meeting begins at noon, today."}})";
static_assert(kSampleBody.size() == 106);

}  // namespace polyglot::core
