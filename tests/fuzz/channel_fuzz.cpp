// Any bytes as names, and as a pattern and a name: the matcher agrees with the definition of a pattern.
#include <array>
#include <cstdint>
#include <string_view>

#include "core/channel.hpp"
#include "core/json.hpp"
#include "require.hpp"

namespace polyglot::core {
namespace {

// By a table of what each end of the pattern matches of each end of the name.
bool matches_by_definition(std::string_view pattern, std::string_view name) {
  static std::array<std::array<bool, kMaxChannelLength + 1>, kMaxChannelLength + 1> match;
  for (std::size_t p = pattern.size() + 1; p-- > 0;) {
    for (std::size_t n = name.size() + 1; n-- > 0;) {
      if (p == pattern.size()) {
        match[p][n] = n == name.size();
      } else if (pattern[p] == '*') {
        match[p][n] = match[p + 1][n] || (n < name.size() && match[p][n + 1]);
      } else {
        match[p][n] = n < name.size() && pattern[p] == name[n] && match[p + 1][n + 1];
      }
    }
  }
  return match[0][0];
}

}  // namespace
}  // namespace polyglot::core

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace polyglot::core;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string_view first = text.substr(0, text.find('\n'));
  const std::string_view second = first.size() < size ? text.substr(first.size() + 1) : std::string_view();

  const Result<ChannelPattern> pattern = ChannelPattern::parse(first);
  for (const Status& status : {check_app(first), check_channel(first), pattern.ok() ? Status() : pattern.status()}) {
    require(status.ok() || check_json(problem_json(status)).ok(), "the error is JSON");
  }
  require(!check_app(first).ok() || check_channel(first).ok(), "an app id would do as the name of a channel");
  require(!check_channel(first).ok() || pattern.ok(), "every name is a pattern");
  if (pattern.ok() && second.size() <= kMaxChannelLength) {
    require(pattern->matches(second) == matches_by_definition(first, second), "the matcher agrees with the definition");
  }
  if (check_channel(first).ok()) {
    require(pattern->matches(first), "a name matches itself");
  }
  return 0;
}
