// Request ids: the caller's own, when it is fit to be logged, else 32 random hex digits.
//
// Thread safety: of an object, one thread at a time.
#pragma once

#include <cstdint>
#include <string_view>

namespace polyglot::server {

class RequestIds {
 public:
  static constexpr std::size_t kLength = 32;

  // Seeded by the kernel.
  RequestIds();

  // `given` if it is 1-128 of A-Z a-z 0-9 . _ -, else a new one, which lasts until the next call.
  std::string_view choose(std::string_view given);

 private:
  std::uint64_t state_[2];
  char text_[kLength];
};

}  // namespace polyglot::server
