// One WebSocket subscriber: counts what it is sent, by the frame, and looks at nothing but the header and the stamp.
//
// Errors: std::runtime_error when it cannot be opened; afterwards what goes wrong is counted in the Tally.
// Thread safety: a value for one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "connection.hpp"
#include "histogram.hpp"
#include "message.hpp"
#include "options.hpp"

namespace polyglot::load {

// What all subscribers together were sent.
struct Tally {
  std::uint64_t deliveries = 0;    // events, once for each subscriber
  std::uint64_t skipped = 0;       // holes in the numbers that came: events that were followed by a later one
  std::uint64_t out_of_order = 0;  // events that came again, or after a later one
  std::uint64_t closed = 0;        // subscribers that the server cut off
  std::string close_reason;        // of the first of them
  Histogram latency;               // of deliveries, from the stamp to the end of the read
  std::size_t stamp_hint = 0;
};

class Subscriber {
 public:
  // Connects, upgrades and joins, and waits for each answer.
  Subscriber(const Options& options, Buffer& buffer, Tally& tally);

  int descriptor() const { return connection_.descriptor(); }
  bool closed() const { return connection_.closed(); }
  // The number of the newest event that came; 0 at first.
  std::uint64_t newest() const { return newest_; }

  // Reads once, and counts.
  void receive(Buffer& buffer, Tally& tally);
  // Says that it is still there, where the dialect wants it said.
  void heartbeat();

 private:
  void upgrade(const Options& options, Buffer& buffer, Tally& tally);
  void join(const Options& options, Buffer& buffer, Tally& tally);
  // Takes the whole frames from `input`, and keeps the rest. `read_at` is when it came.
  void take(std::string_view input, std::uint64_t read_at, Tally& tally);
  void message(std::string_view payload, std::uint64_t read_at, Tally& tally);

  Connection connection_;
  std::uint64_t newest_ = 0;
  bool phoenix_;
  bool joined_ = false;
};

}  // namespace polyglot::load
