// AppendQueue: what this server has for an engine elsewhere, on its way there and back.
//
// The server's thread pushes submissions; whoever speaks with the engine takes all that wait, together, and gives them
// back when it is known what became of them. The order of taking is the order of pushing. There is nothing to take
// while some are away; and after many, no more for kGatherTime, because what travels together costs the engine much
// less.
//
// Errors: overloaded, when so much waits that the engine must be too slow, or there is no memory to send it.
//
// Thread safety: take and finish from any thread; push from the server's thread, where also `done` is called.
#pragma once

#include <sys/eventfd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/file_descriptor.hpp"
#include "core/status.hpp"
#include "core/submission.hpp"
#include "server/owned_submission.hpp"

namespace polyglot::server {

inline constexpr std::size_t kMaxAppendsWaiting = 100'000;                   // events
inline constexpr std::size_t kMaxAppendBytesWaiting = std::size_t{1} << 28;  // of requests

inline constexpr std::size_t kManyAppends = 8;  // events
inline constexpr std::chrono::microseconds kGatherTime{100};

class AppendQueue {
 public:
  // Ok: the engine was asked, and what became of each event stands in the submission. Else nothing is known of any.
  using Done = std::function<void(const core::Status&, core::Submission&)>;
  struct Waiting {
    OwnedSubmission owned;
    Done done;
  };

  explicit AppendQueue(boost::asio::io_context& io);

  // Called when there is something to take; whether it was taken, so that nobody else is woken.
  std::function<bool()> sends;
  // Any thread: readable when there may be something to take.
  int fd() const { return signal_.get(); }
  // What is refused is not taken.
  core::Status push(OwnedSubmission&& owned, Done done);
  void signal() { static_cast<void>(eventfd_write(fd(), 1)); }
  // Nothing, or what finish() is called with, once.
  std::vector<Waiting> take();
  void finish(std::vector<Waiting> finished, const core::Status& status);
  // The same where there is no memory to pack them, so that nothing was sent.
  void refuse(std::vector<Waiting> refused);

 private:
  enum class State : std::uint8_t {
    idle,       // nothing waits
    gathering,  // until the timer is over
    asked       // signalled, and then away
  };
  void ask();
  void gather();
  bool is_empty();

  boost::asio::io_context& io_;
  boost::asio::steady_timer timer_;
  State state_ = State::idle;  // the server's thread alone
  core::FileDescriptor signal_;
  std::mutex mutex_;
  std::vector<Waiting> waiting_;
  bool offered_ = false;  // it may be taken
  // Pushed and not finished; the server's thread alone.
  std::size_t events_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace polyglot::server
