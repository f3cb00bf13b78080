// Waiting on a descriptor, never longer than a test may last.
#pragma once

#include <poll.h>

namespace polyglot::core::testing {

// Readable now?
inline bool readable(int fd) {
  pollfd wanted{.fd = fd, .events = POLLIN, .revents = 0};
  return poll(&wanted, 1, 0) == 1;
}

// Readable within ten seconds?
inline bool becomes_readable(int fd) {
  pollfd wanted{.fd = fd, .events = POLLIN, .revents = 0};
  return poll(&wanted, 1, 10'000) == 1;
}

}  // namespace polyglot::core::testing
