// Counters and latency histograms that live in the segment: each worker adds to its own slot, a reader sums all slots,
// so the totals are those of all workers, living and dead, of the data folder.
//
// Histogram buckets: each power of two of nanoseconds from 2^8 (256 ns) on is cut into 4 equal parts; bucket 0 is all
// below 256 ns, the last one everything from 1.5 * 2^39 ns (14 minutes) on. So a bucket is at most 25 % wide.
//
// Thread safety: all of it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

#include "core/segment_layout.hpp"

namespace polyglot::core {

enum class Counter : std::uint8_t {
  // By app, with add_app().
  publishes,       // acknowledged events, replays not included
  publish_bytes,   // of their envelopes
  deliveries,      // events sent to subscribers, once for each
  delivery_bytes,  // as they were sent, with their frames
  // Of all apps together.
  replays,         // acknowledgements given again for an idempotency key
  history_reads,   // history replies
  follower_reads,  // pages read by followers
  gaps,            // gaps told to readers
  feed_overruns,   // feeds that fell further behind than the log reaches
  wakes,           // sleeping workers woken
  repairs,         // torn states repaired after a writer died
  evictions,       // channels evicted to make room
  forgets,         // pasts forgotten on request
  slow_readers,    // sockets closed because they read too slowly
  spooled,         // acknowledged events that wait, or waited, on this host for their engine
  forwarded,       // of these, those that the engine has got
  spool_full,      // events refused because no more can wait
  responses_1xx,   // HTTP responses by class of status
  responses_2xx,
  responses_3xx,
  responses_4xx,
  responses_5xx,
  worker_starts,      // workers that began to serve
  refused_first = 32  // refusals by code: refused_first + code
};
static_assert(static_cast<std::size_t>(Counter::refused_first) + kCodeCount <= kCounters);
inline constexpr std::size_t kNamedCounters = static_cast<std::size_t>(Counter::worker_starts) + 1;
static_assert(static_cast<std::size_t>(Counter::delivery_bytes) + 1 == kAppCounters);
static_assert(kNamedCounters <= static_cast<std::size_t>(Counter::refused_first));
std::string_view counter_name(Counter counter);

enum class Timer : std::uint8_t {
  publish,    // from the request's bytes until it can be answered
  history,    // of a history reply
  delivery,   // from an event's time until its frame was given to the socket
  processor,  // of a call to the processor
  append,     // from sending events to Redis until it has answered
};
inline constexpr std::size_t kTimers = static_cast<std::size_t>(Timer::append) + 1;
static_assert(kTimers <= kHistograms);
std::string_view timer_name(Timer timer);

class Counters {
 public:
  Counters(const SegmentMap& map, std::uint32_t worker) : map_(map), slot_(&map.worker(worker)) {}

  // REQUIRES: it is no counter by app.
  void add(Counter counter, std::uint64_t n = 1) {
    slot_->counters[static_cast<std::size_t>(counter)].fetch_add(n, std::memory_order_relaxed);
  }
  // `place`: of the app, as AppTable gives it. REQUIRES: it is a counter by app.
  void add_app(std::size_t place, Counter counter, std::uint64_t n = 1) {
    slot_->apps[place][static_cast<std::size_t>(counter)].fetch_add(n, std::memory_order_relaxed);
  }
  void add_response(int status) {
    const int of_class = std::clamp(status / 100, 1, 5) - 1;
    add(static_cast<Counter>(static_cast<int>(Counter::responses_1xx) + of_class));
  }
  void add_refused(Code code) {
    add(static_cast<Counter>(static_cast<int>(Counter::refused_first) + static_cast<int>(code)));
  }
  // `n` times the same.
  void add_time(Timer timer, std::int64_t ns, std::uint64_t n = 1);

  // Of all apps, also for a counter by app.
  std::uint64_t total(Counter counter) const;
  std::uint64_t total_app(std::size_t place, Counter counter) const;
  std::uint64_t total_refused(Code code) const;

  struct Histogram {
    std::array<std::uint64_t, kBuckets> counts{};
    std::uint64_t sum_ns = 0;
  };
  Histogram total(Timer timer) const;

  static std::size_t bucket_of(std::int64_t ns);
  // Smallest value that is too large for the bucket, in nanoseconds; the last bucket has no such value and gives
  // INT64_MAX.
  static std::int64_t bucket_end(std::size_t bucket);

 private:
  SegmentMap map_;
  WorkerSlot* slot_;
};

}  // namespace polyglot::core
