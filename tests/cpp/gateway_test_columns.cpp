// A channel's history in columns.
#include <gtest/gtest.h>

#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "gateway_fixture.hpp"

namespace polyglot::core {
namespace {

using testing::clock_us;
using testing::GatewayTest;
using testing::kSecond;
using testing::kStart;
using testing::taken;
using testing::TemporaryFolder;

class GatewayColumnsTest : public GatewayTest {
 protected:
  Columns columns(const std::vector<std::string>& fields = {}, double window = 0) {
    return taken(gateway_->columns("app", "room", taken(ColumnsRequest::parse(fields, window))));
  }
  void rule(const ChannelRule& rule) { gateway_->configure(Access(), Rules(rule)); }
  void publish_each_second(int count) {
    for (int i = 0; i < count; ++i, clock_us += kSecond) publish("room", std::to_string(i));
  }
};

TEST_F(GatewayColumnsTest, AreWhatHistoryHas) {
  publish_each_second(20);
  const Columns found = columns({""});
  const std::vector<std::string> kept = envelopes("room");
  ASSERT_EQ(kept.size(), 15U);
  ASSERT_EQ(found.offsets.size(), kept.size());
  for (std::size_t i = 0; i < kept.size(); ++i) {
    EXPECT_EQ(found.offsets[i], static_cast<std::int64_t>(i) + 6);
    EXPECT_EQ(found.times[i], kStart + static_cast<TimeUs>(i + 5) * kSecond);
    EXPECT_EQ(found.sizes[i], static_cast<std::int64_t>(kept[i].size()));
    EXPECT_EQ(found.fields[0][i], static_cast<double>(i) + 5);
  }
  EXPECT_EQ(found.epoch, taken(gateway_->channel("app", "room")).epoch);
  EXPECT_EQ(found.read_at, clock_us);
  EXPECT_EQ(found.begin, found.times.front()) << "those before it are overwritten";
}

TEST_F(GatewayColumnsTest, OfAChannelThatNeverWasAreEmpty) {
  const Columns found = columns({"/a"});
  EXPECT_TRUE(found.offsets.empty());
  EXPECT_EQ(found.fields, (std::vector<std::vector<double>>{{}}));
  EXPECT_EQ(found.epoch, header().void_epoch.load());
  EXPECT_EQ(found.begin, 0);
}

TEST_F(GatewayColumnsTest, TheRuleAndTheWindowSayHowMuch) {
  publish_each_second(10);
  const auto count = [&](double window = 0) { return columns({}, window).offsets.size(); };
  EXPECT_EQ(count(), 10U);
  EXPECT_EQ(columns().begin, 0);
  EXPECT_EQ(count(3), 3U);
  EXPECT_EQ(columns({}, 3).begin, clock_us - 3 * kSecond);
  EXPECT_EQ(columns({}, 60).begin, clock_us - 60 * kSecond);
  rule({.history_ttl_us = 5 * kSecond});
  EXPECT_EQ(count(), 5U);
  EXPECT_EQ(count(3), 3U);
  EXPECT_EQ(count(60), 5U);
  EXPECT_EQ(columns({}, 60).begin, clock_us - 5 * kSecond);
  rule({.history_size = 2});
  EXPECT_EQ(count(), 2U);
  EXPECT_EQ(columns({}, 60).begin, columns().times.front());
  rule({.history_size = 0});
  EXPECT_EQ(count(), 0U);
  EXPECT_EQ(columns().begin, clock_us);
}

TEST_F(GatewayColumnsTest, OfAForgottenChannelAreThoseSince) {
  publish_each_second(3);
  const std::uint64_t epoch = taken(gateway_->forget("app", "room"));
  publish_each_second(1);
  EXPECT_EQ(columns().offsets, std::vector<std::int64_t>{1});
  EXPECT_EQ(columns().epoch, epoch);
}

TEST_F(GatewayColumnsTest, WrongNamesAreRefused) {
  EXPECT_EQ(gateway_->columns("a pp", "room", {}).status().code(), Code::invalid_app);
  EXPECT_EQ(gateway_->columns("app", "ro om", {}).status().code(), Code::invalid_channel);
  EXPECT_EQ(gateway_->columns("app", "", {}).status().code(), Code::invalid_channel);
}

// A history of several pages: more than are read at a time, by number and by bytes.
class LongColumnsTest : public ::testing::Test {
 protected:
  LongColumnsTest() { gateway_->configure(Access(), Rules({.history_size = 5000})); }

  // So that the number in an event is its offset.
  static void publish(Gateway& gateway, std::uint64_t offset, std::size_t text = 1) {
    const std::string body =
        R"({"type":"t","data":{"text":")" + std::string(text, 'x') + R"(","n":)" + std::to_string(offset) + "}}";
    ASSERT_EQ(taken(gateway.publish("app", "room", body, {})).offset, offset);
  }
  Columns columns() { return taken(gateway_->columns("app", "room", taken(ColumnsRequest::parse({"/n"}, 0)))); }
  static void expect_whole(const Columns& found) {
    for (std::size_t i = 0; i < found.offsets.size(); ++i) {
      ASSERT_EQ(found.offsets[i], found.offsets[0] + static_cast<std::int64_t>(i));
      ASSERT_EQ(found.fields[0][i], static_cast<double>(found.offsets[i]));
    }
  }

  TemporaryFolder folder_;
  std::unique_ptr<Gateway> gateway_ = testing::open_gateway({.segment = {.data_dir = folder_.path(),
                                                                         .history_size = 5000,
                                                                         .history_bytes = std::uint64_t{4} << 20,
                                                                         .max_channels = 8,
                                                                         .idempotency_keys = 64}});
};

TEST_F(LongColumnsTest, AreReadPageByPage) {
  for (std::uint64_t offset = 1; offset <= 2500; ++offset) publish(*gateway_, offset);
  const Columns small = columns();
  EXPECT_EQ(small.offsets.size(), 2500U);
  EXPECT_EQ(small.begin, 0);
  expect_whole(small);
  for (std::uint64_t offset = 2501; offset <= 2560; ++offset) publish(*gateway_, offset, 50'000);
  const Columns large = columns();
  EXPECT_EQ(large.offsets.back(), 2560);
  expect_whole(large);
}

TEST_F(LongColumnsTest, AreWholeWhileWritersGoRoundTheHistory) {
  gateway_->configure(Access(), Rules({.history_size = 1500}));
  const std::jthread writer([&](const std::stop_token& stop) {
    for (std::uint64_t offset = 1; !stop.stop_requested(); ++offset) publish(*gateway_, offset, offset % 200);
  });
  std::int64_t newest = 0;
  while (newest < 30'000) {
    const Columns found = columns();
    expect_whole(found);
    ASSERT_LE(found.offsets.size(), 1500U);
    if (found.offsets.empty()) continue;
    EXPECT_LE(newest, found.offsets.back());
    newest = found.offsets.back();
  }
}

TEST_F(LongColumnsTest, AreOfOneEpochWhileThePastEnds) {
  const std::jthread writer([&](const std::stop_token& stop) {
    std::uint64_t offset = 0;
    while (!stop.stop_requested()) {
      for (int i = 0; i < 1500; ++i) publish(*gateway_, ++offset);
      static_cast<void>(taken(gateway_->forget("app", "room")));
      offset = 0;
    }
  });
  std::set<std::uint64_t> epochs;
  while (epochs.size() < 20) {
    const Columns found = columns();
    expect_whole(found);
    epochs.insert(found.epoch);
  }
}

}  // namespace
}  // namespace polyglot::core
