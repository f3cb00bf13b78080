// What the history takes over from an engine elsewhere.
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <string>
#include <thread>

#include "core/feed.hpp"
#include "core/history.hpp"
#include "temporary.hpp"

namespace polyglot::core::testing {
namespace {

constexpr std::uint64_t kEpoch = 0xabc;

class HistoryLivesTest : public ::testing::Test {
 protected:
  // Events `first` to `last`, whose data is their offset.
  Replica replica(std::uint64_t first, std::uint64_t last, std::uint64_t epoch = kEpoch) {
    Replica made{.epoch = epoch, .first = first};
    for (std::uint64_t offset = first; offset <= last; ++offset) {
      texts_.push_back(envelope(std::to_string(offset)));
      made.events.push_back({texts_.back(), static_cast<TimeUs>(1000 + offset)});
    }
    return made;
  }
  static std::string envelope(std::string_view data, std::string_view channel = "c") {
    std::string text;
    append_envelope(text, {"app", channel, Ulid{}, 1000, {}, {}}, {.channel = {}, .type = "\"t\"", .data = data});
    return text;
  }
  HistoryPage read(const HistoryQuery& query = {}) {
    HistoryPage page;
    history_.read("app", "c", query, page);
    return page;
  }
  std::uint64_t epoch() { return read({.limit = 0}).epoch; }
  static std::vector<std::uint64_t> offsets(const HistoryPage& page) {
    std::vector<std::uint64_t> all;
    for (const HistoryItem& item : page.items) {
      const std::string text = std::to_string(item.offset);
      EXPECT_EQ(page.bytes.text().substr(item.begin, item.size), envelope(text) + text + "}");
      all.push_back(item.offset);
    }
    return all;
  }
  using Offsets = std::vector<std::uint64_t>;

