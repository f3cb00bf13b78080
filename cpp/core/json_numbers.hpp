// Numbers in a JSON value, found by JSON Pointers (RFC 6901): `/price`, `/order/total`, `/items/0/qty`; the empty
// pointer is the value itself. All pointers are looked for in one pass over the text.
//
// A number becomes the nearest double, an integer of any size too; one that no double comes near (1e999) counts as
// missing. Of members with the same name the last one counts, as for JavaScript and Python. Strings that look like
// numbers are none, and neither are true and false.
//
// Thread safety: values; one that is made is only read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.hpp"

namespace polyglot::core {

inline constexpr std::size_t kMaxPointerLength = 256;  // bytes
inline constexpr std::size_t kMaxPointers = 16;

class JsonNumbers {
 public:
  JsonNumbers() = default;
  // invalid_parameter when one of them is no JSON Pointer, too long or given twice, or there are more than
  // kMaxPointers.
  static Result<JsonNumbers> parse(const std::vector<std::string>& pointers);

  std::size_t size() const { return size_; }
  // Writes size() numbers to `out`, in the order of the pointers; NaN where there is none. `json` begins with the
  // value; what follows it is not looked at. Of what is no JSON the answer is NaN for all or for some.
  void read(std::string_view json, double* out) const;

 private:
  class Reader;
  // One step of some pointers: what it leads on to, and the pointer that ends here.
  struct Node {
    std::string name;
    std::optional<std::uint64_t> index;  // of an element, if the name stands for one
    std::optional<std::size_t> pointer;
    std::vector<std::size_t> children;
  };

  std::size_t child(std::size_t parent, const std::string& name);

  std::vector<Node> nodes_{1};  // the first is the value itself
  std::size_t size_ = 0;
};

}  // namespace polyglot::core
