#include "core/json.hpp"

#include <array>
#include <cstdint>
#include <cstdio>

#include "core/hex.hpp"
#include "core/json_bytes.hpp"

namespace polyglot::core {
namespace {

// What stands at a place of a UTF-8 text, in words.
std::string found_at(std::string_view text, std::size_t position) {
  if (position >= text.size()) {
    return "the end of the text";
  }
  const auto byte = static_cast<unsigned char>(text[position]);
  if (byte < 0x20 || byte == 0x7F) {
    std::array<char, 16> text_of_byte;
    std::snprintf(text_of_byte.data(), text_of_byte.size(), "the byte 0x%02X", static_cast<unsigned>(byte));
    return text_of_byte.data();
  }
  const std::size_t length = byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
  const std::string_view character = text.substr(position, length);
  if (character == "\xEF\xBB\xBF") {
    return "a byte order mark (U+FEFF); send the text without it";
  }
  return std::string("'").append(character).append("'");
}

static_assert(kMaxDepth == 64, "the message says 64");
constexpr const char* kTooDeep = "arrays and objects are nested more than 64 deep";

// The grammar of RFC 8259. Each function gets the place where its production has to begin and gives the place behind
// it, or nullptr after it has noted the trouble. Places travel as arguments and return values to stay in registers.
class Scanner {
 public:
  explicit Scanner(const char* end) : end_(end) {}

  const char* trouble() const { return trouble_; }
  const char* reason() const { return reason_; }
  // Whether the message has to say what was found in place of what was expected.
  bool names_found() const { return names_found_; }

  const char* space(const char* at) const {
    while (at != end_ && is_space(*at)) {
      ++at;
    }
    return at;
  }

  // `depth` is the number of arrays and objects around the value.
  const char* value(const char* at, int depth) {
    if (at == end_) {
      return expected(at, "expected a value");
    }
    switch (*at) {
      case '"':
        return string(at);
      case '{':
        return depth < kMaxDepth ? object(at + 1, depth + 1) : too_deep(at);
      case '[':
        return depth < kMaxDepth ? array(at + 1, depth + 1) : too_deep(at);
      case 't':
        return literal(at, "true", "expected 'true'");
      case 'f':
        return literal(at, "false", "expected 'false'");
      case 'n':
        return literal(at, "null", "expected 'null'");
      case '-':
      case '0':
      case '1':
      case '2':
      case '3':
      case '4':
      case '5':
      case '6':
      case '7':
      case '8':
      case '9':
        return number(at);
      default:
        return expected(at, "expected a value");
    }
  }

  const char* string(const char* at) {
    if (!has(at, '"')) {
      return expected(at, "expected a string");
    }
    ++at;
    for (;;) {
      at = skip_plain(at, end_);
      if (at == end_) {
        return expected(at, "expected '\"' at the end of a string");
      }
      if (*at == '"') {
        return at + 1;
      }
      if (*at != '\\') {
        return expected(at, "expected control characters in a string to be escaped");
      }
      at = escape(at);
      if (at == nullptr) {
        return nullptr;
      }
    }
  }

 private:
  bool has(const char* at, char c) const { return at != end_ && *at == c; }
  bool has_digit(const char* at) const { return at != end_ && is_digit(*at); }

  const char* fail(const char* at, const char* reason) {
    trouble_ = at;
    reason_ = reason;
    return nullptr;
  }
  const char* expected(const char* at, const char* reason) {
    names_found_ = true;
    return fail(at, reason);
  }
  const char* too_deep(const char* at) { return fail(at, kTooDeep); }

  // Behind the '{'.
  const char* object(const char* at, int depth) {
    at = space(at);
    if (has(at, '}')) {
      return at + 1;
    }
    const char* name_expected = "expected '}' or the name of a member in quotes";
    for (;;) {
      if (!has(at, '"')) {
        return expected(at, name_expected);
      }
      at = string(at);
      if (at == nullptr) {
        return nullptr;
      }
      at = space(at);
      if (!has(at, ':')) {
        return expected(at, "expected ':' after the name of a member");
      }
      at = value(space(at + 1), depth);
      if (at == nullptr) {
        return nullptr;
      }
      at = space(at);
      if (has(at, '}')) {
        return at + 1;
      }
      if (!has(at, ',')) {
        return expected(at, "expected ',' or '}' after a member");
      }
      at = space(at + 1);
      name_expected = "expected the name of a member in quotes after ','";
    }
  }

  // Behind the '['.
  const char* array(const char* at, int depth) {
    at = space(at);
    if (has(at, ']')) {
      return at + 1;
    }
    for (;;) {
      at = value(at, depth);
      if (at == nullptr) {
        return nullptr;
      }
      at = space(at);
      if (has(at, ']')) {
        return at + 1;
      }
      if (!has(at, ',')) {
        return expected(at, "expected ',' or ']' after an element");
      }
      at = space(at + 1);
    }
  }

  const char* literal(const char* at, std::string_view word, const char* reason) {
    for (const char c : word) {
      if (!has(at, c)) {
        return expected(at, reason);
      }
      ++at;
    }
    return at;
  }

