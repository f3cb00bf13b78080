#include "core/grant.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <memory>

namespace polyglot::core {
namespace {

constexpr Scope kScopes[] = {kPublish, kHistory, kSubscribe, kAdmin, kPresence};
constexpr std::int64_t kNow = 1'763'000'000;

Grant grant_of(std::initializer_list<std::pair<std::string_view, unsigned>> allowed, std::int64_t expires_at = 0) {
  Grant grant("demo-app", "alice", expires_at);
  for (const auto& [pattern, scopes] : allowed) {
    grant.allow(ChannelPattern::parse(pattern).value(), static_cast<std::uint8_t>(scopes));
  }
  return grant;
}

TEST(Grant, SaysWhatItWasMadeOf) {
  const Grant grant("demo-app", "alice", kNow);
  EXPECT_EQ(grant.app(), "demo-app");
  EXPECT_EQ(grant.user_id(), "alice");
  EXPECT_EQ(grant.expires_at(), kNow);
}

TEST(Grant, GivesTheScopesOfEveryPatternThatMatches) {
  const Grant grant = grant_of({{"room:*", kHistory | kSubscribe}, {"room:alice", kPublish}});
  for (const Scope scope : {kHistory, kSubscribe, kPublish}) {
    EXPECT_TRUE(grant.check("demo-app", "room:alice", scope, kNow).ok()) << scope_text(scope);
  }
  EXPECT_TRUE(grant.check("demo-app", "room:bob", kHistory, kNow).ok());
  EXPECT_EQ(grant.check("demo-app", "room:bob", kPublish, kNow).code(), Code::forbidden);
  EXPECT_EQ(grant.check("demo-app", "hall:bob", kHistory, kNow).code(), Code::forbidden);
}

TEST(Grant, ThatWasAllowedNothingGivesNothing) {
  const Grant empty = grant_of({});
  const Grant no_scopes = grant_of({{"*", 0}});
  for (const Scope scope : kScopes) {
    EXPECT_EQ(empty.check("demo-app", "room:1", scope, kNow).code(), Code::forbidden);
    EXPECT_EQ(no_scopes.check("demo-app", "room:1", scope, kNow).code(), Code::forbidden);
  }
}

TEST(Grant, NamesTheScopeAndTheChannelThatItLacks) {
  const Grant grant = grant_of({{"room:*", kHistory}});
  EXPECT_EQ(grant.check("demo-app", "room:1", kPresence, kNow).message(),
            "The token does not have the scope \"presence\" in the channel \"room:1\".");
  EXPECT_EQ(grant.check("demo-app", "", kHistory, kNow).message(),
            "The token does not have the scope \"history\" in the whole app.");
}

TEST(Grant, NeedsTheStarForTheWholeApp) {
  EXPECT_TRUE(grant_of({{"*", kPublish}}).check("demo-app", "", kPublish, kNow).ok());
  for (const std::string_view pattern : {"room:*", "*:1", "a", "*a*"}) {
    EXPECT_EQ(grant_of({{pattern, kPublish}}).check("demo-app", "", kPublish, kNow).code(), Code::forbidden) << pattern;
  }
  const Grant reads_all = grant_of({{"*", kHistory}, {"room:*", kPublish}});
  EXPECT_EQ(reads_all.check("demo-app", "", kPublish, kNow).code(), Code::forbidden);
}

TEST(Grant, IsForOneApp) {
  const Grant grant = grant_of({{"*", kPublish}});
  for (const std::string_view other : {"other", "demo-ap", "demo-app2", "Demo-app", "*", ""}) {
    const Status status = grant.check(other, "room:1", kPublish, kNow);
    EXPECT_EQ(status.code(), Code::forbidden) << other;
    EXPECT_EQ(status.message(), "The token is for another app.");
  }
}

TEST(Grant, NeverHasTheScopeAdmin) {
  const Grant grant = grant_of({{"*", kPublish | kHistory | kSubscribe | kAdmin | kPresence}});
  for (const std::string_view channel : {"room:1", ""}) {
    const Status status = grant.check("demo-app", channel, kAdmin, kNow);
    EXPECT_EQ(status.code(), Code::forbidden);
    EXPECT_NE(status.message().find("\"admin\""), std::string::npos);
    EXPECT_TRUE(grant.check("demo-app", channel, kPublish, kNow).ok());
  }
}

TEST(Grant, HoldsUntilItsTimeIsOver) {
  const Grant grant = grant_of({{"*", kPublish}}, kNow);
  EXPECT_TRUE(grant.check("demo-app", "room:1", kPublish, kNow - 1).ok());
  for (const std::int64_t late : {kNow, kNow + 1, std::numeric_limits<std::int64_t>::max()}) {
    const Status status = grant.check("demo-app", "room:1", kPublish, late);
    EXPECT_EQ(status.code(), Code::token_expired);
    EXPECT_EQ(status.message(), "The token has expired.");
  }
  // Whoever holds an expired token learns no more than that.
  EXPECT_EQ(grant.check("other", "room:1", kPublish, kNow).code(), Code::token_expired);
}

TEST(Grant, WithoutATimeHoldsForEver) {
  const Grant grant = grant_of({{"*", kPublish}}, 0);
  EXPECT_TRUE(grant.check("demo-app", "room:1", kPublish, std::numeric_limits<std::int64_t>::max()).ok());
}

TEST(Grant, IsSharedOnceItIsFilled) {
  const auto shared = std::make_shared<const Grant>(grant_of({{"room:*", kSubscribe}}));
  EXPECT_TRUE(shared->check("demo-app", "room:1", kSubscribe, kNow).ok());
}

}  // namespace
}  // namespace polyglot::core
