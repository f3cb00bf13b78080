// ProcessQueue: what this server has for a processor, on its way there and back.
//
// While a batch is away, what comes gathers, because what travels together costs less. It goes when the batch is back,
// when it has become much, or when the batch takes long, which then is in nobody else's way. What is of a channel that
// is away waits for it to come back: so the events of a channel are processed in their order, and kept in it.
//
// Errors: overloaded, when so much waits that the processor must be too slow.
//
// Thread safety: take and finish from any thread; push from the server's thread, where also `done` is called.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_set>
#include <vector>

#include "core/event.hpp"
#include "core/file_descriptor.hpp"
#include "core/gateway.hpp"
#include "core/process_call.hpp"
#include "core/status.hpp"
#include "server/grpc_session.hpp"
#include "server/owned_submission.hpp"

namespace polyglot::server {

inline constexpr std::size_t kMaxProcessWaiting = 100'000;                    // events, those that are away too
inline constexpr std::size_t kMaxProcessBytesWaiting = std::size_t{1} << 28;  // of requests
inline constexpr std::size_t kMostToProcess = core::kMaxBatchEvents;          // events of a batch
inline constexpr std::size_t kManyToProcess = 250;                            // events that wait for no batch
inline constexpr std::size_t kFewToProcess = 8;                      // events of a batch after which more come at once
inline constexpr std::chrono::microseconds kProcessGatherTime{200};  // for these
inline constexpr std::chrono::milliseconds kProcessPatience{5};      // with a batch that is away

class ProcessQueue {
 public:
  // The verdicts stand in the submission.
  using Done = std::function<void(OwnedSubmission)>;
  // The channels of events that are to be processed, as hashes: two of the same wait for each other, and no harm is
  // done.
  using Places = std::vector<std::size_t>;
  struct Waiting {
    OwnedSubmission owned;
    Done done;
    Places places;
    std::size_t events;  // all of its events, before some were refused
  };
  // What came of a batch that was sent, and is to be settled by whoever takes it.
  struct Answer {
    std::size_t way;         // by which
    std::int64_t admission;  // of the way's circuit breaker
    GrpcAnswer answer;
    std::chrono::nanoseconds time;  // until it came
  };
  struct Batch {
    std::vector<Waiting> waiting;
    std::shared_ptr<core::ProcessCall> call;  // of all that
    std::optional<Answer> answer = {};
  };

  using Clock = std::chrono::steady_clock;
  using Now = Clock::time_point (*)();

  // Asked for a batch before it is given out; true when it has taken it. None to begin with.
  std::function<bool(const std::shared_ptr<Batch>&)> sends;

  // At most `most_away` batches are given out at a time.
  ProcessQueue(boost::asio::io_context& io, core::Gateway& gateway, std::size_t most_away, Now now = Clock::now);

  // Any thread: readable when there may be something to take.
  int fd() const { return signal_.get(); }
  // Those that the rules want processed; empty when there are none.
  Places places_of(const core::Submission& submission) const;
  // `places` are its own, and not empty.
  core::Status push(OwnedSubmission owned, Places places, Done done);
  // Null, or what finish() is called with, once, when its call is finished.
  std::shared_ptr<Batch> take();
  // For take(): a batch that `sends` has taken. The server's thread alone.
  void give(std::shared_ptr<Batch> batch);
  // What it had is the server's thread's again, whoever still holds the batch.
  void finish(const std::shared_ptr<Batch>& batch);

 private:
  // Gives out what may go.
  void look();
  void look_at(Clock::time_point time);
  std::shared_ptr<Batch> next();
  bool is_held_up(const Waiting& one) const;
  void take_back(Batch& batch);
  void let_go_of(const Waiting& one);

  boost::asio::io_context& io_;
  core::Gateway& gateway_;
  const std::size_t most_away_;
  const Now now_;
  boost::asio::steady_timer timer_;
  bool timer_runs_ = false;
  std::deque<Waiting> waiting_;
  std::size_t waiting_events_ = 0;
  std::unordered_set<std::size_t> places_away_;
  // The first of those that wait have to wait for places that are away, or for each other. Nobody looks at them again
  // before one of their places is back, however many they are.
  std::size_t held_up_ = 0;
  std::size_t held_up_events_ = 0;
  std::unordered_set<std::size_t> places_held_up_;
  std::size_t batches_away_ = 0;
  Clock::time_point patience_ends_;  // with the batch that went last
  Clock::time_point gather_ends_;
  // Pushed and not finished.
  std::size_t events_ = 0;
  std::size_t bytes_ = 0;

  core::FileDescriptor signal_;
  std::mutex mutex_;
  std::deque<std::shared_ptr<Batch>> given_;
};

}  // namespace polyglot::server
