#include "core/replica.hpp"

#include <gtest/gtest.h>

#include <string>

namespace polyglot::core {
namespace {

std::string event(std::string_view time, std::string_view envelope) {
  return std::string(time) + ' ' + std::to_string(envelope.size()) + '\n' + std::string(envelope);
}

TEST(ReplicaTest, ReadsEventsInOrder) {
  const std::string bytes = "18446744073709551615 41 2\n" + event("1000", "{\"a\":1,\"offset\":") +
                            event("1001", "{\"line\n\":2,\"offset\":");
  const auto replica = Replica::parse(bytes);
  ASSERT_TRUE(replica);
  EXPECT_EQ(replica->epoch, ~std::uint64_t{0});
  EXPECT_EQ(replica->first, 41U);
  EXPECT_EQ(replica->last(), 42U);
  ASSERT_EQ(replica->events.size(), 2U);
  EXPECT_EQ(replica->events[0].envelope, "{\"a\":1,\"offset\":");
  EXPECT_EQ(replica->events[0].time, 1000);
  EXPECT_EQ(replica->events[1].envelope, "{\"line\n\":2,\"offset\":");
}

TEST(ReplicaTest, WithoutEventsItSaysWhereTheChannelStands) {
  const auto replica = Replica::parse("7 51 0\n");
  ASSERT_TRUE(replica);
  EXPECT_EQ(replica->last(), 50U);
}

TEST(ReplicaTest, TakesNothingThatIsNotRightToTheLastByte) {
  const std::string good = "7 1 1\n" + event("5", "{\"offset\":");
  ASSERT_TRUE(Replica::parse(good));
  for (std::size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(Replica::parse(good.substr(0, size))) << size;
  EXPECT_FALSE(Replica::parse(good + "x"));
  for (const char* wrong : {"0 1 0\n", "7 0 0\n", "-7 1 0\n", "7 -1 0\n", "7 1 -1\n", "7 1 99999999999999999999\n",
                            "7 1 1\n-5 10\n{\"offset\":", "7 1 1\n5 10\n{\"offses\":", "7 1 1\n5 11\n{\"offset\":",
                            "7 9007199254740993 0\n", "7  1 0\n", "+7 1 0\n", "7 1 4294967295\n"}) {
    EXPECT_FALSE(Replica::parse(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace polyglot::core
