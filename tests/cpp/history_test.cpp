#include "core/history.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <random>
#include <thread>

#include "temporary.hpp"

namespace polyglot::core::testing {
namespace {

class HistoryTest : public ::testing::Test {
 protected:
  HistoryPage read(std::string_view channel, const HistoryQuery& query = {}) {
    HistoryPage page;
    history_.read("app", channel, query, page);
    return page;
  }
  static std::vector<std::uint64_t> offsets(const HistoryPage& page) {
    std::vector<std::uint64_t> all;
    for (const HistoryItem& item : page.items) all.push_back(item.offset);
    return all;
  }
  void fill(std::string_view channel, int count) {
    for (int i = 0; i < count; ++i) append(history_, "app", channel, std::to_string(i));
  }
  using Offsets = std::vector<std::uint64_t>;

  TemporaryFolder folder_;
  std::unique_ptr<Segment> segment_ = open_segment(small_options(folder_.path()));  // history_size 15, 8 channels
  History history_{*segment_};
};

TEST_F(HistoryTest, OffsetsCountFromOneWithoutHoles) {
  for (std::uint64_t i = 1; i <= 40; ++i) EXPECT_EQ(append(history_, "app", "c", "1").offset, i);
  EXPECT_EQ(append(history_, "app", "d", "1").offset, 1U);
  EXPECT_EQ(append(history_, "other", "c", "1").offset, 1U);
}

TEST_F(HistoryTest, GivesBackTheNewestOldestFirst) {
  fill("c", 10);
  EXPECT_EQ(offsets(read("c", {.limit = 3})), (Offsets{8, 9, 10}));
  EXPECT_EQ(offsets(read("c", {.limit = 3, .reverse = true})), (Offsets{10, 9, 8}));
  EXPECT_EQ(offsets(read("c", {.limit = 0})), Offsets{});
}

TEST_F(HistoryTest, GivesBackARange) {
  fill("c", 10);
  EXPECT_EQ(offsets(read("c", {.since = 4, .limit = 3})), (Offsets{5, 6, 7}));
  EXPECT_EQ(offsets(read("c", {.since = 4, .limit = 3, .reverse = true})), (Offsets{10, 9, 8}));
  EXPECT_EQ(offsets(read("c", {.since = 4, .until = 6})), (Offsets{5, 6}));
  EXPECT_EQ(offsets(read("c", {.until = 4, .limit = 2})), (Offsets{3, 4}));
  EXPECT_EQ(offsets(read("c", {.since = 8, .until = 2})), Offsets{});
  EXPECT_EQ(offsets(read("c", {.since = 10})), Offsets{});
  EXPECT_EQ(read("c", {.since = 10}).gap, GapReason::none);
}

TEST_F(HistoryTest, APageEndsWhenItHasEnoughBytes) {
  fill("c", 10);
  const std::size_t size = read("c", {.since = 0, .limit = 1}).bytes.size();
  EXPECT_EQ(offsets(read("c", {.since = 0, .enough = 1})), Offsets{1});
  EXPECT_EQ(offsets(read("c", {.since = 0, .enough = 2 * size})), (Offsets{1, 2}));
  EXPECT_EQ(offsets(read("c", {.since = 0, .lead = 1000, .enough = 2 * size})), (Offsets{1, 2}));
}

TEST_F(HistoryTest, WhatIsReadIsWhatWasWritten) {
  append(history_, "app", "c", R"({"text":"Hello"})");
  append(history_, "app", "c", "[ 1 ]");
  const HistoryPage page = read("c");
  ASSERT_EQ(page.items.size(), 2U);
  EXPECT_NE(page.bytes.text().find(R"("data":{"text":"Hello"})"), std::string::npos);
  EXPECT_NE(page.bytes.text().find(R"("data":[ 1 ])"), std::string::npos);
  EXPECT_NE(page.bytes.text().find(R"("offset":1},{"id":"evt_)"), std::string::npos);
  EXPECT_TRUE(page.bytes.text().ends_with(R"("offset":2})"));
}

TEST_F(HistoryTest, KeepsHistorySizeEventsAndTellsTheGap) {
  fill("c", 40);
  const HistoryPage page = read("c", {.since = 3, .limit = 100});
  EXPECT_EQ(page.gap, GapReason::overwritten);
  EXPECT_EQ(page.gap_from, 4U);
  EXPECT_EQ(page.gap_to, 25U);
  EXPECT_EQ(page.first, 26U);
  EXPECT_EQ(page.items.size(), 15U);
  EXPECT_EQ(page.last, 40U);
  EXPECT_EQ(read("c", {.since = 25}).gap, GapReason::none);
}

TEST_F(HistoryTest, ASmallerSizeHidesTheRest) {
  fill("c", 10);
  EXPECT_EQ(offsets(read("c", {.size = 2})), (Offsets{9, 10}));
  EXPECT_EQ(offsets(read("c", {.size = 0})), Offsets{});
  const HistoryPage page = read("c", {.since = 1, .size = 2});
  EXPECT_EQ(page.gap_to, 8U);
}

TEST_F(HistoryTest, EventsThatAreTooOldAreExpired) {
  for (TimeUs time = 100; time <= 500; time += 100) append(history_, "app", "c", "1", time);
  const HistoryPage page = read("c", {.since = 0, .not_before = 300});
  EXPECT_EQ(offsets(page), (Offsets{3, 4, 5}));
  EXPECT_EQ(page.gap, GapReason::expired);
  EXPECT_EQ(page.gap_from, 1U);
  EXPECT_EQ(page.gap_to, 2U);
  EXPECT_EQ(read("c", {.not_before = 501}).newest, 0);
}

TEST_F(HistoryTest, AClockThatIsSetBackDoesNotHideOrReviveEvents) {
  append(history_, "app", "c", "1", 1000);
  append(history_, "app", "c", "2", 10);
  append(history_, "app", "c", "3", 2000);
  EXPECT_EQ(offsets(read("c", {.not_before = 1000})), (Offsets{1, 2, 3}));
  EXPECT_EQ(offsets(read("c", {.not_before = 1001})), Offsets{3});
}

TEST_F(HistoryTest, AnotherEpochIsToldAndAllThatIsThereGiven) {
  fill("c", 3);
  const HistoryPage page = read("c", {.since = 2, .epoch = 12345});
  EXPECT_EQ(page.gap, GapReason::epoch_changed);
  EXPECT_EQ(page.gap_from, 0U);
  EXPECT_EQ(offsets(page), (Offsets{1, 2, 3}));
}

TEST_F(HistoryTest, APositionBeyondTheEndIsTold) {
  fill("c", 3);
  EXPECT_EQ(read("c", {.since = 4}).gap, GapReason::beyond_end);
  EXPECT_EQ(read("nothing", {.since = 1}).gap, GapReason::beyond_end);
  EXPECT_EQ(read("nothing", {.since = 0}).gap, GapReason::none);
}

TEST_F(HistoryTest, APositionBeforeTheFirstEventIsGoodForAllOfThem) {
  const std::uint64_t before = read("c", {.limit = 0}).epoch;
  fill("c", 3);
  const HistoryPage page = read("c", {.since = 0, .epoch = before});
  EXPECT_EQ(page.gap, GapReason::none);
  EXPECT_EQ(offsets(page), (Offsets{1, 2, 3}));
}

TEST_F(HistoryTest, APositionBeforeTheFirstEventIsVoidOnceAnyPastHasEnded) {
  fill("d", 1);
  const std::uint64_t before = read("c", {.limit = 0}).epoch;
  history_.forget("app", "d");
  fill("c", 3);
  EXPECT_EQ(read("c", {.since = 0, .epoch = before}).gap, GapReason::epoch_changed);
}

TEST_F(HistoryTest, ForgettingBeginsANewEpoch) {
  fill("c", 5);
  const std::uint64_t old = read("c").epoch;
  const std::uint64_t epoch = history_.forget("app", "c");
  EXPECT_NE(epoch, old);
  EXPECT_EQ(read("c").last, 0U);
  const Append first = append(history_, "app", "c", "1");
  EXPECT_EQ(first.offset, 1U);
  EXPECT_EQ(first.epoch, epoch);
  EXPECT_EQ(read("c", {.since = 1, .epoch = old}).gap, GapReason::epoch_changed);
  EXPECT_EQ(history_.forget("app", "never"), read("never").epoch);
  EXPECT_EQ(history_.channels(), 1U);
}

TEST_F(HistoryTest, MoreChannelsThanFitPushOutTheLeastRecentlyPublished) {
  for (int i = 0; i < 8; ++i) fill("c" + std::to_string(i), 1);
  const std::uint64_t epoch = read("c1").epoch;
  fill("c0", 1);
  fill("new", 1);
  EXPECT_EQ(history_.channels(), 8U);
  EXPECT_EQ(history_.channels("app"), 8U);
  EXPECT_EQ(history_.channels("ap"), 0U);
  EXPECT_EQ(read("c0").last, 2U);
  const HistoryPage page = read("c1", {.since = 1, .epoch = epoch});
  EXPECT_EQ(page.gap, GapReason::epoch_changed);
  EXPECT_EQ(page.last, 0U);
  EXPECT_EQ(append(history_, "app", "c1", "1").offset, 1U);
  EXPECT_NE(read("c1").epoch, epoch);
}

TEST_F(HistoryTest, ListsTheAppsChannelsInOrder) {
  for (const char* name : {"b", "a", "c"}) fill(name, 1);
  append(history_, "other", "z", "1");
  EXPECT_EQ(history_.list("app", "", 10), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(history_.list("app", "a", 1), (std::vector<std::string>{"b"}));
}

TEST_F(HistoryTest, AMessageCountsNowhere) {
  fill("c", 3);
  const std::string before = std::string(read("c").bytes.text());
  const std::uint64_t epoch = read("c").epoch;
  ASSERT_TRUE(history_.announce("app", "c", "psst").ok());
  ASSERT_TRUE(history_.announce("app", "new", "psst").ok());
  EXPECT_EQ(read("c").bytes.text(), before);
  EXPECT_EQ(read("c").epoch, epoch);
  EXPECT_EQ(history_.channels(), 1U);
  EXPECT_EQ(append(history_, "app", "c", "4").offset, 4U);
}

TEST_F(HistoryTest, AMessageMayBeLargeButNotLarger) {
  EXPECT_TRUE(history_.announce("app", "c", std::string(kMaxMessage, 'x')).ok());
  const std::uint64_t head = history_.head();
  EXPECT_EQ(history_.announce("app", "c", std::string(kMaxMessage + 1, 'x')).code(), Code::payload_too_large);
  EXPECT_EQ(history_.head(), head);
}

// Messages take room in the log as events do: the oldest events go, and that is said.
TEST_F(HistoryTest, MessagesPushOutTheOldestEvents) {
  fill("c", 1);
  while (history_.head() < 3 * kMinLogBytes) {
    ASSERT_TRUE(history_.announce("", "", std::string(50'001, 'm')).ok());
    fill("d", 1);
  }
  const HistoryPage gone = read("c", {.since = 0});
  EXPECT_EQ(gone.gap, GapReason::overwritten);
  EXPECT_EQ(gone.gap_to, 1U);
  const HistoryPage page = read("d", {.limit = 15});
  EXPECT_EQ(page.items.size(), 15U);
}

TEST_F(HistoryTest, AnEventLargerThanAQuarterOfTheLogIsRefused) {
  const std::string huge = '"' + std::string(kMinLogBytes / 4, 'x') + '"';
  const std::uint64_t head = history_.head();
  EXPECT_EQ(append(history_, "app", "c", huge).status.code(), Code::payload_too_large);
  EXPECT_EQ(history_.head(), head);
  EXPECT_EQ(history_.channels(), 0U);
}

// Many laps around the log with records of every size; after each append the newest events are whole.
TEST_F(HistoryTest, WrapsAroundTheLogWithoutATornEvent) {
  std::mt19937 random(1);
  for (int i = 1; i <= 3000; ++i) {
    const std::string data = '"' + std::string(1 + random() % 9000, 'x') + std::to_string(i) + '"';
    ASSERT_EQ(append(history_, "app", i % 2 == 0 ? "c" : "d", data).offset, static_cast<std::uint64_t>((i + 1) / 2));
    if (i % 50 != 0) continue;
    const HistoryPage page = read("c", {.limit = 15});
    ASSERT_EQ(page.items.size(), 15U);
    for (const HistoryItem& item : page.items) {
      const std::string_view event(page.bytes.data() + item.begin, item.size);
      ASSERT_TRUE(event.starts_with("{\"id\":\"evt_"));
      ASSERT_TRUE(event.ends_with("\"offset\":" + std::to_string(item.offset) + "}"));
      ASSERT_NE(event.find('x' + std::to_string(item.offset * 2) + "\""), std::string_view::npos)
          << event.substr(0, 80);
    }
  }
  EXPECT_GT(history_.head(), 10 * kMinLogBytes);
}

// A reader that races with writers who overwrite what it reads sees whole events of the right channel or a gap.
TEST_F(HistoryTest, AChannelOverwrittenWhileBeingReadGivesWholeEventsOrAGap) {
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    History own(*segment_);
    std::mt19937 random(2);
    for (int i = 0; i < 12000; ++i) append(own, "app", "c", '"' + std::string(random() % 20000, 'y') + '"');
    stop = true;
  });
  std::uint64_t position = 0;
  std::uint64_t seen = 0;
  std::uint64_t missing = 0;
  do {
    const HistoryPage page = read("c", {.since = position, .limit = 5});
    if (page.gap == GapReason::overwritten) {
      ASSERT_EQ(page.gap_from, position + 1);
      missing += page.gap_to - position;
      position = page.gap_to;
    } else {
      ASSERT_EQ(page.gap, GapReason::none);
    }
    for (const HistoryItem& item : page.items) {
      ASSERT_EQ(item.offset, ++position);
      const std::string_view event(page.bytes.data() + item.begin, item.size);
      ASSERT_TRUE(event.ends_with("\"offset\":" + std::to_string(item.offset) + "}"));
      const std::size_t data = event.find("\"data\":\"") + 8;
      ASSERT_EQ(event.find_first_not_of('y', data), event.find("\",\"meta\""));
      ++seen;
    }
  } while (!stop || position < 12000);
  writer.join();
  EXPECT_EQ(seen + missing, 12000U);
}

TEST_F(HistoryTest, KnowsTheTimeOfTheOldestEventInTheLog) {
  EXPECT_EQ(history_.oldest(), 0);
  append(history_, "app", "a");
  const TimeUs first = read("a").items.front().time;
  append(history_, "app", "b");
  EXPECT_EQ(history_.oldest(), first);
  const std::string data = '"' + std::string(2000, 'o') + '"';
  while (history_.head() < 3 * kMinLogBytes) append(history_, "app", "c", data);
  const TimeUs oldest = history_.oldest();
  EXPECT_GT(oldest, first);
  EXPECT_LE(oldest, read("c").newest);
  // What is no event is passed over.
  history_.forget("app", "b");
  ASSERT_TRUE(history_.announce("app", "c", "said").ok());
  EXPECT_EQ(history_.oldest(), oldest);
}

// A thousand workers come and go, each through an opener of its own, around the log and back.
TEST_F(HistoryTest, AThousandWorkersAppendAcrossAWrapAround) {
  const std::string data = '"' + std::string(2000, 'w') + '"';
  for (int batch = 0; batch < 250; ++batch) {
    std::array<pid_t, 4> children{};
    for (pid_t& child : children) {
      child = fork();
      if (child != 0) continue;
      auto opened = Segment::open(small_options(folder_.path()));
      if (!opened.ok()) _exit(1);
      History own(*opened.value());
      for (int i = 0; i < 3; ++i) {
        if (!append(own, "app", "c", data).status.ok()) _exit(2);
      }
      _exit(0);
    }
    for (const pid_t child : children) {
      int status = -1;
      waitpid(child, &status, 0);
      ASSERT_EQ(status, 0);
    }
  }
  const HistoryPage page = read("c");
  EXPECT_EQ(page.last, 3000U);
  EXPECT_EQ(page.items.size(), 15U);
  EXPECT_GT(history_.head(), 5 * kMinLogBytes);
}

}  // namespace
}  // namespace polyglot::core::testing
