// One keep-alive HTTP connection that publishes, pipelined, and times the answers.
//
// Errors: std::runtime_error when it cannot connect, when an answer is not 2xx, and when the connection ends.
// Thread safety: a value for one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "connection.hpp"
#include "histogram.hpp"
#include "message.hpp"
#include "options.hpp"

namespace polyglot::load {

class Publisher {
 public:
  explicit Publisher(const Options& options);

  int descriptor() const { return connection_.descriptor(); }
  bool pending() const { return connection_.pending(); }
  void flush();

  // Sends `requests` requests together. `sent` is the time in their stamps, from which latencies count.
  void publish(std::size_t requests, std::uint64_t sent);
  // Reads once, and takes the answers that are whole.
  void receive(Buffer& buffer);

  // Events that were sent; the number of the newest one.
  std::uint64_t published() const { return published_; }
  // Requests without an answer.
  std::size_t unanswered() const { return sent_.size(); }
  // Latencies of the answers.
  const Histogram& answers() const { return answers_; }

 private:
  Connection connection_;
  PublishRequest request_;
  std::uint64_t published_ = 0;
  std::deque<std::uint64_t> sent_;  // when, of each request without an answer
  Histogram answers_;
  std::string burst_;
};

}  // namespace polyglot::load
