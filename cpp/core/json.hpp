// Strict JSON: RFC 8259 on every byte, nothing more and nothing less.
//
// A text is accepted exactly when it is UTF-8 without a byte order mark, obeys the grammar of RFC 8259 to its last
// byte, nests at most kMaxDepth deep and has no lone surrogate escape (RFC 8259 §8.2 leaves those open; they cannot be
// written as UTF-8, so we refuse them). Numbers are checked, never converted: an integer of a thousand digits stays as
// it was sent. Values are handed out as slices of the text, so what was sent is what is kept.
//
// UTF-8 is checked by simdjson for the whole text at once; the grammar by one scalar pass that knows the byte position
// of each error. (simdjson's own parsers refuse integers beyond 64 bits or, lazily, accept what they did not look at.)
//
// Thread safety: stateless functions and a cursor that belongs to its user. Slices live as long as the text.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/json_text.hpp"
#include "core/status.hpp"
#include "core/utf8.hpp"

namespace polyglot::core {

inline constexpr int kMaxDepth = 64;

// Ok, or invalid_json with the position of the first wrong byte. Malformed UTF-8 anywhere is reported before the
// grammar.
Status check_json(std::string_view text);

// Reads one JSON text from front to back. Each call either succeeds and moves on, or returns false and leaves the
// reason in status(); after the first failure every call returns false. Arrays and objects entered by expect count for
// the depth.
//
// REQUIRES: the text, from byte `from` on, passed check_utf8.
class JsonCursor {
 public:
  explicit JsonCursor(std::string_view text, std::size_t from = 0) : text_(text), position_(from) {}

  // Moves over white space (RFC 8259 §2) and says whether the next byte is `c`; does not consume it.
  bool next_is(char c);
  // Consumes white space, then exactly `c`, else fails. Where a closing bracket is missing the message offers a comma
  // too, so ask for one only after next_is(',').
  bool expect(char c);
  // Consumes one whole value of any kind; `slice` is that value without the white space around it.
  bool value(std::string_view& slice);
  // Consumes one string; `slice` is it with its quotes, escapes untouched.
  bool string(std::string_view& slice);
  // Consumes white space and fails unless the text ends there.
  bool end();

  std::size_t position() const { return position_; }
  const Status& status() const { return status_; }

 private:
  bool fail(std::size_t position, std::string_view reason, bool names_found);
  std::size_t place(const char* at) const { return static_cast<std::size_t>(at - text_.data()); }

  std::string_view text_;
  std::size_t position_;
  int depth_ = 0;
  Status status_;
};

}  // namespace polyglot::core
