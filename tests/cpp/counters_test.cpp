#include "core/counters.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <numeric>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "temporary.hpp"

namespace polyglot::core {
namespace {

using testing::open_segment;
using testing::small_options;
using testing::TemporaryFolder;

constexpr std::int64_t kMaxNs = std::numeric_limits<std::int64_t>::max();

TEST(CountersBucketTest, EachEndBelongsToTheNextBucket) {
  std::int64_t begin = std::numeric_limits<std::int64_t>::min();
  for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
    const std::int64_t end = Counters::bucket_end(bucket);
    ASSERT_LT(begin, end) << "bucket " << bucket;
    EXPECT_EQ(Counters::bucket_of(begin), bucket);
    EXPECT_EQ(Counters::bucket_of(end - 1), bucket);
    begin = end;
  }
  EXPECT_EQ(begin, kMaxNs);
  EXPECT_EQ(Counters::bucket_of(kMaxNs), kBuckets - 1);
}

TEST(CountersBucketTest, AreAtMostAQuarterWide) {
  EXPECT_EQ(Counters::bucket_end(0), 256);
  for (std::size_t bucket = 1; bucket + 1 < kBuckets; ++bucket) {
    const std::int64_t begin = Counters::bucket_end(bucket - 1), width = Counters::bucket_end(bucket) - begin;
    EXPECT_LE(width * 4, begin) << "bucket " << bucket;
  }
}

TEST(CountersBucketTest, NeverFallWithTime) {
  std::size_t before = 0;
  for (std::int64_t ns = 1; ns < std::int64_t{1} << 42; ns += ns / 97 + 1) {
    const std::size_t bucket = Counters::bucket_of(ns);
    ASSERT_GE(bucket, before) << ns;
    ASSERT_LT(ns, Counters::bucket_end(bucket)) << ns;
    before = bucket;
  }
  EXPECT_EQ(before, kBuckets - 1);
}

TEST(CountersNameTest, EveryCounterHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < kNamedCounters; ++i) names.insert(counter_name(static_cast<Counter>(i)));
  EXPECT_EQ(names.size(), kNamedCounters);
  EXPECT_FALSE(names.contains(""));
  EXPECT_EQ(counter_name(Counter::publishes), "publishes");
  EXPECT_EQ(counter_name(Counter::forgets), "forgets");
}

TEST(CountersNameTest, EveryTimerHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < kTimers; ++i) names.insert(timer_name(static_cast<Timer>(i)));
  EXPECT_EQ(names.size(), kTimers);
  EXPECT_FALSE(names.contains(""));
}

class CountersTest : public ::testing::Test {
 protected:
  std::unique_ptr<Segment> open() { return open_segment(small_options(folder_.path())); }
  static Counters of(const Segment& segment) { return {segment.map(), segment.worker()}; }

  TemporaryFolder folder_;
  std::unique_ptr<Segment> segment_ = open();
};

TEST_F(CountersTest, BeginAtZero) {
  const Counters counters = of(*segment_);
  for (std::size_t i = 0; i < kCounters; ++i) EXPECT_EQ(counters.total(static_cast<Counter>(i)), 0U) << i;
  for (std::size_t timer = 0; timer < kTimers; ++timer) {
    const auto histogram = counters.total(static_cast<Timer>(timer));
    EXPECT_EQ(histogram.sum_ns, 0U);
    EXPECT_EQ(std::accumulate(histogram.counts.begin(), histogram.counts.end(), std::uint64_t{0}), 0U);
  }
}

TEST_F(CountersTest, TotalsAreThoseOfAllOpenersTheClosedToo) {
  const auto other = open();
  auto closing = open();
  of(*segment_).add_app(0, Counter::publishes);
  of(*other).add_app(7, Counter::publishes, 10);
  of(*closing).add_app(kMaxApps, Counter::publishes, 100);
  of(*closing).add(Counter::gaps);
  EXPECT_EQ(of(*segment_).total(Counter::publishes), 111U);
  closing.reset();
  EXPECT_EQ(of(*segment_).total(Counter::publishes), 111U);
  // It takes over the slot of the one that left, and what is counted there.
  const auto next = open();
  of(*next).add_app(7, Counter::publishes, 1000);
  for (const Segment* segment : {segment_.get(), other.get(), next.get()}) {
    EXPECT_EQ(of(*segment).total(Counter::publishes), 1111U);
    EXPECT_EQ(of(*segment).total_app(7, Counter::publishes), 1010U);
    EXPECT_EQ(of(*segment).total(Counter::gaps), 1U);
    EXPECT_EQ(of(*segment).total(Counter::replays), 0U);
  }
}

