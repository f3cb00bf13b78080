// Gateway: what the limits of apps allow.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "gateway_fixture.hpp"

namespace polyglot::core {
namespace {

using testing::GatewayTest;
using testing::small_gateway;
using testing::taken;

constexpr std::int64_t kSecondNs = 1'000'000'000;

std::atomic<std::int64_t> steady_ns{kSecondNs};
std::int64_t steady_clock_ns() {
  return steady_ns.load();
}

class GatewayLimitsTest : public GatewayTest {
 protected:
  GatewayLimitsTest() {
    gateway_.reset();
    gateway_ = open_limited();
  }

  std::unique_ptr<Gateway> open_limited() {
    GatewayOptions options = small_gateway(folder_.path());
    options.monotonic = steady_clock_ns;
    return testing::open_gateway(options);
  }
  void limit(const AppLimits& limits, Gateway* gateway = nullptr) {
    Limits all;
    all.add("app", limits);
    (gateway == nullptr ? *gateway_ : *gateway).configure(Access(true), Rules(), std::move(all));
  }
  Status refusal(std::string_view channel, std::string_view data = "1", std::string_view key = {}) {
    const auto ack = gateway_->publish("app", channel, event(data), {.idempotency_key = key});
    return ack.ok() ? Status() : ack.status();
  }
  Status batch_refusal(std::size_t events, std::string_view channel = "room") {
    std::string body = "{\"events\":[";
    for (std::size_t i = 0; i < events; ++i) {
      body.append(i == 0 ? "" : ",").append(R"({"channel":")").append(channel).append(R"(","type":"test","data":1})");
    }
    const auto results = gateway_->publish_batch("app", body + "]}", false, {});
    return results.ok() ? Status() : results.status();
  }
  std::string state() { return gateway_->rate_limit("app")->state; }
};

TEST_F(GatewayLimitsTest, AnEventTooManyIsRefusedAndLeavesNoTrace) {
  limit({.events = TokenBucket(10, 3)});
  for (int i = 0; i < 3; ++i) publish("room");
  const std::string before = trace();
  const Status status = refusal("new");
  EXPECT_EQ(status.code(), Code::rate_limited);
  EXPECT_EQ(status.retry_after(), 1);
  EXPECT_EQ(status.message(), "The app may publish 10 events per second; there is room for this in 1 s.");
  EXPECT_EQ(trace(), before);
  steady_ns += kSecondNs / 10;
  publish("room");
  EXPECT_EQ(refusal("room").code(), Code::rate_limited);
}

TEST_F(GatewayLimitsTest, RetryAfterIsWhenThereIsRoom) {
  limit({.events = TokenBucket(1, 100)});
  ASSERT_TRUE(batch_refusal(100).ok());
  const Status status = batch_refusal(42);
  EXPECT_EQ(status.code(), Code::rate_limited);
  EXPECT_EQ(status.retry_after(), 42);
  steady_ns += 42 * kSecondNs;
  EXPECT_TRUE(batch_refusal(42).ok());
}

TEST_F(GatewayLimitsTest, BytesAreThoseOfTheEventsWhateverIsAroundThem) {
  const std::string sent = event("\"" + std::string(64, 'x') + "\"");
  limit({.bytes = TokenBucket(1000, 2 * sent.size())});
  publish("room", "\"" + std::string(64, 'x') + "\"");
  const std::string data = "\"" + std::string(64, 'x') + "\"";
  ASSERT_TRUE(gateway_->publish("app", "room", R"( {  "data" : )" + data + R"( , "type":"test"} )", {}).ok());
  EXPECT_EQ(refusal("room").code(), Code::rate_limited);
  EXPECT_EQ(state(), R"("bytes";r=0;t=1)");
}

TEST_F(GatewayLimitsTest, WhatOneLimitRefusesTakesNothingOfTheOther) {
  limit({.events = TokenBucket(10, 10), .bytes = TokenBucket(100, 100)});
  EXPECT_TRUE(refusal("room", "\"" + std::string(60, 'x') + "\"").ok());
  EXPECT_EQ(refusal("room", "\"" + std::string(60, 'x') + "\"").code(), Code::rate_limited);
  EXPECT_EQ(state(), R"("events";r=9;t=1, "bytes";r=15;t=1)");
}

TEST_F(GatewayLimitsTest, ABatchIsTakenOrRefusedAsAWhole) {
  limit({.events = TokenBucket(10, 5)});
  EXPECT_TRUE(batch_refusal(3).ok());
  const std::string before = trace();
  EXPECT_EQ(batch_refusal(3).code(), Code::rate_limited);
  EXPECT_EQ(gateway_
                ->publish_batch("app",
                                "{\"channel\":\"a\",\"type\":\"t\",\"data\":1}\n"
                                "{\"channel\":\"a\",\"type\":\"t\",\"data\":1}\n"
                                "{\"channel\":\"a\",\"type\":\"t\",\"data\":1}\n",
                                true, {})
                .status()
                .code(),
            Code::rate_limited);
  EXPECT_EQ(gateway_->broadcast("app", R"({"channels":["a","b","c"],"type":"t","data":1})", {}).status().code(),
            Code::rate_limited);
  EXPECT_EQ(trace(), before);
  EXPECT_TRUE(batch_refusal(2).ok());
}

TEST_F(GatewayLimitsTest, OfABatchOnlyWhatIsTakenCounts) {
  limit({.events = TokenBucket(10, 5)});
  const auto results = gateway_->publish_batch(
      "app", R"({"events":[{"channel":"a","type":"t","data":1},{"channel":"a b","type":"t","data":1}]})", false, {});
  ASSERT_TRUE(results.ok());
  EXPECT_EQ(state(), R"("events";r=4;t=1)");
}

TEST_F(GatewayLimitsTest, WhatCanNeverFitIsTooLarge) {
  limit({.events = TokenBucket(10, 5)});
  const std::string before = trace();
  const Status status = batch_refusal(6);
  EXPECT_EQ(status.code(), Code::payload_too_large);
  EXPECT_NE(status.message().find("events_burst"), std::string::npos);
  EXPECT_EQ(trace(), before);
  EXPECT_EQ(state(), R"("events";r=5;t=0)");
  limit({.bytes = TokenBucket(10, 50)});
  EXPECT_EQ(refusal("room", "\"" + std::string(60, 'x') + "\"").code(), Code::payload_too_large);
}

TEST_F(GatewayLimitsTest, ARepetitionDoesNotCount) {
  limit({.events = TokenBucket(10, 5)});
  publish("room", "1", "key");
  publish("room", "1", "key");
  EXPECT_EQ(refusal("room", "2", "key").code(), Code::idempotency_mismatch);
  EXPECT_EQ(state(), R"("events";r=4;t=1)");
  const std::string body = R"({"events":[{"channel":"a","type":"t","data":1},{"channel":"b","type":"t","data":1}]})";
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(gateway_->publish_batch("app", body, false, {.idempotency_key = "batch"}).ok());
  }
  EXPECT_EQ(state(), R"("events";r=2;t=1)");
}

TEST_F(GatewayLimitsTest, WhatIsKeptElsewhereCountsWhenItIsPrepared) {
  limit({.events = TokenBucket(10, 2)});
  const std::string body = event("1");
  const auto first = taken(gateway_->prepare("app", "room", body, {.idempotency_key = "key"}));
  const auto again = taken(gateway_->prepare("app", "room", body, {.idempotency_key = "key"}));
  EXPECT_EQ(gateway_->prepare("app", "room", body, {}).status().code(), Code::rate_limited);
  first->appends().front().offset = 1;
  again->appends().front().replayed = true;
  gateway_->count(*first);
  gateway_->count(*again);
  EXPECT_EQ(state(), R"("events";r=1;t=1)");
}

TEST_F(GatewayLimitsTest, OtherAppsAreNotConcerned) {
  limit({.events = TokenBucket(1, 1), .connections = 1, .channels = 1});
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(gateway_->publish("other", "room" + std::to_string(i), event("1"), {}).ok());
    ASSERT_TRUE(gateway_->hold("other", Quota::connections).ok());
  }
  EXPECT_FALSE(gateway_->rate_limit("other"));
}

