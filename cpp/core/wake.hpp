// Waking workers: one named pipe per worker slot in DATA_DIR/wake, which its worker reads and anybody who appends may
// write.
//
// A worker that has nothing left to do sets its bit in Header::sleeping, looks once more, and waits on its pipe.
// Whoever appends anything clears the bits and writes each of them one byte. A pipe by name outlives both sides and
// needs no descriptor passing. A writer killed between its commit and the byte wakes nobody: so workers wait a second
// at most.
//
// Thread safety: Waker may be used from several threads; a WakePipe belongs to one.
#pragma once

#include <array>
#include <atomic>
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

  // Wakes all workers that sleep; returns how many. Call it after the append, without the lock.
  unsigned wake() {
    // The append has to be visible before the look at who sleeps; pairs with the fence in Feed::poll. On x86-64 the
    // unlock after the append was such a fence already, as every locked instruction is.
#if !defined(__x86_64__)
    std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
    return segment_.map().header().sleeping.load(std::memory_order_relaxed) == 0 ? 0 : wake_sleepers();
  }

 private:
  unsigned wake_sleepers();
  int pipe(std::uint32_t worker);

  const Segment& segment_;
  std::array<std::atomic<int>, kMaxWorkers> pipes_;
};

}  // namespace polyglot::core
