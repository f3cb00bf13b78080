// Of segment.hpp: the lock, who has the file open, and what brings changes to the disk.
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <system_error>

#include "core/counters.hpp"
#include "core/recovery.hpp"
#include "core/segment.hpp"

namespace polyglot::core {
namespace {

constexpr long kSecondNs = 1'000'000'000;
constexpr long kLookAgainNs = 50'000'000;

}  // namespace

Status Segment::sync(std::uint64_t position) {
  Header& header = map_.header();
  if (header.synced.load(std::memory_order_acquire) >= position) return {};
  pthread_mutex_t* mutex = mutex_in(header.sync_lock);
  if (const int outcome = lock(mutex); outcome != 0) take_over(mutex, outcome, false);
  Status status;
  if (header.synced.load(std::memory_order_acquire) < position) {
    const std::uint64_t head = header.head.load(std::memory_order_acquire);
    // A second flush after one that failed would succeed without what the first has lost.
    if (header.disk_refused == 0 && fdatasync(file_.get()) == 0) {
      header.synced.store(head, std::memory_order_release);
    } else {
      if (header.disk_refused.exchange(1) != 0) errno = EIO;
      status = Status(Code::engine_unavailable,
                      "The disk did not take the event: " + std::generic_category().message(errno) +
                          ". It may still be delivered; send it again with its idempotency key.");
    }
  }
  pthread_mutex_unlock(mutex);
  return status;
}

std::uint32_t Segment::workers() const {
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < kMaxWorkers; ++i) count += alive(i) ? 1 : 0;
  return count;
}

bool Segment::lives(std::uint64_t incarnation) const {
  for (std::uint32_t i = 0; i < kMaxWorkers; ++i) {
    if (map_.worker(i).incarnation.load(std::memory_order_acquire) == incarnation && alive(i)) return true;
  }
  return false;
}

// A wake-up can be lost: with one who was woken and is killed before it has the lock, or with a holder who is killed
// between letting go and waking. Then the lock is free, and nobody knows that others sleep.
int Segment::lock(pthread_mutex_t* mutex) {
  int outcome = pthread_mutex_trylock(mutex);
#if defined(__SANITIZE_THREAD__)
  // It does not know that one who waits with a time limit may take over from a dead holder.
  for (; outcome == EBUSY; outcome = pthread_mutex_trylock(mutex)) sched_yield();
#endif
  while (outcome == EBUSY || outcome == ETIMEDOUT) {
    timespec until{};
    clock_gettime(CLOCK_MONOTONIC, &until);  // the other one may be set back by hours while somebody waits
    until.tv_nsec += kLookAgainNs;
    if (until.tv_nsec >= kSecondNs) {
      until.tv_nsec -= kSecondNs;
      ++until.tv_sec;
    }
    outcome = pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &until);
  }
  return outcome;
}

void Segment::take_over(pthread_mutex_t* mutex, int outcome, bool to_repair) const {
  if (outcome != EOWNERDEAD) std::abort();  // to go on without the lock would be to write over others
  if (to_repair) {
    repair(map_);
    Counters(map_, worker_).add(Counter::repairs);
  }
  pthread_mutex_consistent(mutex);
}

}  // namespace polyglot::core