TEST_F(CountersTest, OutliveAllOpeners) {
  of(*segment_).add(Counter::forgets, 3);
  of(*segment_).add_time(Timer::history, 1000);
  segment_.reset();
  segment_ = open();
  EXPECT_EQ(of(*segment_).total(Counter::forgets), 3U);
  EXPECT_EQ(of(*segment_).total(Timer::history).sum_ns, 1000U);
}

TEST_F(CountersTest, CountEachRefusalByItsCode) {
  Counters counters = of(*segment_);
  for (int code = 0; code < kCodeCount; ++code)
    for (int n = 0; n <= code; ++n) counters.add_refused(static_cast<Code>(code));
  for (int code = 0; code < kCodeCount; ++code)
    EXPECT_EQ(counters.total_refused(static_cast<Code>(code)), static_cast<std::uint64_t>(code) + 1);
  for (std::size_t i = 0; i < kNamedCounters; ++i) EXPECT_EQ(counters.total(static_cast<Counter>(i)), 0U);
}

TEST_F(CountersTest, TimesGoIntoTheirBucketOfTheirTimer) {
  const auto other = open();
  of(*segment_).add_time(Timer::publish, 300);
  of(*other).add_time(Timer::publish, 300);
  of(*other).add_time(Timer::publish, 5'000'000);
  of(*other).add_time(Timer::history, 0);
  of(*other).add_time(Timer::history, -7);  // a clock set back between two looks
  const auto publish = of(*segment_).total(Timer::publish);
  EXPECT_EQ(publish.counts[Counters::bucket_of(300)], 2U);
  EXPECT_EQ(publish.counts[Counters::bucket_of(5'000'000)], 1U);
  EXPECT_EQ(publish.sum_ns, 5'000'600U);
  const auto history = of(*segment_).total(Timer::history);
  EXPECT_EQ(history.counts[0], 2U);
  EXPECT_EQ(history.sum_ns, 0U);
}

TEST_F(CountersTest, TheSameTimeMayBeAddedForMany) {
  of(*segment_).add_time(Timer::delivery, 300, 5);
  const auto delivery = of(*segment_).total(Timer::delivery);
  EXPECT_EQ(delivery.counts[Counters::bucket_of(300)], 5U);
  EXPECT_EQ(delivery.sum_ns, 1500U);
}

TEST_F(CountersTest, ResponsesGoByTheClassOfTheirStatus) {
  Counters counters = of(*segment_);
  for (const int status : {101, 200, 202, 304, 404, 429, 500, 503, 599, 999}) counters.add_response(status);
  EXPECT_EQ(counters.total(Counter::responses_1xx), 1U);
  EXPECT_EQ(counters.total(Counter::responses_2xx), 2U);
  EXPECT_EQ(counters.total(Counter::responses_3xx), 1U);
  EXPECT_EQ(counters.total(Counter::responses_4xx), 2U);
  EXPECT_EQ(counters.total(Counter::responses_5xx), 4U);
}

TEST_F(CountersTest, LoseNothingBetweenThreads) {
  constexpr int kThreads = 4, kTimes = 5000;
  Counters counters = of(*segment_);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kTimes; ++i) {
        counters.add(Counter::wakes, 2);
        counters.add_time(Timer::publish, 1000);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counters.total(Counter::wakes), std::uint64_t{2} * kThreads * kTimes);
  const auto publish = counters.total(Timer::publish);
  EXPECT_EQ(publish.counts[Counters::bucket_of(1000)], std::uint64_t{kThreads} * kTimes);
  EXPECT_EQ(publish.sum_ns, std::uint64_t{1000} * kThreads * kTimes);
}

}  // namespace
}  // namespace polyglot::core
