#include "core/gateway.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "core/json.hpp"
#include "gateway_fixture.hpp"

namespace polyglot::core {
namespace {

using testing::clock_us;
using testing::GatewayTest;
using testing::kSecond;
using testing::kStart;
using testing::pattern;
using testing::taken;

TEST(DurabilityTest, HasThreeNames) {
  Durability durability{};
  EXPECT_TRUE(parse_durability("interval", durability));
  EXPECT_EQ(durability, Durability::interval);
  EXPECT_TRUE(parse_durability("sync", durability));
  EXPECT_EQ(durability, Durability::sync);
  EXPECT_TRUE(parse_durability("process", durability));
  EXPECT_EQ(durability, Durability::process);
  for (const char* text : {"", "Sync", "sync ", "none"}) EXPECT_FALSE(parse_durability(text, durability)) << text;
}

TEST_F(GatewayTest, WhatWasAcknowledgedIsInHistoryByteForByte) {
  clock_us = 1'763'404'796'107'549;
  const std::string_view data = R"({"text": "Grüße \u00e9", "n": 1e400, "list":[ 1,2 ]})";
  const auto ack = taken(gateway_->publish("demo-app", "room:test",
                                           R"( {"data": )" + std::string(data) + R"(, "type":"mess\u0061ge"} )",
                                           {.source_ip = "127.0.0.1", .user_id = "user \"7\""}));
  const std::string id = event_id_text(ack.id), epoch = epoch_text(ack.epoch);
  EXPECT_EQ(ack.offset, 1U);
  EXPECT_FALSE(ack.replayed);
  std::string text;
  append_ack_json(text, ack);
  EXPECT_EQ(text, R"({"id":")" + id + R"(","timestamp":"2025-11-17T18:39:56.107549Z","offset":1,"epoch":")" + epoch +
                      R"("})");
  HistoryPage page;
  EXPECT_EQ(
      taken(gateway_->history("demo-app", "room:test", {}, page)),
      R"({"app_id":"demo-app","channel":"room:test","count":1,"events":[{"id":")" + id +
          R"(","app_id":"demo-app","channel":"room:test","type":"mess\u0061ge","data":)" + std::string(data) +
          R"(,"meta":{"user_id":"user \"7\"","ts":"2025-11-17T18:39:56.107549Z","source_ip":"127.0.0.1"},"offset":1}],)" +
          R"("epoch":")" + epoch + R"(","offset":1,"recovered":true,"gap":null})");
}

TEST_F(GatewayTest, ASenderWithoutAddressOrNameIsNull) {
  publish("room");
  ASSERT_EQ(envelopes("room").size(), 1U);
  EXPECT_NE(envelopes("room")[0].find(R"("user_id":null)"), std::string::npos);
  EXPECT_NE(envelopes("room")[0].find(R"("source_ip":null)"), std::string::npos);
}

TEST_F(GatewayTest, ARefusedEventLeavesNoTrace) {
  Rules rules(ChannelRule{.max_event_bytes = 1 << 20});
  rules.add("app", pattern("small:*"), {.max_event_bytes = 100});
  gateway_->configure(Access(), std::move(rules));
  publish("room");
  publish("room", "1", "used");
  const std::string ok = event("1");
  const std::string longest(300'000, 'x');  // more than a quarter of the log, which has 1 MiB
  struct Case {
    Code code;
    std::string app, channel, body, key;
  };
  const std::vector<Case> cases = {
      {Code::invalid_app, "", "room", ok, ""},
      {Code::invalid_app, "a pp", "room", ok, ""},
      {Code::invalid_app, std::string(65, 'a'), "room", ok, ""},
      {Code::invalid_channel, "app", "", ok, ""},
      {Code::invalid_channel, "app", "ro om", ok, ""},
      {Code::invalid_channel, "app", std::string(201, 'a'), ok, ""},
      {Code::invalid_parameter, "app", "room", ok, std::string(256, 'k')},
      {Code::payload_too_large, "app", "small:1", event("\"" + longest.substr(0, 100) + "\""), ""},
      {Code::payload_too_large, "app", "room", event("\"" + longest + "\""), ""},
      {Code::invalid_json, "app", "room", "", ""},
      {Code::invalid_json, "app", "room", R"({"type":"test","data":1)", ""},
      {Code::invalid_json, "app", "room", "{\"type\":\"test\",\"data\":\"\xFF\"}", ""},
      {Code::invalid_json, "app", "room", R"({"type":"test","data":"\ud800"})", ""},
      {Code::invalid_event, "app", "room", "[]", ""},
      {Code::invalid_event, "app", "room", R"({"type":"test"})", ""},
      {Code::invalid_event, "app", "room", R"({"type":"","data":1})", ""},
      {Code::invalid_event, "app", "room", R"({"type":"test","data":1,"data":2})", ""},
      {Code::invalid_event, "app", "room", R"({"type":"test","data":1,"extra":2})", ""},
      {Code::idempotency_mismatch, "app", "room", event("2"), "used"},
  };
  const std::string before = trace();
  for (const Case& one : cases) {
    for (const std::string& channel : {one.channel, one.channel == "room" ? std::string("new") : one.channel}) {
      if (one.code == Code::idempotency_mismatch && channel == "new") continue;  // there the key is another one
      const auto result = gateway_->publish(one.app, channel, one.body, {.idempotency_key = one.key});
      ASSERT_FALSE(result.ok()) << one.body.substr(0, 80);
      EXPECT_EQ(result.status().code(), one.code) << result.status().message();
      EXPECT_FALSE(result.status().message().empty());
      EXPECT_EQ(trace(), before) << one.body.substr(0, 80);
    }
  }
  EXPECT_EQ(total(Counter::publishes), 2U);
  EXPECT_EQ(publish("room").offset, 3U);
}

TEST_F(GatewayTest, AFullIdempotencyWindowRefusesAndLeavesNoTrace) {
  for (int i = 0; i < 64; ++i) publish("room", "1", "k" + std::to_string(i));
  const std::string before = trace();
  for (const char* channel : {"room", "new"}) {
    const auto result = gateway_->publish("app", channel, event("1"), {.idempotency_key = "one more"});
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.status().code(), Code::overloaded);
    EXPECT_EQ(trace(), before);
  }
  EXPECT_EQ(publish("room").offset, 65U);
}

