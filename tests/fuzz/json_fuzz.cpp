// Any bytes as JSON: what is accepted slices and re-checks, and simdjson's DOM parser is of the same opinion.
#include <simdjson.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/json.hpp"
#include "require.hpp"

namespace polyglot::core {
namespace {

void check_slices(std::string_view text, bool accepted) {
  JsonCursor cursor(text);
  std::string_view slice;
  const bool whole = cursor.value(slice) && cursor.end();
  require(whole == accepted, "the cursor agrees with check_json");
  if (accepted) {
    require(check_json(slice).ok(), "the slice of an accepted text is accepted");
  }
}

void check_string(std::string_view text) {
  JsonCursor cursor(text);
  std::string_view quoted;
  if (!cursor.string(quoted)) {
    return;
  }
  const std::string meaning = unescape(quoted);
  require(check_utf8(meaning).ok(), "what a string stands for is UTF-8");
  std::string again;
  append_json_string(again, meaning);
  require(check_json(again).ok(), "a written string is JSON");
  require(unescape(again) == meaning, "a written string stands for the same text");
}

// How many arrays and objects are open at once.
int depth(const simdjson::dom::element& element) {
  int deepest = 0;
  if (element.is_array()) {
    for (const simdjson::dom::element child : element.get_array()) {
      deepest = std::max(deepest, depth(child));
    }
    return deepest + 1;
  }
  if (element.is_object()) {
    for (const auto& member : element.get_object()) {
      deepest = std::max(deepest, depth(member.value));
    }
    return deepest + 1;
  }
  return 0;
}

void compare_with_simdjson(std::string_view text, bool accepted) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) {
    require(!accepted, "a byte order mark is refused");
    return;
  }
  static simdjson::dom::parser parser;
  simdjson::dom::element root;
  const simdjson::error_code other = parser.parse(simdjson::padded_string(text)).get(root);
  if (other == simdjson::SUCCESS) {
    require(accepted == (depth(root) <= kMaxDepth), "what simdjson accepts is accepted unless it is too deep");
  } else if (accepted) {
    require(other == simdjson::NUMBER_ERROR, "simdjson refuses of what is accepted only numbers beyond its range");
  }
}

}  // namespace
}  // namespace polyglot::core

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace polyglot::core;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Status status = check_json(text);
  if (!status.ok()) {
    require(status.code() == Code::invalid_json, "the code is invalid_json");
    require(status.position() >= 0 && status.position() <= static_cast<std::int64_t>(size),
            "the position is in the text");
    require(check_json(problem_json(status)).ok(), "the error is JSON itself");
  }
  if (check_utf8(text).ok()) {
    check_slices(text, status.ok());
    check_string(text);
  } else {
    require(!status.ok(), "what is not UTF-8 is not JSON");
  }
  compare_with_simdjson(text, status.ok());
  return 0;
}