  std::deque<std::string> texts_;
  TemporaryFolder folder_;
  std::unique_ptr<Segment> segment_ = open_segment(small_options(folder_.path()));  // history_size 15
  History history_{*segment_};
};

TEST_F(HistoryLivesTest, TakesOverAChannelFromWhereItStands) {
  ASSERT_TRUE(history_.replace("app", "c", epoch(), replica(41, 40)));
  EXPECT_EQ(epoch(), kEpoch);
  EXPECT_EQ(read({.limit = 0}).last, 40U);
  EXPECT_EQ(read({.since = 40, .epoch = kEpoch}).gap, GapReason::none);
  ASSERT_TRUE(history_.replicate("app", "c", replica(41, 43)));
  EXPECT_EQ(offsets(read({.since = 40, .epoch = kEpoch})), (Offsets{41, 42, 43}));
  const HistoryPage older = read({.since = 20, .epoch = kEpoch});
  EXPECT_EQ(older.gap, GapReason::overwritten);
  EXPECT_EQ(older.gap_from, 21U);
  EXPECT_EQ(older.gap_to, 40U);
  EXPECT_EQ(older.newest, 1043);
}

TEST_F(HistoryLivesTest, TakesOverOnlyWhatIsNew) {
  ASSERT_TRUE(history_.replace("app", "c", epoch(), replica(1, 3)));
  EXPECT_TRUE(history_.replicate("app", "c", replica(1, 3)));
  EXPECT_TRUE(history_.replicate("app", "c", replica(2, 5)));
  EXPECT_EQ(offsets(read()), (Offsets{1, 2, 3, 4, 5}));
}

TEST_F(HistoryLivesTest, TakesNothingThatDoesNotFollow) {
  EXPECT_FALSE(history_.replicate("app", "c", replica(1, 1))) << "there is no such channel";
  ASSERT_TRUE(history_.replace("app", "c", epoch(), replica(1, 3)));
  EXPECT_FALSE(history_.replicate("app", "c", replica(5, 6))) << "4 is missing";
  EXPECT_FALSE(history_.replicate("app", "c", replica(4, 4, kEpoch + 1))) << "another epoch";
  EXPECT_EQ(offsets(read()), (Offsets{1, 2, 3}));
}

TEST_F(HistoryLivesTest, ReplacesOnlyWhatWasSeen) {
  const std::uint64_t before = epoch();
  ASSERT_TRUE(history_.replace("app", "c", before, replica(1, 3)));
  EXPECT_FALSE(history_.replace("app", "c", before, replica(1, 4, kEpoch + 1)));
  EXPECT_EQ(epoch(), kEpoch);
  ASSERT_TRUE(history_.replace("app", "c", kEpoch, replica(2, 4, kEpoch + 1)));
  EXPECT_EQ(offsets(read({.since = 9, .epoch = kEpoch})), (Offsets{2, 3, 4}));
  EXPECT_EQ(read({.since = 3, .epoch = kEpoch}).gap, GapReason::epoch_changed);
}

TEST_F(HistoryLivesTest, ReachesBackWithinAnEpochButNeverLosesWhatItHas) {
  ASSERT_TRUE(history_.replace("app", "c", epoch(), replica(41, 43)));
  ASSERT_TRUE(history_.replace("app", "c", kEpoch, replica(38, 41)));
  EXPECT_EQ(offsets(read({.since = 37, .epoch = kEpoch})), (Offsets{38, 39, 40, 41, 42, 43}));
  EXPECT_EQ(read({.since = 43, .epoch = kEpoch}).gap, GapReason::none);
  EXPECT_EQ(read().newest, 1043);
  EXPECT_FALSE(history_.replace("app", "c", kEpoch, replica(20, 25))) << "26 would be missing";
  ASSERT_TRUE(history_.replace("app", "c", kEpoch, replica(36, 43)));
  ASSERT_TRUE(history_.replicate("app", "c", replica(44, 44)));
  EXPECT_EQ(offsets(read({.since = 35, .epoch = kEpoch})), (Offsets{36, 37, 38, 39, 40, 41, 42, 43, 44}));
}

TEST_F(HistoryLivesTest, WhatStaysOutlivesTheRoomThatAReplicaTakes) {
  const std::string text = envelope('"' + std::string(std::size_t{1} << 16, 'x') + '"');
  ASSERT_TRUE(history_.replace("app", "c", epoch(), replica(11, 13)));
  Replica large = replica(1, 12);
  for (Replica::Event& event : large.events) event.envelope = text;
  ASSERT_TRUE(history_.replace("app", "c", kEpoch, large));
  EXPECT_EQ(offsets(read({.limit = 1})), Offsets{13});
}

TEST_F(HistoryLivesTest, KeepsTheNewestOfMoreThanItHasRoomFor) {
  ASSERT_TRUE(history_.replace("app", "c", epoch(), replica(1, 100)));
  EXPECT_EQ(offsets(read()).front(), 86U);
  EXPECT_EQ(offsets(read()).back(), 100U);
}

TEST_F(HistoryLivesTest, AnEventThatIsTooLargeCountsAsOverwritten) {
  Replica large = replica(1, 3);
  const std::string text = envelope('"' + std::string(std::size_t{1} << 19, 'x') + '"');
  large.events[1].envelope = text;
  ASSERT_TRUE(history_.replace("app", "c", epoch(), replica(1, 1)));
  EXPECT_FALSE(history_.replicate("app", "c", large));
  ASSERT_TRUE(history_.replace("app", "c", kEpoch, large));
  EXPECT_EQ(offsets(read({.since = 0, .epoch = kEpoch})), Offsets{3});
  EXPECT_EQ(read({.since = 0, .epoch = kEpoch}).gap_to, 2U);
}

TEST_F(HistoryLivesTest, WhatIsNoEventOfTheChannelCountsAsOverwritten) {
  for (const std::string& text : {std::string("{\"offset\":"), envelope("1", "d"), envelope("1", "cc")}) {
    Replica strange = replica(1, 3);
    strange.events[1].envelope = text;
    ASSERT_TRUE(history_.replace("app", "c", epoch(), strange));
    EXPECT_EQ(offsets(read({.since = 0, .epoch = kEpoch})), Offsets{3});
  }
}

TEST_F(HistoryLivesTest, FollowersHearOfIt) {
  const auto feed = taken(Feed::open(*segment_));
  while (!feed->poll().none()) continue;
  ASSERT_TRUE(history_.replace("app", "c", epoch(), replica(41, 40)));
  EXPECT_EQ(feed->poll().channels.size(), 1U) << "also of a life without events";
  ASSERT_TRUE(history_.replicate("app", "c", replica(41, 41)));
  EXPECT_EQ(feed->poll().channels.size(), 1U);
}

TEST_F(HistoryLivesTest, IsThereAfterTheFileIsOpenedAgain) {
  ASSERT_TRUE(history_.replace("app", "c", epoch(), replica(41, 43)));
  segment_.reset();
  const auto again = open_segment(small_options(folder_.path()));
  History history(*again);
  HistoryPage page;
  history.read("app", "c", {.since = 40, .epoch = kEpoch}, page);
  EXPECT_EQ(offsets(page), (Offsets{41, 42, 43}));
  EXPECT_TRUE(history.replicate("app", "c", replica(44, 44)));
}

// A reader that follows meets neither a gap nor an older end while the life is replaced by one that reaches back.
TEST_F(HistoryLivesTest, ReadersSeeOneLifeOrTheNext) {
  ASSERT_TRUE(history_.replace("app", "c", epoch(), replica(10, 14)));
  std::atomic<std::uint64_t> seen{14};
  std::atomic<bool> right{true};
  std::thread reader([&] {
    HistoryPage page;
    for (std::uint64_t last = 14; last < 2000 && right;) {
      history_.read("app", "c", {.since = last, .epoch = kEpoch}, page);
      if (page.gap != GapReason::none) right = false;
      for (const HistoryItem& item : page.items) {
        if (item.offset != ++last) right = false;
      }
      seen = last;
    }
  });
  for (std::uint64_t last = 15; last <= 2000 && right; ++last) {
    while (seen + 5 < last && right) std::this_thread::yield();
    EXPECT_TRUE(history_.replicate("app", "c", replica(last, last)));
    EXPECT_TRUE(history_.replace("app", "c", kEpoch, replica(last - 8, last)));
    texts_.clear();
  }
  reader.join();
  EXPECT_TRUE(right);
}

}  // namespace
}  // namespace polyglot::core::testing
