// Waking workers: one named pipe per worker slot in DATA_DIR/wake, which its worker reads and anybody who appends may
// write.
//
// A worker that has nothing left to do sets its bit in Header::sleeping, looks once more, and waits on its pipe.
// Whoever appends clears the bits of those sleepers that watch what was appended (WorkerSlot::watched), and writes each
// of them one byte; the others sleep on. A pipe by name outlives both sides and needs no descriptor passing. A writer
// killed between its commit and the byte wakes nobody: so workers wait a second at most.
//
// Order. Two things must not be missed, and each is a pair of a store and a load on either side with a fence between
// (Dekker), of which at least one load sees the other's store:
//   going to sleep     set the sleeping bit, FENCE, look at the head   |  move the head, FENCE, look at the sleeping
//   bits beginning a watch  set the channel's bit, FENCE, read its history  |  commit, FENCE, look at the channel's bit
// So an event that a watcher does not find in history wakes it, if it sleeps.
//
// Thread safety: Waker may be used from several threads; a WakePipe belongs to one.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>

#include "core/segment.hpp"

namespace polyglot::core {

class WakePipe {
 public:
  // storage_unusable when the pipe can't be made.
  static Result<WakePipe> open(const Segment& segment);
  int fd() const { return pipe_.get(); }
  // Empties the pipe.
  void drain();

 private:
  explicit WakePipe(FileDescriptor pipe) : pipe_(std::move(pipe)) {}
  FileDescriptor pipe_;
};

class Waker {
 public:
  explicit Waker(const Segment& segment);
  ~Waker();
  Waker(const Waker&) = delete;
  Waker& operator=(const Waker&) = delete;

  // Wakes the workers that sleep and watch one of these channels (ChannelKey::hash); returns how many. Call it after
  // the append, without the lock.
  unsigned wake(std::span<const std::uint64_t> channels) { return anybody_sleeps() ? wake_sleepers(&channels) : 0; }
  // Wakes all workers that sleep.
  unsigned wake_all() { return anybody_sleeps() ? wake_sleepers(nullptr) : 0; }

 private:
  bool anybody_sleeps() const {
    // The append has to be visible before the look at who sleeps and what they watch; pairs with the fences in
    // Feed::poll and Feed::watch. On x86-64 the unlock after the append was such a fence already, as every locked
    // instruction is.
#if !defined(__x86_64__)
    std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
    return segment_.map().header().sleeping.load(std::memory_order_relaxed) != 0;
  }
  // Without `channels`: all.
  unsigned wake_sleepers(const std::span<const std::uint64_t>* channels);
  int pipe(std::uint32_t worker);

  const Segment& segment_;
  std::array<std::atomic<int>, kMaxWorkers> pipes_;
};

}  // namespace polyglot::core
