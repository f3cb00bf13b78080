#include "core/rules.hpp"

#include <gtest/gtest.h>

namespace polyglot::core {
namespace {

ChannelRule keeping(std::uint64_t history_size) {
  return {.history_size = history_size};
}

void add(Rules& rules, std::string_view app, std::string_view pattern, const ChannelRule& rule) {
  rules.add(app, ChannelPattern::parse(pattern).value(), rule);
}

TEST(Rules, GiveTheDefaultWithoutAMatch) {
  Rules rules(keeping(7));
  EXPECT_EQ(rules.find("demo-app", "room:test").history_size, 7U);
  add(rules, "demo-app", "other:*", keeping(1));
  EXPECT_EQ(rules.find("demo-app", "room:test").history_size, 7U);
}

TEST(Rules, TheDefaultOfTheDefaultIsDocumented) {
  const Rules rules;
  const ChannelRule& rule = rules.find("demo-app", "room:test");
  EXPECT_EQ(rule.history_size, 1000U);
  EXPECT_EQ(rule.history_ttl_us, 0);
  EXPECT_EQ(rule.max_event_bytes, 65536U);
  EXPECT_FALSE(rule.public_read);
  EXPECT_FALSE(rule.client_publish);
  EXPECT_FALSE(rule.presence);
  EXPECT_FALSE(rule.conflate);
  EXPECT_TRUE(rule.processor);
  EXPECT_FALSE(rule.bypass_processor);
}

TEST(Rules, TheFirstPatternThatMatchesDecides) {
  Rules rules;
  add(rules, "demo-app", "room:vip:*", keeping(1));
  add(rules, "demo-app", "room:*", keeping(2));
  add(rules, "demo-app", "room:vip:never", keeping(3));
  EXPECT_EQ(rules.find("demo-app", "room:vip:never").history_size, 1U);
  EXPECT_EQ(rules.find("demo-app", "room:test").history_size, 2U);
}

TEST(Rules, ARuleIsTakenWhole) {
  Rules rules({.max_event_bytes = 10,
               .public_read = true,
               .client_publish = true,
               .presence = true,
               .conflate = true,
               .processor = false,
               .bypass_processor = true});
  add(rules, "demo-app", "a*", {.history_size = 5});
  add(rules, "demo-app", "*", {.history_size = 6, .public_read = true});
  const ChannelRule& rule = rules.find("demo-app", "abc");
  EXPECT_EQ(rule.history_size, 5U);
  EXPECT_EQ(rule.max_event_bytes, 65536U);
  EXPECT_FALSE(rule.public_read || rule.client_publish || rule.presence || rule.conflate || rule.bypass_processor);
  EXPECT_TRUE(rule.processor);
}

TEST(Rules, StarServesTheAppsWithoutRulesOfTheirOwn) {
  Rules rules(keeping(9));
  add(rules, "*", "room:*", keeping(1));
  add(rules, "own", "none:*", keeping(2));
  EXPECT_EQ(rules.find("demo-app", "room:test").history_size, 1U);
  EXPECT_EQ(rules.find("demo-app", "other").history_size, 9U);
  EXPECT_EQ(rules.find("own", "room:test").history_size, 9U);
}

}  // namespace
}  // namespace polyglot::core
