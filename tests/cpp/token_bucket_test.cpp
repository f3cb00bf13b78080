#include "core/token_bucket.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <cstdint>
#include <limits>
#include <thread>
#include <vector>

namespace polyglot::core {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

std::atomic<std::int64_t> now_ns{0};
std::int64_t clock_ns() {
  return now_ns.load();
}

class TokenBucketTest : public ::testing::Test {
 protected:
  TokenBucketTest() { now_ns = 5 * kSecond; }

  // How many of one each can be taken before one is refused.
  std::uint64_t drain(const TokenBucket& bucket) {
    std::uint64_t taken = 0;
    while (bucket.take(state_, 1, clock_ns) == 0) ++taken;
    return taken;
  }

  SharedU64 state_{0};
};

TEST_F(TokenBucketTest, GivesExactlyItsBurstAtOnce) {
  for (const std::uint64_t rate : {1U, 3U, 7U, 100U, 999U, 1'000'000U}) {
    for (const std::uint64_t burst : {std::uint64_t{1}, rate, rate * 3}) {
      state_ = 0;
      EXPECT_EQ(drain(TokenBucket(rate, burst)), burst) << rate;
    }
  }
}

TEST_F(TokenBucketTest, GivesItsRateForAsLongAsSomebodyTakes) {
  const TokenBucket bucket(50, 10);
  EXPECT_EQ(drain(bucket), 10U);
  std::uint64_t taken = 0;
  for (int i = 0; i < 1000; ++i) {
    now_ns += kSecond / 100;
    taken += drain(bucket);
  }
  EXPECT_EQ(taken, 500U);
}

TEST_F(TokenBucketTest, SaysWhenThereIsRoomAndThenThereIs) {
  const TokenBucket bucket(10, 5);
  ASSERT_EQ(bucket.take(state_, 5, clock_ns), 0);
  const std::int64_t wait = bucket.take(state_, 3, clock_ns);
  EXPECT_EQ(wait, 3 * kSecond / 10);
  now_ns += wait - 1;
  EXPECT_EQ(bucket.take(state_, 3, clock_ns), 1);
  now_ns += 1;
  EXPECT_EQ(bucket.take(state_, 3, clock_ns), 0);
}

TEST_F(TokenBucketTest, TakesNothingWhenItRefuses) {
  const TokenBucket bucket(10, 5);
  ASSERT_EQ(bucket.take(state_, 3, clock_ns), 0);
  const std::uint64_t before = state_;
  EXPECT_GT(bucket.take(state_, 3, clock_ns), 0);
  EXPECT_EQ(state_, before);
  EXPECT_EQ(bucket.take(state_, 2, clock_ns), 0);
}

TEST_F(TokenBucketTest, HasWhatWasGivenBack) {
  const TokenBucket bucket(10, 5);
  ASSERT_EQ(bucket.take(state_, 5, clock_ns), 0);
  bucket.give_back(state_, 2);
  EXPECT_EQ(drain(bucket), 2U);
}

TEST_F(TokenBucketTest, NeverHoldsMoreThanItsBurst) {
  const TokenBucket bucket(10, 5);
  ASSERT_EQ(bucket.take(state_, 1, clock_ns), 0);
  now_ns += 1000 * kSecond;
  bucket.give_back(state_, 1);
  EXPECT_EQ(drain(bucket), 5U);
}

TEST_F(TokenBucketTest, TellsItsLevel) {
  const TokenBucket bucket(10, 5);
  EXPECT_EQ(bucket.level(state_, clock_ns).remaining, 5U);
  EXPECT_EQ(bucket.level(state_, clock_ns).full_in_ns, 0);
  EXPECT_TRUE(TokenBucket::is_full(state_, clock_ns));
  ASSERT_EQ(bucket.take(state_, 3, clock_ns), 0);
  EXPECT_EQ(bucket.level(state_, clock_ns).remaining, 2U);
  EXPECT_EQ(bucket.level(state_, clock_ns).full_in_ns, 3 * kSecond / 10);
  EXPECT_FALSE(TokenBucket::is_full(state_, clock_ns));
  now_ns += 3 * kSecond / 10;
  EXPECT_TRUE(TokenBucket::is_full(state_, clock_ns));
}

TEST_F(TokenBucketTest, AStateOfAnotherBootNeitherShutsItNorOpensIt) {
  const TokenBucket bucket(10, 5);
  now_ns = 400 * 86'400 * kSecond;
  ASSERT_EQ(bucket.take(state_, 5, clock_ns), 0);
  now_ns = 3 * kSecond;  // the clock begins anew
  EXPECT_EQ(drain(bucket), 5U);
  now_ns += kSecond / 10;
  EXPECT_EQ(drain(bucket), 1U);
  for (const std::uint64_t nonsense : {~std::uint64_t{0}, std::uint64_t{1} << 63, (std::uint64_t{1} << 63) - 1}) {
    state_ = nonsense;
    EXPECT_EQ(drain(bucket), 5U) << nonsense;
  }
}

TEST_F(TokenBucketTest, ALeapForwardFillsItAndNoMore) {
  const TokenBucket bucket(10, 5);
  ASSERT_EQ(bucket.take(state_, 5, clock_ns), 0);
  now_ns += 1'000'000 * kSecond;
  EXPECT_EQ(drain(bucket), 5U);
}

TEST_F(TokenBucketTest, ASmallerBucketInItsPlaceIsNotShut) {
  ASSERT_EQ(TokenBucket(1, 1000).take(state_, 1000, clock_ns), 0);
  EXPECT_EQ(drain(TokenBucket(10, 5)), 5U);
}

TEST_F(TokenBucketTest, TheLargestBucketDoesNotOverflow) {
  now_ns = std::int64_t{8} * 365 * 86'400 * kSecond;  // a machine that is up for eight years
  for (const std::uint64_t rate : {std::uint64_t{1}, TokenBucket::kMaxRate}) {
    const TokenBucket bucket(rate, rate * TokenBucket::kMaxBurstSeconds);
    state_ = 0;
    EXPECT_EQ(bucket.take(state_, bucket.burst(), clock_ns), 0);
    EXPECT_GT(bucket.take(state_, 1, clock_ns), 0);
    EXPECT_EQ(bucket.level(state_, clock_ns).remaining, 0U);
  }
}

TEST_F(TokenBucketTest, ThreadsTakeItsBurstTogether) {
  const TokenBucket bucket(100'000, 400'000);
  std::atomic<std::uint64_t> taken{0};
  std::barrier begin(4);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      begin.arrive_and_wait();
      taken += drain(bucket);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(taken, 400'000U);
}

TEST_F(TokenBucketTest, ThreadsThatTakeWhileTheClockRunsGetItsRate) {
  const TokenBucket bucket(1'000'000, 100);
  std::atomic<std::uint64_t> taken{0};
  std::atomic<bool> over{false};
  const std::int64_t began = now_ns;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      while (!over) taken += drain(bucket);
    });
  }
  // No step before the last one is taken, so that the bucket never overflows.
  for (std::uint64_t steps = 0; steps <= 50; ++steps) {
    while (taken < 100 + steps * 50) std::this_thread::yield();
    if (steps < 50) now_ns += 50'000;
  }
  over = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(taken, 100 + static_cast<std::uint64_t>(now_ns - began) / 1000);
}

TEST(MonotonicTimeTest, GoesForward) {
  const std::int64_t first = monotonic_time_ns();
  EXPECT_GT(first, 0);
  EXPECT_GE(monotonic_time_ns(), first);
}

}  // namespace
}  // namespace polyglot::core
