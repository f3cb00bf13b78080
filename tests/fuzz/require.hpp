// What a fuzzer holds to be true whatever the bytes are.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace polyglot::core {

// Ends the process when `truth` is false, so that the fuzzer keeps the input.
inline void require(bool truth, const char* what) {
  if (!truth) {
    std::fprintf(stderr, "does not hold: %s\n", what);
    std::abort();
  }
}

}  // namespace polyglot::core