  const char* number(const char* at) {
    if (*at == '-') {
      ++at;
    }
    if (has(at, '0')) {
      ++at;
      if (has_digit(at)) {
        return expected(at, "expected no digit after the 0 that begins a number");
      }
    } else {
      at = digits(at);
    }
    if (at != nullptr && has(at, '.')) {
      at = digits(at + 1);
    }
    if (at != nullptr && (has(at, 'e') || has(at, 'E'))) {
      ++at;
      at = digits(has(at, '+') || has(at, '-') ? at + 1 : at);
    }
    return at;
  }

  // One at least.
  const char* digits(const char* at) {
    if (!has_digit(at)) {
      return expected(at, "expected a digit");
    }
    while (has_digit(at)) {
      ++at;
    }
    return at;
  }

  // At the '\'.
  const char* escape(const char* at) {
    const char* const kind = at + 1;
    if (kind != end_) {
      switch (*kind) {
        case '"':
        case '\\':
        case '/':
        case 'b':
        case 'f':
        case 'n':
        case 'r':
        case 't':
          return kind + 1;
        case 'u':
          return unicode_escape(at);
        default:
          break;
      }
    }
    return expected(kind, "expected one of \" \\ / b f n r t u after '\\'");
  }

  const char* unicode_escape(const char* at) {
    unsigned unit = 0;
    const char* past = hex4(at + 2, unit);
    if (past == nullptr || unit < 0xD800 || unit > 0xDFFF) {
      return past;
    }
    if (unit >= 0xDC00) {
      return fail(at, "the escape of a low surrogate follows no escape of a high one");
    }
    unsigned low = 0;
    if (has(past, '\\') && has(past + 1, 'u')) {
      past = hex4(past + 2, low);
      if (past == nullptr) {
        return nullptr;
      }
    }
    if (low < 0xDC00 || low > 0xDFFF) {
      return fail(at, "no escape of a low surrogate follows the escape of a high one");
    }
    return past;
  }

  const char* hex4(const char* at, unsigned& unit) {
    for (int i = 0; i < 4; ++i, ++at) {
      const int digit = at == end_ ? -1 : hex_value(*at);
      if (digit < 0) {
        return expected(at, "expected four hex digits after '\\u'");
      }
      unit = unit * 16 + static_cast<unsigned>(digit);
    }
    return at;
  }

  const char* end_;
  const char* trouble_ = nullptr;
  const char* reason_ = nullptr;
  bool names_found_ = false;
};

}  // namespace

Status check_json(std::string_view text) {
  if (Status checked = check_utf8(text); !checked.ok()) {
    return checked;
  }
  JsonCursor cursor(text);
  std::string_view slice;
  if (cursor.value(slice)) {
    cursor.end();
  }
  return cursor.status();
}

bool JsonCursor::fail(std::size_t position, std::string_view reason, bool names_found) {
  std::string message = "Byte " + std::to_string(position);
  message.append(": ").append(reason);
  if (names_found) {
    message.append(", found ").append(found_at(text_, position));
  }
  status_ = Status(Code::invalid_json, message.append("."), static_cast<std::int64_t>(position));
  return false;
}

bool JsonCursor::next_is(char c) {
  if (!status_.ok()) {
    return false;
  }
  while (position_ < text_.size() && is_space(text_[position_])) {
    ++position_;
  }
  return position_ < text_.size() && text_[position_] == c;
}

bool JsonCursor::expect(char c) {
  if (next_is(c)) {
    if (c == '{' || c == '[') {
      if (depth_ == kMaxDepth) {
        return fail(position_, kTooDeep, false);
      }
      ++depth_;
    } else if (c == '}' || c == ']') {
      --depth_;
    }
    ++position_;
    return true;
  }
  if (!status_.ok()) {
    return false;
  }
  // Who asks for the end of an array or object has seen that there is no comma.
  const std::string wanted = c == '}' || c == ']' ? std::string("',' or '") + c + "'" : std::string("'") + c + "'";
  return fail(position_, "expected " + wanted, true);
}

bool JsonCursor::value(std::string_view& slice) {
  if (!status_.ok()) {
    return false;
  }
  Scanner scanner(text_.data() + text_.size());
  const char* const from = scanner.space(text_.data() + position_);
  const char* const past = scanner.value(from, depth_);
  if (past == nullptr) {
    return fail(place(scanner.trouble()), scanner.reason(), scanner.names_found());
  }
  slice = text_.substr(place(from), static_cast<std::size_t>(past - from));
  position_ = place(past);
  return true;
}

bool JsonCursor::string(std::string_view& slice) {
  if (!status_.ok()) {
    return false;
  }
  Scanner scanner(text_.data() + text_.size());
  const char* const from = scanner.space(text_.data() + position_);
  const char* const past = scanner.string(from);
  if (past == nullptr) {
    return fail(place(scanner.trouble()), scanner.reason(), scanner.names_found());
  }
  slice = text_.substr(place(from), static_cast<std::size_t>(past - from));
  position_ = place(past);
  return true;
}

bool JsonCursor::end() {
  next_is('\0');
  if (!status_.ok()) {
    return false;
  }
  return position_ == text_.size() || fail(position_, "expected the end of the text", true);
}

}  // namespace polyglot::core
