#include "server/delivery_meter.hpp"

#include <gtest/gtest.h>

#include "temporary.hpp"

namespace polyglot::server {
namespace {

using core::Counter;
using core::Counters;
using core::Timer;

class DeliveryMeterTest : public ::testing::Test {
 protected:
  core::testing::TemporaryFolder folder_;
  std::unique_ptr<core::Segment> segment_ = core::testing::open_segment(core::testing::small_options(folder_.path()));
  Counters counters_{segment_->map(), segment_->worker()};
  DeliveryMeter meter_{counters_};
};

TEST_F(DeliveryMeterTest, TellsAtTheEndOfTheTurn) {
  meter_.add(3, 2, 100, 0);
  meter_.add(3, 1, 50, 0);
  EXPECT_EQ(counters_.total(Counter::deliveries), 0U);
  EXPECT_TRUE(meter_.has_some());
  meter_.flush(1000);
  EXPECT_EQ(counters_.total_app(3, Counter::deliveries), 3U);
  EXPECT_EQ(counters_.total_app(3, Counter::delivery_bytes), 150U);
  EXPECT_FALSE(meter_.has_some());
  meter_.flush(1000);
  EXPECT_EQ(counters_.total(Counter::deliveries), 3U);
}

TEST_F(DeliveryMeterTest, KeepsAppsApart) {
  meter_.add(0, 1, 10, 0);
  meter_.add(core::kMaxApps, 2, 20, 0);
  meter_.add(0, 4, 40, 0);
  meter_.flush(1000);
  EXPECT_EQ(counters_.total_app(0, Counter::deliveries), 5U);
  EXPECT_EQ(counters_.total_app(core::kMaxApps, Counter::deliveries), 2U);
  EXPECT_EQ(counters_.total_app(core::kMaxApps, Counter::delivery_bytes), 20U);
}

TEST_F(DeliveryMeterTest, TheLagIsThatOfTheOldestEventForEachSendOfTheTurn) {
  meter_.add(0, 1, 10, 5000);
  meter_.add(1, 20, 10, 4000);
  meter_.add(1, 7, 10, 0);  // caught up with
  meter_.flush(6000);
  auto lags = counters_.total(Timer::delivery);
  EXPECT_EQ(lags.counts[Counters::bucket_of(2'000'000)], 2U);
  EXPECT_EQ(lags.sum_ns, 4'000'000U);
  meter_.add(0, 1, 10, 9000);
  meter_.flush(9001);
  lags = counters_.total(Timer::delivery);
  EXPECT_EQ(lags.sum_ns, 4'001'000U);
}

TEST_F(DeliveryMeterTest, WhatHasNoEventsIsNoDelivery) {
  meter_.add(0, 0, 40, 5000);
  EXPECT_FALSE(meter_.has_some());
  meter_.flush(6000);
  EXPECT_EQ(counters_.total(Counter::delivery_bytes), 0U);
  EXPECT_EQ(counters_.total(Timer::delivery).sum_ns, 0U);
}

}  // namespace
}  // namespace polyglot::server
