// The bytes that fanout sends, in either dialect, and the stamp by which it knows its events again. No I/O; pure.
//
// The event is the one of all benchmarks, 106 bytes, with a stamp for its text. A server may wrap the text but must
// hand it on as it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "options.hpp"

namespace polyglot::load {

// Which event it is, from 1, and when it was sent, in nanoseconds of the clock `now`.
struct Stamp {
  std::uint64_t sequence = 0;
  std::uint64_t sent = 0;
};

// One HTTP request with a place in it for the stamp of each of its events.
struct PublishRequest {
  std::string bytes;
  std::vector<std::size_t> stamps;  // where they are
};

PublishRequest publish_request(const Options& options);

// Writes a stamp over the one that begins at `place`.
void write_stamp(char* place, Stamp stamp);

// The stamp in what a subscriber was sent; none if it is no event of ours. `hint` is where the last one was found.
std::optional<Stamp> find_stamp(std::string_view payload, std::size_t& hint);

// The request that opens a subscriber's WebSocket.
std::string upgrade_request(const Options& options);

// What a subscriber sends then, and at least once in 60 s: Phoenix messages. The other dialect has none.
std::string join_message(const Options& options);
std::string heartbeat_message();

// A client's frame, masked (with zeros, as nothing is hidden here). REQUIRES: a payload of at most 65,535 bytes.
std::string client_frame(std::uint8_t opcode, std::string_view payload);

}  // namespace polyglot::load
