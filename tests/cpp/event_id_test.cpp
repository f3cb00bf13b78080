#include "core/event_id.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace polyglot::core {
namespace {

constexpr TimeUs kNow = 1763404796107549;

std::uint64_t milliseconds_of(const Ulid& id) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 6; ++i) {
    value = value << 8 | id[i];
  }
  return value;
}

TEST(EventIdText, IsCrockfordBase32) {
  Ulid id{};
  EXPECT_EQ(event_id_text(id), "evt_00000000000000000000000000");
  id.fill(0xFF);
  EXPECT_EQ(event_id_text(id), "evt_7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
  id.fill(0);
  id[15] = 31;
  EXPECT_EQ(event_id_text(id), "evt_0000000000000000000000000Z");
  id[15] = 32;
  EXPECT_EQ(event_id_text(id), "evt_00000000000000000000000010");
  id.fill(0);
  id[5] = 1;
  EXPECT_EQ(event_id_text(id), "evt_00000000010000000000000000");
}

// Digit by digit from the whole number, as a person would.
std::string by_long_division(Ulid id) {
  std::string digits;
  for (int i = 0; i < 26; ++i) {
    unsigned rest = 0;
    for (std::uint8_t& byte : id) {
      const unsigned value = rest * 256 + byte;
      byte = static_cast<std::uint8_t>(value / 32);
      rest = value % 32;
    }
    digits += "0123456789ABCDEFGHJKMNPQRSTVWXYZ"[rest];
  }
  std::reverse(digits.begin(), digits.end());
  return "evt_" + digits;
}

TEST(EventIdText, IsTheNumberInBase32) {
  EventIds ids;
  for (int i = 0; i < 500; ++i) {
    const Ulid id = ids.next(kNow + i * 1000);
    EXPECT_EQ(event_id_text(id), by_long_division(id));
  }
}

TEST(EventIds, CarryTheMilliseconds) {
  EventIds ids;
  EXPECT_EQ(milliseconds_of(ids.next(kNow)), 1763404796107U);
  EXPECT_EQ(milliseconds_of(ids.next(kNow + 1000)), 1763404796108U);
}

TEST(EventIds, IncreaseByOneWhileTheClockStands) {
  EventIds ids;
  Ulid before = ids.next(kNow);
  for (int i = 0; i < 1000; ++i) {
    const Ulid id = ids.next(kNow);
    Ulid expected = before;
    for (std::size_t byte = expected.size(); byte-- > 0 && ++expected[byte] == 0;) {
    }
    ASSERT_EQ(id, expected);
    before = id;
  }
}

TEST(EventIds, CarryIntoTheMillisecondsWhenTheRandomBitsAreUsedUp) {
  Ulid last{};
  std::fill(last.begin() + 6, last.end(), std::uint8_t{0xFF});
  last[5] = 0xFF;
  EventIds ids(last);
  Ulid expected{};
  expected[4] = 1;
  EXPECT_EQ(ids.next(0), expected);
  expected[15] = 1;
  EXPECT_EQ(ids.next(0), expected);

  last = {};
  std::fill(last.begin() + 8, last.end(), std::uint8_t{0xFF});
  EventIds in_the_middle(last);
  expected = {};
  expected[7] = 1;
  EXPECT_EQ(in_the_middle.next(0), expected);
}

TEST(EventIds, GoOnBehindTheLastOne) {
  EventIds first;
  const Ulid last = first.next(kNow);
  EventIds second(last);
  EXPECT_GT(second.next(kNow), last);
  EXPECT_GT(second.next(kNow - 5000000), last);
}

TEST(EventIds, IncreaseWhenTheClockGoesBack) {
  EventIds ids;
  Ulid before = ids.next(kNow);
  for (const TimeUs now : {kNow - 1, kNow - 1000, kNow - 3600000000, TimeUs{0}, TimeUs{-1}, kNow}) {
    const Ulid id = ids.next(now);
    EXPECT_GT(id, before);
    EXPECT_EQ(milliseconds_of(id), milliseconds_of(before));
    before = id;
  }
}

TEST(EventIds, AreDrawnAnewInEachMillisecondAndByEachProcess) {
  std::set<Ulid> random_parts;
  for (int generator = 0; generator < 20; ++generator) {
    EventIds ids;
    for (int i = 0; i < 20; ++i) {
      Ulid id = ids.next(kNow + i * 1000);
      std::fill_n(id.begin(), 6, std::uint8_t{0});
      random_parts.insert(id);
    }
  }
  EXPECT_EQ(random_parts.size(), 400U);
}

TEST(EventIds, SortAsTextAsTheySortByTime) {
  EventIds ids;
  std::string before;
  for (int i = 0; i < 2000; ++i) {
    const std::string text = event_id_text(ids.next(kNow + i * 300));
    EXPECT_LT(before, text);
    before = text;
  }
}

TEST(EventIds, AreStrictlyIncreasingInEveryThreadAndUniqueOverAll) {
  constexpr int kThreads = 4;
  constexpr int kEach = 5000;
  EventIds ids;
  std::vector<std::vector<Ulid>> given(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&ids, &mine = given[static_cast<std::size_t>(t)]] {
      for (int i = 0; i < kEach; ++i) {
        mine.push_back(ids.next(kNow + i));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  std::set<Ulid> all;
  for (const std::vector<Ulid>& mine : given) {
    EXPECT_EQ(std::adjacent_find(mine.begin(), mine.end(), std::greater_equal<>()), mine.end());
    all.insert(mine.begin(), mine.end());
  }
  EXPECT_EQ(all.size(), static_cast<std::size_t>(kThreads * kEach));
}

}  // namespace
}  // namespace polyglot::core
