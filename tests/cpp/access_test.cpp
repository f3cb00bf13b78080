#include "core/access.hpp"

#include <gtest/gtest.h>

#include <string>

namespace polyglot::core {
namespace {

constexpr Scope kScopes[] = {kPublish, kHistory, kSubscribe, kAdmin, kPresence};

TEST(Scopes, HaveTheNamesOfTheInterface) {
  EXPECT_EQ(parse_scope("publish"), kPublish);
  EXPECT_EQ(parse_scope("history"), kHistory);
  EXPECT_EQ(parse_scope("subscribe"), kSubscribe);
  EXPECT_EQ(parse_scope("admin"), kAdmin);
  EXPECT_EQ(parse_scope("presence"), kPresence);
  for (const Scope scope : kScopes) {
    EXPECT_EQ(parse_scope(scope_text(scope)), scope);
  }
  for (const std::string_view other : {"", "Publish", "publish ", "read", "adm"}) {
    EXPECT_EQ(parse_scope(other), 0) << other;
  }
}

TEST(Access, AKeyMayDoWhatItsScopesSay) {
  Access access;
  access.add_key("demo-app", sha256("key"), kPublish | kSubscribe);
  EXPECT_TRUE(access.check("demo-app", "key", kPublish, 0).ok());
  EXPECT_TRUE(access.check("demo-app", "key", kSubscribe, 0).ok());
  const Status refused = access.check("demo-app", "key", kHistory, 0);
  EXPECT_EQ(refused.code(), Code::forbidden);
  EXPECT_EQ(refused.message(), "The API key does not have the scope \"history\".");
  EXPECT_EQ(access.check("demo-app", "key", kAdmin, 0).code(), Code::forbidden);
}

TEST(Access, EveryKeyOfAnAppIsTried) {
  Access access;
  access.add_key("demo-app", sha256("first"), kPublish);
  access.add_key("demo-app", sha256("second"), kHistory);
  access.add_key("demo-app", sha256("third"), kAdmin);
  EXPECT_TRUE(access.check("demo-app", "first", kPublish, 0).ok());
  EXPECT_TRUE(access.check("demo-app", "second", kHistory, 0).ok());
  EXPECT_TRUE(access.check("demo-app", "third", kAdmin, 0).ok());
  EXPECT_EQ(access.check("demo-app", "first", kHistory, 0).code(), Code::forbidden);
}

TEST(Access, AKeyAddedTwiceHasTheScopesOfBoth) {
  Access access;
  access.add_key("demo-app", sha256("key"), kPublish);
  access.add_key("demo-app", sha256("key"), kHistory);
  EXPECT_TRUE(access.check("demo-app", "key", kPublish, 0).ok());
  EXPECT_TRUE(access.check("demo-app", "key", kHistory, 0).ok());
}

TEST(Access, KeysOfOneAppAreNoKeysOfAnother) {
  Access access;
  access.add_key("one", sha256("key of one"), kPublish);
  access.add_key("two", sha256("key of two"), kPublish);
  EXPECT_EQ(access.check("two", "key of one", kPublish, 0).code(), Code::unauthorized);
}

TEST(Access, AKeyHoldsUntilItsEnd) {
  Access access;
  access.add_key("demo-app", sha256("brief"), kPublish, 1000);
  access.add_key("demo-app", sha256("lasting"), kPublish);
  EXPECT_TRUE(access.check("demo-app", "brief", kPublish, 999).ok());
  for (const std::int64_t now : {1000, 2000}) {
    const Status status = access.check("demo-app", "brief", kPublish, now);
    EXPECT_EQ(status.code(), Code::unauthorized);
    EXPECT_EQ(status.message(), "The API key has expired.");
    EXPECT_EQ(access.check("demo-app", "brief", kAdmin, now).message(), status.message());
    EXPECT_TRUE(access.check("demo-app", "lasting", kPublish, now).ok());
  }
  EXPECT_TRUE(access.check("demo-app", "lasting", kPublish, std::int64_t{1} << 60).ok());
}

TEST(Access, OnlyTheHolderOfAKeyIsToldThatItHasExpired) {
  Access access;
  access.add_key("demo-app", sha256("brief"), kPublish, 1000);
  EXPECT_EQ(access.check("demo-app", "guess", kPublish, 2000).message(), "The API key is not a key of this app.");
  EXPECT_EQ(access.check("other", "brief", kPublish, 2000).message(), "The API key is not a key of this app.");
}

TEST(Access, AKeyAddedTwiceLosesTheScopesOfTheOneThatEnds) {
  Access access;
  access.add_key("demo-app", sha256("key"), kPublish, 1000);
  access.add_key("demo-app", sha256("key"), kHistory);
  EXPECT_TRUE(access.check("demo-app", "key", kPublish, 999).ok());
  EXPECT_EQ(access.check("demo-app", "key", kPublish, 1000).code(), Code::forbidden);
  EXPECT_TRUE(access.check("demo-app", "key", kHistory, 1000).ok());
}

TEST(Access, CountsTheKeysThatHaveExpired) {
  Access access;
  access.add_key("one", sha256("lasting"), kPublish);
  EXPECT_FALSE(access.has_ends());
  access.add_key("one", sha256("first"), kPublish, 1000);
  access.add_key("two", sha256("second"), kPublish, 2000);
  EXPECT_TRUE(access.has_ends());
  EXPECT_EQ(access.expired(999), 0U);
  EXPECT_EQ(access.expired(1000), 1U);
  EXPECT_EQ(access.expired(2000), 2U);
}

TEST(Access, AStrangerCannotTellWhichAppsExist) {
  Access access;
  access.add_app("without-keys");
  access.add_key("with-keys", sha256("key"), kPublish);
  const Status unknown = access.check("no-such-app", "guess", kPublish, 0);
  EXPECT_EQ(unknown.code(), Code::unauthorized);
  for (const std::string_view app : {"without-keys", "with-keys"}) {
    const Status status = access.check(app, "guess", kPublish, 0);
    EXPECT_EQ(status.code(), unknown.code());
    EXPECT_EQ(status.message(), unknown.message());
  }
}

TEST(Access, NoKeyIsUnauthorized) {
  for (const bool development : {false, true}) {
    Access access(development);
    access.add_key("demo-app", sha256(""), kPublish);
    const Status status = access.check("demo-app", "", kPublish, 0);
    EXPECT_EQ(status.code(), Code::unauthorized);
    EXPECT_EQ(status.message(), "No API key was sent.");
  }
}

TEST(Access, InDevelopmentEveryAppHasAWellKnownKey) {
  Access access(true);
  EXPECT_TRUE(access.development());
  for (const Scope scope : kScopes) {
    EXPECT_TRUE(access.check("demo-app", "valid_key_demo-app", scope, 0).ok());
  }
  const std::string longest(64, 'a');
  EXPECT_TRUE(access.check(longest, "valid_key_" + longest, kPublish, 0).ok());
  for (const std::string_view wrong : {"valid_key_", "valid_key_demo-ap", "valid_key_demo-app1", "valid_key_demo-apq",
                                       "Valid_key_demo-app", "valid_key_other", "demo-app"}) {
    EXPECT_EQ(access.check("demo-app", wrong, kPublish, 0).code(), Code::unauthorized) << wrong;
  }
  access.add_key("demo-app", sha256("key"), kPublish);
  EXPECT_TRUE(access.check("demo-app", "key", kPublish, 0).ok());
  EXPECT_EQ(access.check("demo-app", "key", kAdmin, 0).code(), Code::forbidden);
}

TEST(Access, OutsideDevelopmentThereIsNoWellKnownKey) {
  Access access;
  access.add_app("demo-app");
  EXPECT_FALSE(access.development());
  EXPECT_EQ(access.check("demo-app", "valid_key_demo-app", kPublish, 0).code(), Code::unauthorized);
}

}  // namespace
}  // namespace polyglot::core
