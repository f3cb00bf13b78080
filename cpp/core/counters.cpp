#include "core/counters.hpp"

#include <algorithm>
#include <bit>
#include <limits>

namespace polyglot::core {
namespace {

constexpr int kFirstPower = 8;  // 2^8 ns
constexpr auto kRelaxed = std::memory_order_relaxed;

}  // namespace

std::string_view counter_name(Counter counter) {
  static constexpr std::array<std::string_view, kNamedCounters> kNames = {
      "publishes",      "publish_bytes", "deliveries",    "delivery_bytes", "replays",      "history_reads",
      "follower_reads", "gaps",          "feed_overruns", "wakes",          "repairs",      "evictions",
      "forgets",        "slow_readers",  "spooled",       "forwarded",      "spool_full",   "responses_1xx",
      "responses_2xx",  "responses_3xx", "responses_4xx", "responses_5xx",  "worker_starts"};
  return kNames[static_cast<std::size_t>(counter)];
}

std::string_view timer_name(Timer timer) {
  static constexpr std::array<std::string_view, kTimers> kNames = {"publish", "history", "delivery", "processor",
                                                                   "append"};
  return kNames[static_cast<std::size_t>(timer)];
}

std::size_t Counters::bucket_of(std::int64_t ns) {
  if (ns < 1 << kFirstPower) return 0;
  const int power = static_cast<int>(std::bit_width(static_cast<std::uint64_t>(ns))) - 1;
  const auto quarter = static_cast<std::size_t>(ns >> (power - 2) & 3);
  return std::min(1 + static_cast<std::size_t>(power - kFirstPower) * 4 + quarter, kBuckets - 1);
}

std::int64_t Counters::bucket_end(std::size_t bucket) {
  if (bucket == 0) return 1 << kFirstPower;
  if (bucket >= kBuckets - 1) return std::numeric_limits<std::int64_t>::max();
  const std::size_t power = (bucket - 1) / 4 + kFirstPower, quarter = (bucket - 1) % 4;
  return static_cast<std::int64_t>((5 + quarter) << (power - 2));
}

void Counters::add_time(Timer timer, std::int64_t ns, std::uint64_t n) {
  WorkerSlot::Histogram& histogram = slot_->histograms[static_cast<std::size_t>(timer)];
  ns = std::max<std::int64_t>(ns, 0);
  histogram.counts[bucket_of(ns)].fetch_add(n, kRelaxed);
  histogram.sum_ns.fetch_add(static_cast<std::uint64_t>(ns) * n, kRelaxed);
}

std::uint64_t Counters::total(Counter counter) const {
  std::uint64_t sum = 0;
  if (static_cast<std::size_t>(counter) < kAppCounters) {
    for (std::size_t place = 0; place <= kMaxApps; ++place) sum += total_app(place, counter);
    return sum;
  }
  for (std::uint32_t i = 0; i < kMaxWorkers; ++i)
    sum += map_.worker(i).counters[static_cast<std::size_t>(counter)].load(kRelaxed);
  return sum;
}

std::uint64_t Counters::total_app(std::size_t place, Counter counter) const {
  std::uint64_t sum = 0;
  for (std::uint32_t i = 0; i < kMaxWorkers; ++i)
    sum += map_.worker(i).apps[place][static_cast<std::size_t>(counter)].load(kRelaxed);
  return sum;
}

std::uint64_t Counters::total_refused(Code code) const {
  return total(static_cast<Counter>(static_cast<int>(Counter::refused_first) + static_cast<int>(code)));
}

Counters::Histogram Counters::total(Timer timer) const {
  Histogram sum;
  for (std::uint32_t i = 0; i < kMaxWorkers; ++i) {
    const WorkerSlot::Histogram& histogram = map_.worker(i).histograms[static_cast<std::size_t>(timer)];
    for (std::size_t b = 0; b < kBuckets; ++b) sum.counts[b] += histogram.counts[b].load(kRelaxed);
    sum.sum_ns += histogram.sum_ns.load(kRelaxed);
  }
  return sum;
}

}  // namespace polyglot::core