TEST_F(GatewayTest, SaysWhereTheJsonIsWrong) {
  const auto result = gateway_->publish("app", "room", R"({"type":"test","data":[1,]})", {});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().position(), 25);
}

TEST_F(GatewayTest, TheBodyMayBeAsLargeAsTheRuleAllowsAndNoLarger) {
  Rules rules(ChannelRule{.max_event_bytes = 200});
  rules.add("app", pattern("small:*"), {.max_event_bytes = 100});
  gateway_->configure(Access(), std::move(rules));
  for (const auto& [channel, allowed] : {std::pair("small:1", 100U), std::pair("other", 200U)}) {
    EXPECT_EQ(gateway_->rule("app", channel).max_event_bytes, allowed);
    for (const std::size_t size : {allowed - 1, allowed, allowed + 1}) {
      std::string body = event("1");
      body.resize(size, ' ');
      const auto result = gateway_->publish("app", channel, body, {});
      EXPECT_EQ(result.ok(), size <= allowed) << size << " bytes";
      if (!result.ok()) {
        EXPECT_EQ(result.status().code(), Code::payload_too_large);
      }
    }
  }
}

TEST_F(GatewayTest, ARepeatedKeyGivesTheFirstAcknowledgement) {
  const Ack first = publish("room", "1", "k");
  clock_us += 10 * kSecond;
  const Ack again = publish("room", "1", "k");
  EXPECT_TRUE(again.replayed);
  EXPECT_EQ(again.id, first.id);
  EXPECT_EQ(again.time, first.time);
  EXPECT_EQ(again.offset, first.offset);
  EXPECT_EQ(again.epoch, first.epoch);
  const auto other = open();
  EXPECT_TRUE(taken(other->publish("app", "room", event("1"), {.idempotency_key = "k"})).replayed);
  EXPECT_EQ(envelopes("room").size(), 1U);
  EXPECT_EQ(total(Counter::publishes), 1U);
  EXPECT_EQ(total(Counter::replays), 2U);
  clock_us += kIdempotencyWindowUs;
  EXPECT_FALSE(publish("room", "1", "k").replayed);
}

TEST_F(GatewayTest, CountsWhatItDoes) {
  publish("room");
  publish("room", "22");
  std::uint64_t bytes = 0;
  for (const std::string& envelope : envelopes("room")) bytes += envelope.size();
  EXPECT_EQ(total(Counter::publishes), 2U);
  EXPECT_EQ(total(Counter::publish_bytes), bytes);
  history("room");
  history("room", {.since = 7});
  EXPECT_EQ(total(Counter::history_reads), 2U);
  EXPECT_EQ(total(Counter::gaps), 1U);
  EXPECT_EQ(total(Counter::follower_reads), 1U);
  taken(gateway_->forget("app", "room"));
  EXPECT_EQ(total(Counter::forgets), 1U);
  auto count = [&](Timer timer) {
    const auto counts = gateway_->counters().total(timer).counts;
    return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  };
  EXPECT_EQ(count(Timer::publish), 2U);
  EXPECT_EQ(count(Timer::history), 2U);
}

TEST_F(GatewayTest, TellsWhereAChannelStands) {
  const ChannelState never = taken(gateway_->channel("app", "room"));
  EXPECT_EQ(never.channel, "room");
  EXPECT_EQ(never.epoch, header().void_epoch.load());
  EXPECT_EQ(never.first, 1U);
  EXPECT_EQ(never.last, 0U);
  EXPECT_EQ(never.newest, 0);
  for (int i = 0; i < 20; ++i) publish("room");
  clock_us += kSecond;
  const Ack ack = publish("room");
  const ChannelState state = taken(gateway_->channel("app", "room"));
  EXPECT_EQ(state.epoch, ack.epoch);
  EXPECT_EQ(state.first, 7U);
  EXPECT_EQ(state.last, 21U);
  EXPECT_EQ(state.newest, kStart + kSecond);
  EXPECT_EQ(gateway_->channel("app", "ro om").status().code(), Code::invalid_channel);
  EXPECT_EQ(gateway_->channel("app", "").status().code(), Code::invalid_channel);
}