TEST_F(GatewayLimitsTest, WorkersShareALimit) {
  const auto other = open_limited();
  limit({.events = TokenBucket(10, 2), .connections = 1});
  limit({.events = TokenBucket(10, 2), .connections = 1}, other.get());
  publish("room");
  ASSERT_TRUE(other->publish("app", "room", event("1"), {}).ok());
  EXPECT_EQ(refusal("room").code(), Code::rate_limited);
  EXPECT_EQ(other->publish("app", "room", event("1"), {}).status().code(), Code::rate_limited);
  const Hold hold = taken(other->hold("app", Quota::connections));
  const auto refused = gateway_->hold("app", Quota::connections);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), Code::rate_limited);
  EXPECT_EQ(refused.status().retry_after(), 1);
  EXPECT_TRUE(gateway_->hold("app", Quota::subscriptions).ok());
}

TEST_F(GatewayLimitsTest, ThreadsShareALimit) {
  limit({.events = TokenBucket(10, 500)});
  std::atomic<int> taken_all{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (gateway_->publish("app", "room", event("1"), {}).ok()) ++taken_all;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(taken_all, 500);
}

TEST_F(GatewayLimitsTest, AReloadCountsAtOnce) {
  limit({.events = TokenBucket(1, 1)});
  publish("room");
  EXPECT_EQ(refusal("room").code(), Code::rate_limited);
  limit({.events = TokenBucket(10, 10)});
  steady_ns += kSecondNs / 10;
  publish("room");
  EXPECT_EQ(refusal("room").code(), Code::rate_limited);
  limit({});
  EXPECT_FALSE(gateway_->rate_limit("app"));
  for (int i = 0; i < 20; ++i) publish("room");
}

TEST_F(GatewayLimitsTest, ANewChannelTooManyIsRefusedAndTheOldOnesGoOn) {
  limit({.events = TokenBucket(10, 10), .channels = 2});
  publish("a");
  publish("b");
  const std::string before = trace();
  const Status status = refusal("c");
  EXPECT_EQ(status.code(), Code::rate_limited);
  EXPECT_NE(status.message().find("2 channels"), std::string::npos);
  EXPECT_EQ(gateway_
                ->publish_batch("app",
                                R"({"events":[{"channel":"a","type":"t","data":1},)"
                                R"({"channel":"c","type":"t","data":1}]})",
                                false, {})
                .status()
                .code(),
            Code::rate_limited);
  EXPECT_EQ(trace(), before);
  EXPECT_EQ(state(), R"("events";r=8;t=1)");  // what was refused costs nothing
  publish("a");
  EXPECT_TRUE(batch_refusal(2, "b").ok());
  limit({.channels = 3});
  publish("c");
  EXPECT_EQ(refusal("d").code(), Code::rate_limited);
}

TEST_F(GatewayLimitsTest, AChannelThatWasEvictedIsNotCounted) {
  limit({.channels = 2});
  publish("a");
  publish("b");
  const auto fill = [&](int from, int to) {
    for (int i = from; i < to; ++i) {
      ASSERT_TRUE(gateway_->publish("other", "room" + std::to_string(i), event("1"), {}).ok());
    }
  };
  fill(0, 6);  // eight there are then, as many as fit
  EXPECT_EQ(refusal("c").code(), Code::rate_limited);
  fill(6, 7);    // in place of a
  publish("c");  // in place of b, the oldest
  publish("d");
  EXPECT_EQ(refusal("e").code(), Code::rate_limited);
}

TEST_F(GatewayLimitsTest, WorkersThatMakeChannelsAtOnceMakeNoneTooMany) {
  const auto other = open_limited();
  for (Gateway* gateway : {gateway_.get(), other.get()}) {
    Limits limits;
    limits.add("*", {.channels = 1});
    gateway->configure(Access(), Rules(), std::move(limits));
  }
  // The same two threads for all rounds, which begin each one at the same moment.
  constexpr int kRounds = 1000;
  std::atomic<int> arrived{0};
  std::atomic<int> made{0};
  const auto publish_all = [&](Gateway& gateway, const std::string& channel) {
    for (int round = 1; round <= kRounds; ++round) {
      ++arrived;
      while (arrived < 2 * round) std::this_thread::yield();
      if (gateway.publish("app" + std::to_string(round), channel, event("1"), {}).ok()) ++made;
    }
  };
  std::thread theirs([&] { publish_all(*other, "theirs"); });
  publish_all(*gateway_, "ours");
  theirs.join();
  EXPECT_EQ(made, kRounds);
}

TEST_F(GatewayLimitsTest, WhoeverMakesAChannelWaitsForTheOneBeforeAndCountsItsChannel) {
  limit({.channels = 1});
  const FileDescriptor file(::open((folder_.path() + "/limits.pgs").c_str(), O_RDWR | O_CLOEXEC));
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_len = 1;
  ASSERT_EQ(fcntl(file.get(), F_OFD_SETLK, &lock), 0);
  std::atomic<pid_t> tid{0};
  std::atomic<bool> done{false};
  Status status;
  std::thread waits([&] {
    tid = gettid();
    status = refusal("theirs");
    done = true;
  });
  const auto is_asleep = [&] {
    std::ifstream stat("/proc/self/task/" + std::to_string(tid.load()) + "/stat");
    const std::string text{std::istreambuf_iterator<char>(stat), {}};
    return text.find(") S ") != std::string::npos;
  };
  while (tid == 0 || (!done && !is_asleep())) std::this_thread::yield();
  EXPECT_FALSE(done);
  const auto segment = testing::open_segment(testing::small_options(folder_.path()));
  History history(*segment);
  testing::append(history, "app", "ours");
  lock.l_type = F_UNLCK;
  ASSERT_EQ(fcntl(file.get(), F_OFD_SETLK, &lock), 0);
  waits.join();
  EXPECT_EQ(status.code(), Code::rate_limited);
}

TEST_F(GatewayLimitsTest, TheFieldsTellPolicyAndState) {
  limit({.events = TokenBucket(100, 100), .bytes = TokenBucket(1000, 2500)});
  EXPECT_EQ(gateway_->rate_limit("app")->policy, R"("events";q=100;w=1, "bytes";q=2500;w=3)");
  EXPECT_EQ(state(), R"("events";r=100;t=0, "bytes";r=2500;t=0)");
  ASSERT_TRUE(batch_refusal(100).ok());
  EXPECT_EQ(gateway_->rate_limit("app")->state.substr(0, 16), R"("events";r=0;t=1)");
}

TEST_F(GatewayLimitsTest, AnOperatorSeesLimitsAndUse) {
  EXPECT_EQ(taken(gateway_->limits_json("app")),
            R"({"app_id":"app","events":null,"bytes":null,"connections":null,"subscriptions":null,"channels":null})");
  limit({.events = TokenBucket(10, 20), .connections = 5, .subscriptions = 6, .channels = 7});
  publish("room");
  const Hold one = taken(gateway_->hold("app", Quota::connections));
  const Hold two = taken(gateway_->hold("app", Quota::subscriptions));
  const Hold three = taken(gateway_->hold("app", Quota::subscriptions));
  EXPECT_EQ(taken(gateway_->limits_json("app")),
            R"({"app_id":"app","events":{"per_second":10,"burst":20,"remaining":19},"bytes":null,)"
            R"("connections":{"most":5,"used":1},"subscriptions":{"most":6,"used":2},"channels":{"most":7,"used":1}})");
  EXPECT_EQ(gateway_->limits_json("a b").status().code(), Code::invalid_app);
}

}  // namespace
}  // namespace polyglot::core
