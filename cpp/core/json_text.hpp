// Texts and the JSON strings that stand for them (RFC 8259 §7).
//
// Thread safety: pure functions.
#pragma once

#include <string>
#include <string_view>

namespace polyglot::core {

// The text that a JSON string stands for. REQUIRES: `quoted` was handed out by JsonCursor::string.
std::string unescape(std::string_view quoted);

// Appends `text` as a JSON string with quotes. REQUIRES: `text` is UTF-8.
void append_json_string(std::string& out, std::string_view text);

}  // namespace polyglot::core
