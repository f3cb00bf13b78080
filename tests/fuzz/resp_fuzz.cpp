// Any bytes as RESP: a value that is whole stays so whatever follows it, its beginnings are never whole, and its parts
// lie within it.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/resp.hpp"
#include "require.hpp"

namespace polyglot::core {
namespace {

void check(std::string_view bytes) {
  const auto size = resp_size(bytes);
  if (!size || *size == 0) return;
  require(*size <= bytes.size(), "a value ends where the bytes end");
  const std::string_view value = bytes.substr(0, *size);
  require(resp_size(value) == size, "what follows changes nothing");
  require(resp_size(value.substr(0, value.size() / 2)) == std::size_t{0}, "half of it is not whole");
  RespParts parts(value);
  std::size_t taken = 0;
  std::size_t length = 0;
  std::uint64_t number = 0;
  std::string_view text;
  while (parts.take_array(length) || parts.take_integer(number) || parts.take_text(text)) {
    require(text.empty() || (text.data() >= value.data() && text.data() + text.size() <= value.data() + value.size()),
            "a text lies in the value");
    require(++taken <= value.size(), "each part takes something");
  }
}

}  // namespace
}  // namespace polyglot::core

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  polyglot::core::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