TEST_F(GatewayTest, ListsTheChannelsOfAnAppByName) {
  for (const char* name : {"b", "a:2", "c", "a:1"}) publish(name);
  static_cast<void>(gateway_->publish("other", "a:0", event("1"), {}));
  auto names = [&](std::string_view after, std::size_t limit) {
    std::vector<std::string> found;
    for (const ChannelState& state : taken(gateway_->channels("app", after, limit))) found.push_back(state.channel);
    return found;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(names("", 100), (Names{"a:1", "a:2", "b", "c"}));
  EXPECT_EQ(names("", 2), (Names{"a:1", "a:2"}));
  EXPECT_EQ(names("a:2", 100), (Names{"b", "c"}));
  EXPECT_EQ(names("aa", 1), (Names{"b"}));
  EXPECT_EQ(names("c", 100), Names{});
  EXPECT_EQ(names("", 0), Names{});
  EXPECT_EQ(gateway_->channels("a pp", "", 1).status().code(), Code::invalid_app);
}

TEST_F(GatewayTest, SyncHasEverythingOnTheDiskBeforeItAnswers) {
  publish("room");
  EXPECT_EQ(header().synced.load(), 0U);
  const auto synced = open(Durability::sync);
  EXPECT_EQ(synced->durability(), Durability::sync);
  auto all_synced = [&] { return header().synced.load() >= header().head.load(); };
  static_cast<void>(taken(synced->publish("app", "room", event("1"), {})));
  EXPECT_TRUE(all_synced());
  static_cast<void>(
      taken(synced->publish_batch("app", R"({"events":[{"channel":"a","type":"t","data":1}]})", false, {})));
  EXPECT_TRUE(all_synced());
  static_cast<void>(taken(synced->broadcast("app", R"({"channels":["a","b"],"type":"t","data":1})", {})));
  EXPECT_TRUE(all_synced());
  taken(synced->forget("app", "a"));
  EXPECT_TRUE(all_synced());
}

TEST_F(GatewayTest, IntervalHasEverythingOnTheDiskSoonAfter) {
  const auto flushing = open(Durability::interval);
  static_cast<void>(taken(flushing->publish("app", "room", event("1"), {})));
  const std::uint64_t head = header().head.load();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (header().synced.load() < head && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_GE(header().synced.load(), head);
}

TEST_F(GatewayTest, AChildOfForkIsRefusedEverything) {
  publish("room");
  const std::string before = trace();
  const pid_t child = fork();
  if (child == 0) {
    HistoryPage page;
    const std::string batch = R"({"events":[{"channel":"a","type":"t","data":1}]})";
    const std::vector<Code> codes = {
        gateway_->publish("app", "room", event("1"), {}).status().code(),
        gateway_->publish_batch("app", batch, false, {}).status().code(),
        gateway_->broadcast("app", R"({"channels":["a"],"type":"t","data":1})", {}).status().code(),
        gateway_->history("app", "room", {}, page).status().code(),
        gateway_->read("app", "room", {}, page).code(),
        gateway_->forget("app", "room").status().code(),
        gateway_->channel("app", "room").status().code(),
        gateway_->channels("app", "", 1).status().code(),
        gateway_->authorize("app", "room", "key", kPublish).code(),
    };
    const auto refused = std::count(codes.begin(), codes.end(), Code::engine_unavailable);
    _exit(refused == static_cast<std::ptrdiff_t>(codes.size()) ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(trace(), before);
  EXPECT_EQ(publish("room").offset, 2U);
}

TEST_F(GatewayTest, ThreadsOfTwoWorkersGetOffsetsWithoutHolesAndIdsOfTheirOwn) {
  constexpr int kThreads = 4, kEach = 400;
  const auto other = open();
  std::vector<std::vector<Ack>> acks(kThreads);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        Gateway& gateway = t % 2 == 0 ? *gateway_ : *other;
        for (int i = 0; i < kEach; ++i) acks[t].push_back(taken(gateway.publish("app", "room", event("1"), {})));
      });
    }
  }
  std::set<std::uint64_t> offsets;
  std::set<Ulid> ids;
  for (const auto& own : acks) {
    EXPECT_TRUE(std::is_sorted(own.begin(), own.end(), [](const Ack& a, const Ack& b) { return a.offset < b.offset; }));
    for (const Ack& ack : own) {
      offsets.insert(ack.offset);
      ids.insert(ack.id);
    }
  }
  EXPECT_EQ(ids.size(), std::size_t{kThreads} * kEach);
  EXPECT_EQ(offsets.size(), std::size_t{kThreads} * kEach);
  EXPECT_EQ(*offsets.rbegin(), std::uint64_t{kThreads} * kEach);
  EXPECT_EQ(total(Counter::publishes), std::uint64_t{kThreads} * kEach);
}

}  // namespace
}  // namespace polyglot::core
