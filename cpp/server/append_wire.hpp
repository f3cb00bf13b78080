// AppendWire: takes what waits in the AppendQueue to Redis itself, over a connection that somebody else has made.
//
// It knows the plain course alone: everything is sent, and Redis has kept it. Whatever is different it leaves to who
// lent the connection: a channel that may not be in its app's list, an answer that is none or begins a new life, a
// connection that breaks or is silent for too long, after which it has no connection any more.
//
// Thread safety: lend, revoke, listed, is_lent and take from any thread; the rest is the server's thread's.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/append_calls.hpp"
#include "core/gateway.hpp"
#include "server/append_queue.hpp"

namespace polyglot::server {

inline constexpr std::size_t kMostListed = 100'000;  // channels that are known to be in their apps' lists

class AppendWire {
 public:
  using Waiting = std::vector<AppendQueue::Waiting>;
  // What it took, and others have to bring to an end.
  struct Left {
    Waiting waiting;
    std::shared_ptr<core::AppendCalls> calls;  // of all that
    bool sent = false;                         // Redis may have done it
    std::string answers = {};                  // that came, as they came
    std::string trouble = {};                  // why no more will come; empty when all are there
  };

  AppendWire(boost::asio::io_context& io, core::Gateway& gateway, AppendQueue& queue);

  // Sends by a copy of `fd`, on which nobody has anything to come and nobody else reads or writes, and waits so long
  // for answers. std::system_error when there are no descriptors left.
  void lend(int fd, core::RedisLayout layout, std::chrono::milliseconds answer_time);
  // Nothing is sent from now on. The answers to what is away are waited for, and then there is no connection any more.
  void revoke();
  bool is_lent() const { return lent_.load(std::memory_order_acquire); }
  // The channel is in its app's list for so long.
  void listed(std::string_view app, std::string_view channel, std::chrono::milliseconds time);
  std::optional<Left> take();

  // Takes what waits; false when it has no connection.
  bool send();

 private:
  using Clock = std::chrono::steady_clock;

  // Of what is away makes the calls and what is written. std::bad_alloc.
  void pack();
  void wait_to_read();
  void wait_to_write();
  void wait_for_deadline();
  void read();
  void write();
  // All answers are here.
  void finish();
  bool settle();
  void give_up(std::string trouble);
  void leave(std::string trouble);
  bool knows_all(const core::AppendCalls& calls);

  boost::asio::io_context& io_;
  core::Gateway& gateway_;
  AppendQueue& queue_;
  std::atomic<bool> lent_{false};
  boost::asio::posix::stream_descriptor connection_;
  boost::asio::steady_timer timer_;
  bool timer_runs_ = false;
  core::RedisLayout layout_;
  std::chrono::milliseconds answer_time_{0};

  Waiting away_;
  std::shared_ptr<core::AppendCalls> calls_;  // null when nothing is away
  Clock::time_point sent_at_;
  Clock::time_point deadline_;
  std::string out_;
  std::size_t written_ = 0;
  std::string in_;
  std::size_t answered_ = 0;  // calls
  std::size_t answered_bytes_ = 0;

  std::mutex mutex_;
  std::optional<Left> left_;
  std::unordered_map<std::string, Clock::time_point> listed_;  // by "app/channel"
};

}  // namespace polyglot::server
