// One round of load: opens the subscribers, publishes for a while, and waits until all has come or nothing comes any
// more.
//
// Errors: std::runtime_error when the server cannot be reached, refuses something or ends the publisher's connection.
// Thread safety: a value for one thread, which does all the work.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <deque>
#include <memory>

#include "publisher.hpp"
#include "subscriber.hpp"

namespace polyglot::load {

class Round {
 public:
  // Opens the subscribers.
  explicit Round(const Options& options);
  Round(const Round&) = delete;
  Round& operator=(const Round&) = delete;
  ~Round();

  // Publishes, and waits for the rest of the answers and deliveries, for some seconds after the last one of them.
  void publish();
  // Keeps the subscribers until standard input ends.
  void idle();

  const Tally& tally() const { return tally_; }
  // REQUIRES: `publish` was called.
  const Publisher& publisher() const { return *publisher_; }
  // Nanoseconds from the first publish to the last answer or delivery.
  std::uint64_t duration() const { return last_ - first_; }
  // Events that never came, once for each subscriber. With `conflate`: subscribers that did not get the last event.
  std::uint64_t lost() const;

 private:
  void watch(int descriptor, std::uint64_t tag, int operation = EPOLL_CTL_ADD, std::uint32_t events = EPOLLIN) const;
  // Serves what is ready; waits for it for some milliseconds at most.
  void turn();
  void publish_next();
  void publish_due();
  bool all_has_come() const;
  void send_heartbeats();
  void start_timer(std::uint64_t first) const;

  const Options options_;
  Buffer buffer_ = Buffer(2 * kBufferBytes);
  Tally tally_;
  std::deque<Subscriber> subscribers_;
  std::unique_ptr<Publisher> publisher_;
  int epoll_;
  int timer_;
  bool publisher_waits_ = false;  // for the kernel to take more
  bool input_ended_ = false;
  bool publishing_ = false;
  std::uint64_t first_ = 0;
  std::uint64_t last_ = 0;
  std::uint64_t end_ = 0;       // of publishing
  std::uint64_t requests_ = 0;  // sent in the open loop
  std::size_t next_heartbeat_ = 0;
  std::uint64_t heartbeat_due_ = 0;
};

}  // namespace polyglot::load
