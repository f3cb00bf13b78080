#include "core/limits.hpp"

#include <gtest/gtest.h>

namespace polyglot::core {
namespace {

TEST(LimitsTest, ThereAreNoneWhereNoneWereAdded) {
  EXPECT_EQ(Limits().find("app"), nullptr);
  Limits limits;
  limits.add("other", {.connections = 1});
  EXPECT_EQ(limits.find("app"), nullptr);
}

TEST(LimitsTest, AnAppWithoutItsOwnHasThoseOfTheStar) {
  Limits limits;
  limits.add("*", {.connections = 1});
  limits.add("app", {.channels = 2});
  ASSERT_NE(limits.find("another"), nullptr);
  EXPECT_EQ(limits.find("another")->connections, 1U);
  ASSERT_NE(limits.find("app"), nullptr);
  EXPECT_EQ(limits.find("app")->channels, 2U);
  EXPECT_EQ(limits.find("app")->connections, 0U);
}

TEST(LimitsTest, WhatIsAddedLastCounts) {
  Limits limits;
  limits.add("app", {.events = TokenBucket(1, 1)});
  limits.add("app", {.events = TokenBucket(2, 3)});
  EXPECT_EQ(limits.find("app")->events->rate(), 2U);
  EXPECT_EQ(limits.find("app")->events->burst(), 3U);
}

}  // namespace
}  // namespace polyglot::core
