// Resp: answers and messages as Redis writes them (RESP 2: redis.io, "Redis serialization protocol").
//
// Thread safety: values and pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace polyglot::core {

// How many bytes the first value has, with all that is in it: 0 when its end is not there yet. Nothing when it is no
// RESP 2.
std::optional<std::size_t> resp_size(std::string_view bytes);

// Takes the parts of a whole value off its front. Each says whether the next part is of its kind; if not, it stays.
class RespParts {
 public:
  // REQUIRES: resp_size(value) is value.size().
  explicit RespParts(std::string_view value) : left_(value) {}

  bool take_array(std::size_t& length);
  bool take_text(std::string_view& text);
  // One that is not negative.
  bool take_integer(std::uint64_t& number);
  bool is_end() const { return left_.empty(); }

 private:
  std::string_view left_;
};

}  // namespace polyglot::core
