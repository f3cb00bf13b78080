// Who may do what, and what configure changes.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "core/sha256.hpp"
#include "gateway_fixture.hpp"

namespace polyglot::core {
namespace {

using testing::clock_us;
using testing::GatewayTest;
using testing::kSecond;
using testing::kStart;
using testing::pattern;

constexpr auto kScopes = {kPublish, kHistory, kSubscribe, kAdmin};

TEST_F(GatewayTest, NobodyMayDoAnythingBeforeItIsConfigured) {
  for (const Scope scope : kScopes) {
    EXPECT_EQ(gateway_->authorize("app", "room", "valid_key_app", scope).code(), Code::unauthorized);
    EXPECT_EQ(gateway_->authorize("app", "", "", scope).code(), Code::unauthorized);
  }
}

TEST_F(GatewayTest, AKeyMayWhatItsScopesSay) {
  Access access;
  access.add_key("app", sha256("writer"), kPublish);
  access.add_key("app", sha256("reader"), kHistory | kSubscribe);
  access.add_key("other", sha256("stranger"), kPublish | kHistory | kSubscribe | kAdmin);
  gateway_->configure(std::move(access), Rules());
  auto code = [&](std::string_view key, Scope scope) { return gateway_->authorize("app", "room", key, scope).code(); };
  EXPECT_EQ(code("writer", kPublish), Code::ok);
  EXPECT_EQ(code("writer", kHistory), Code::forbidden);
  EXPECT_EQ(code("reader", kHistory), Code::ok);
  EXPECT_EQ(code("reader", kSubscribe), Code::ok);
  EXPECT_EQ(code("reader", kPublish), Code::forbidden);
  EXPECT_EQ(code("reader", kAdmin), Code::forbidden);
  for (const Scope scope : kScopes) {
    EXPECT_EQ(code("stranger", scope), Code::unauthorized);
    EXPECT_EQ(code("", scope), Code::unauthorized);
    EXPECT_EQ(code("valid_key_app", scope), Code::unauthorized);
  }
}

TEST_F(GatewayTest, InDevelopmentEveryAppHasItsKey) {
  gateway_->configure(Access(true), Rules());
  for (const Scope scope : kScopes) {
    EXPECT_TRUE(gateway_->authorize("app", "room", "valid_key_app", scope).ok());
    EXPECT_TRUE(gateway_->authorize("any-other", "", "valid_key_any-other", scope).ok());
    EXPECT_EQ(gateway_->authorize("app", "room", "valid_key_other", scope).code(), Code::unauthorized);
  }
}

TEST_F(GatewayTest, PublicChannelsAreReadWithoutAKeyAndNothingElse) {
  Rules rules;
  rules.add("app", pattern("public:*"), {.public_read = true});
  gateway_->configure(Access(), std::move(rules));
  for (const Scope scope : {kHistory, kSubscribe}) {
    EXPECT_TRUE(gateway_->authorize("app", "public:1", "", scope).ok());
    EXPECT_EQ(gateway_->authorize("app", "private", "", scope).code(), Code::unauthorized);
    EXPECT_EQ(gateway_->authorize("other", "public:1", "", scope).code(), Code::unauthorized);
  }
  for (const Scope scope : {kPublish, kAdmin})
    EXPECT_EQ(gateway_->authorize("app", "public:1", "", scope).code(), Code::unauthorized);
}

TEST_F(GatewayTest, NoRuleMakesWhatConcernsTheWholeAppPublic) {
  gateway_->configure(Access(), Rules(ChannelRule{.public_read = true}));
  EXPECT_TRUE(gateway_->authorize("app", "room", "", kHistory).ok());
  EXPECT_EQ(gateway_->authorize("app", "", "", kHistory).code(), Code::unauthorized);
}

TEST_F(GatewayTest, InDevelopmentWhatConcernsTheWholeAppIsReadWithoutAKey) {
  gateway_->configure(Access(true), Rules());
  for (const Scope scope : {kHistory, kSubscribe}) EXPECT_TRUE(gateway_->authorize("app", "", "", scope).ok());
  for (const Scope scope : {kPublish, kAdmin})
    EXPECT_EQ(gateway_->authorize("app", "", "", scope).code(), Code::unauthorized);
  EXPECT_EQ(gateway_->authorize("app", "room", "", kHistory).code(), Code::unauthorized);  // its rule decides
}

TEST_F(GatewayTest, WrongNamesAreSaidBeforeKeysAreLookedAt) {
  EXPECT_EQ(gateway_->authorize("a pp", "room", "", kPublish).code(), Code::invalid_app);
  EXPECT_EQ(gateway_->authorize("app", "ro om", "", kPublish).code(), Code::invalid_channel);
}

TEST_F(GatewayTest, AKeyExpiresWithoutAReload) {
  Access access;
  access.add_key("app", sha256("brief"), kPublish, kStart / kSecond + 10);
  gateway_->configure(std::move(access), Rules());
  EXPECT_TRUE(gateway_->authorize("app", "room", "brief", kPublish).ok());
  clock_us += 9 * kSecond + 999'999;
  EXPECT_TRUE(gateway_->authorize("app", "room", "brief", kPublish).ok());
  clock_us += 1;
  EXPECT_EQ(gateway_->authorize("app", "room", "brief", kPublish).message(), "The API key has expired.");
}

TEST_F(GatewayTest, WhatIsAllowedHasAnotherVersionAfterEachChange) {
  const std::uint64_t first = gateway_->access_version();
  EXPECT_EQ(gateway_->access_version(), first);
  Access access;
  access.add_key("app", sha256("brief"), kPublish, kStart / kSecond + 10);
  gateway_->configure(std::move(access), Rules());
  const std::uint64_t second = gateway_->access_version();
  EXPECT_NE(second, first);
  clock_us += 10 * kSecond;
  const std::uint64_t third = gateway_->access_version();
  EXPECT_NE(third, second);
  gateway_->configure(Access(), Rules());
  EXPECT_NE(gateway_->access_version(), third);
}

TEST_F(GatewayTest, ConfigureReplacesAllAtOnce) {
  gateway_->configure(Access(true), Rules(ChannelRule{.max_event_bytes = 10}));
  EXPECT_EQ(gateway_->publish("app", "room", event("1"), {}).status().code(), Code::payload_too_large);
  gateway_->configure(Access(), Rules());
  EXPECT_TRUE(gateway_->publish("app", "room", event("1"), {}).ok());
  EXPECT_FALSE(gateway_->authorize("app", "room", "valid_key_app", kPublish).ok());
}

TEST_F(GatewayTest, ConfigureMayComeWhileOthersPublishAndRead) {
  std::atomic<bool> done{false};
  std::atomic<int> accepted{0}, refused{0}, wrong{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&] {
        HistoryPage page;
        while (!done || accepted == 0 || refused == 0) {
          const auto result = gateway_->publish("app", "room", event("12345"), {});
          const bool expected = result.ok() || result.status().code() == Code::payload_too_large;
          ++(result.ok() ? accepted : expected ? refused : wrong);
          wrong += gateway_->history("app", "room", {}, page).ok() ? 0 : 1;
          static_cast<void>(gateway_->authorize("app", "room", "valid_key_app", kPublish));
        }
      });
    }
    for (int i = 0; i < 200 || accepted == 0 || refused == 0; ++i) {
      const std::uint64_t allowed = i % 2 == 0 ? 10 : 1000;
      gateway_->configure(Access(i % 2 == 0), Rules(ChannelRule{.max_event_bytes = allowed}));
    }
    done = true;
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(total(Counter::publishes), static_cast<std::uint64_t>(accepted));
}

}  // namespace
}  // namespace polyglot::core
