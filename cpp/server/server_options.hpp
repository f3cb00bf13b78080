// What the server is told at its start, and its time limits.
//
// Thread safety: values.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace polyglot::server {

struct ServerOptions {
  std::size_t max_batch_bytes = 1'048'576;     // of a batch, a broadcast, or what the application takes
  std::vector<std::string> cors_origins = {};  // of pages that may read answers and open sockets
  std::vector<std::string> trusted_proxies = {};
  std::size_t max_connections = 100'000;  // beyond it new ones wait in the listener's queue
  bool asks_python = false;               // a hook is asked first of all that needs a credential
  // What is published goes elsewhere, the history here is a copy, and workers tell each other of presence through
  // Python.
  bool engine_elsewhere = false;
  bool processes = false;           // a processor sees events before they are kept
  std::size_t most_processed = 20;  // batches of them at a time
  bool local_pages = false;         // pages of this machine may open sockets, on whatever port they are
};

// In milliseconds.
inline constexpr std::int64_t kHeaderTime = 10'000;    // from the first byte of a request to the end of its header
inline constexpr std::int64_t kBodyTime = 30'000;      // from there to the end of its body
inline constexpr std::int64_t kIdleTime = 75'000;      // between requests, and between messages of a socket
inline constexpr std::int64_t kWriteTime = 30'000;     // a reader that takes nothing for so long is cut off
inline constexpr std::int64_t kLingerTime = 2'000;     // for the client to read why it is cut off
inline constexpr std::int64_t kDrainIdleTime = 5'000;  // an idle connection is kept so long once the server stops

}  // namespace polyglot::server
