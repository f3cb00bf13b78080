#include "core/feed.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <set>
#include <thread>

#include "core/shared_bytes.hpp"
#include "feed_fixture.hpp"

namespace polyglot::core::testing {
namespace {

TEST_F(FeedTest, SeesWhatAnotherOpenerAppendsFromNowOnEachChannelOnce) {
  append(history_, "app", "before");
  const auto feed = taken(Feed::open(*follower_));
  EXPECT_EQ(feed->poll().channels, Channels{});
  append(history_, "app", "b");
  append(history_, "app", "a");
  append(history_, "other-app", "a");
  append(history_, "app", "b");
  const FeedNews news = feed->poll();
  EXPECT_FALSE(news.overrun);
  EXPECT_EQ(news.channels, (Channels{{"app", "b"}, {"app", "a"}, {"other-app", "a"}}));
  EXPECT_EQ(feed->poll().channels, Channels{});
  append(history_, "app", "b");
  EXPECT_EQ(feed->poll().channels, (Channels{{"app", "b"}}));
}

TEST_F(FeedTest, SeesWhatItsOwnOpenerAppends) {
  const auto feed = taken(Feed::open(*follower_));
  History own(*follower_);
  append(own, "app", "a");
  EXPECT_EQ(feed->poll().channels, (Channels{{"app", "a"}}));
}

TEST_F(FeedTest, NamesOfTheGreatestLengthAreWhole) {
  const auto feed = taken(Feed::open(*follower_));
  const std::string app(kMaxAppLength, 'a'), channel(kMaxChannelLength, 'c');
  append(history_, app, channel);
  append(history_, "a", "c");
  EXPECT_EQ(feed->poll().channels, (Channels{{app, channel}, {"a", "c"}}));
}

TEST_F(FeedTest, TheDescriptorBecomesReadableWithTheNextAppend) {
  const auto feed = taken(Feed::open(*follower_));
  EXPECT_EQ(feed->poll().channels, Channels{});
  EXPECT_FALSE(readable(feed->fd()));
  append(history_, "app", "a");
  EXPECT_TRUE(becomes_readable(feed->fd()));
  EXPECT_EQ(total(Counter::wakes), 1U);
  EXPECT_EQ(feed->poll().channels.size(), 1U);
  EXPECT_FALSE(readable(feed->fd()));
}

TEST_F(FeedTest, NobodyIsWokenWhoDoesNotSleep) {
  const auto feed = taken(Feed::open(*follower_));
  append(history_, "app", "a");
  EXPECT_EQ(total(Counter::wakes), 0U);
  feed->poll();  // there was news: it does not sleep yet
  append(history_, "app", "a");
  EXPECT_EQ(total(Counter::wakes), 0U);
  EXPECT_FALSE(readable(feed->fd()));
  EXPECT_EQ(feed->poll().channels.size(), 1U);
}

TEST_F(FeedTest, EachOfSeveralFeedsIsWokenAndSeesAll) {
  const auto third = open();
  const auto one = taken(Feed::open(*follower_));
  const auto other = taken(Feed::open(*third));
  for (const auto& feed : {one.get(), other.get()}) feed->poll();
  append(history_, "app", "a");
  for (const auto& feed : {one.get(), other.get()}) {
    EXPECT_TRUE(becomes_readable(feed->fd()));
    EXPECT_EQ(feed->poll().channels, (Channels{{"app", "a"}}));
  }
}

TEST_F(FeedTest, AFeedThatEndedIsNotWoken) {
  taken(Feed::open(*follower_))->poll();
  append(history_, "app", "a");
  EXPECT_EQ(total(Counter::wakes), 0U);
  // The next feed of this worker begins with nothing to read.
  const auto feed = taken(Feed::open(*follower_));
  EXPECT_FALSE(readable(feed->fd()));
  EXPECT_EQ(feed->poll().channels, Channels{});
}

TEST_F(FeedTest, TellsThatAPastWasForgotten) {
  append(history_, "app", "a");
  const auto feed = taken(Feed::open(*follower_));
  feed->poll();
  history_.forget("app", "a");
  EXPECT_TRUE(becomes_readable(feed->fd()));
  EXPECT_EQ(feed->poll().channels, (Channels{{"app", "a"}}));
  history_.forget("app", "never was");
  EXPECT_EQ(feed->poll().channels, Channels{});
}

TEST_F(FeedTest, AChannelIsNamedOnceThroughAllItsLives) {
  const auto feed = taken(Feed::open(*follower_));
  append(history_, "app", "a");
  history_.forget("app", "a");
  append(history_, "app", "a");
  for (int i = 0; i < 8; ++i) append(history_, "app", "c" + std::to_string(i));  // evicts a
  append(history_, "app", "a");
  const Channels channels = feed->poll().channels;
  EXPECT_EQ(channels.size(), 9U);
  EXPECT_EQ(std::count(channels.begin(), channels.end(), std::pair<std::string, std::string>("app", "a")), 1);
}

TEST_F(FeedTest, SurvivesTheEvictionOfAChannelItHasNotReadYet) {
  const auto feed = taken(Feed::open(*follower_));
  Channels expected;
  for (int i = 0; i < 20; ++i) {  // room is for 8
    append(history_, "app", "c" + std::to_string(i));
    expected.emplace_back("app", "c" + std::to_string(i));
  }
  EXPECT_EQ(feed->poll().channels, expected);
}

TEST_F(FeedTest, SkipsWhatIsLeftAtTheEndOfTheLog) {
  const auto feed = taken(Feed::open(*follower_));
  std::mt19937 random(1);
  const std::uint64_t lap = writer_->map().geometry().log_bytes;
  while (writer_->map().header().head.load() < 20 * lap) {
    const std::string name = "c" + std::to_string(random() % 8);
    append(history_, "app", name, "\"" + std::string(random() % 20'000, 'x') + "\"");
    const FeedNews news = feed->poll();
    ASSERT_FALSE(news.overrun);
    ASSERT_EQ(news.channels, (Channels{{"app", name}}));
  }
}

// A writer may be seen, or die, between the filler that ends a lap and the record that follows it.
TEST_F(FeedTest, SleepsWhenThereIsOnlyFiller) {
  const auto feed = taken(Feed::open(*follower_));
  append(history_, "app", "a");
  feed->poll();
  Header& header = writer_->map().header();
  {
    const Segment::Lock lock(*writer_);
    RecordHeader filler{};
    filler.kind = RecordKind::filler;
    filler.position = header.head.load();
    store_shared(writer_->map().log(filler.position), &filler, sizeof(filler));
    header.head.store(filler.position + sizeof(filler));
  }
  EXPECT_EQ(feed->poll().channels, Channels{});
  append(history_, "app", "a");
  EXPECT_TRUE(readable(feed->fd()));
  EXPECT_EQ(feed->poll().channels, (Channels{{"app", "a"}}));
}

TEST_F(FeedTest, SaysThatItWasOverrunAndGoesOn) {
  const auto feed = taken(Feed::open(*follower_));
  append(history_, "app", "a");
  fill_log(3 * writer_->map().geometry().log_bytes / 2);
  EXPECT_TRUE(feed->poll().overrun);
  EXPECT_EQ(total(Counter::feed_overruns), 1U);
  const FeedNews after = feed->poll();
  EXPECT_FALSE(after.overrun);
  EXPECT_EQ(after.channels, Channels{});
  append(history_, "app", "b");
  EXPECT_TRUE(becomes_readable(feed->fd()));
  EXPECT_EQ(feed->poll().channels, (Channels{{"app", "b"}}));
  EXPECT_EQ(total(Counter::feed_overruns), 1U);
}

TEST_F(FeedTest, ALapOfBacklogIsNoOverrun) {
  const auto feed = taken(Feed::open(*follower_));
  append(history_, "app", "a");
  fill_log(writer_->map().geometry().log_bytes * 9 / 10);
  const FeedNews news = feed->poll();
  EXPECT_FALSE(news.overrun);
  EXPECT_EQ(news.channels, (Channels{{"app", "a"}, {"app", "big"}}));
}

TEST_F(FeedTest, ReadsALargeBacklogInSeveralPolls) {
  const TemporaryFolder folder;
  SegmentOptions options = small_options(folder.path());
  options.history_bytes = std::uint64_t{8} << 20;
  const auto segment = open_segment(options);
  History history(*segment);
  const auto feed = taken(Feed::open(*segment));
  for (int i = 0; i < Feed::kMaxRecords; ++i) append(history, "app", "first");
  for (int i = 0; i < Feed::kMaxRecords / 2; ++i) append(history, "app", "second");
  EXPECT_EQ(feed->poll().channels, (Channels{{"app", "first"}}));
  EXPECT_EQ(feed->poll().channels, (Channels{{"app", "second"}}));
  EXPECT_EQ(feed->poll().channels, Channels{});
}

TEST_F(FeedTest, NamesAnyNumberOfChannelsInSeveralPolls) {
  const TemporaryFolder folder;
  SegmentOptions options = small_options(folder.path());
  options.history_bytes = std::uint64_t{8} << 20;
  const auto segment = open_segment(options);
  History history(*segment);
  const auto feed = taken(Feed::open(*segment));
  std::set<std::string> expected, seen;
  for (std::size_t i = 0; i < 2 * Feed::kMaxChannels + 1; ++i) {
    const std::string name = "c" + std::to_string(i);
    for (const std::string& to : {name, std::string("often"), name}) append(history, "app", to);
    expected.insert({name, "often"});
  }
  std::size_t polls = 0;
  for (FeedNews news = feed->poll(); !news.none(); news = feed->poll(), ++polls) {
    ASSERT_LE(news.channels.size(), Feed::kMaxChannels);
    std::set<std::string> named;
    for (const auto& [app, channel] : news.channels) EXPECT_TRUE(named.insert(channel).second) << channel;
    seen.merge(named);
  }
  EXPECT_EQ(polls, 3U);
  EXPECT_EQ(seen, expected);
}

TEST_F(FeedTest, SaysThatItsPipeCanNotBeMade) {
  std::ofstream(folder_.path() + "/wake") << "not a folder";
  const auto feed = Feed::open(*follower_);
  ASSERT_FALSE(feed.ok());
  EXPECT_EQ(feed.status().code(), Code::storage_unusable);
}

// A follower that only ever waits on its descriptor gets everything, while two writers go round the log.
TEST_F(FeedTest, AFollowerThatWaitsMissesNothing) {
  constexpr std::uint64_t kEach = 4000;
  const auto feed = taken(Feed::open(*follower_));
  const auto third = open();
  auto write = [](Segment& segment, const char* channel) {
    History history(segment);
    const std::string data = "\"" + std::string(300, 'x') + "\"";
    for (std::uint64_t i = 0; i < kEach; ++i) append(history, "app", channel, data);
  };
  const std::jthread one([&] { write(*writer_, "one"); });
  const std::jthread two([&] { write(*third, "two"); });
  History reader(*follower_);
  HistoryPage page;
  std::uint64_t seen_one = 0, seen_two = 0;
  while (seen_one < kEach || seen_two < kEach) {
    const FeedNews news = feed->poll();
    if (news.channels.empty() && !news.overrun) {
      ASSERT_TRUE(becomes_readable(feed->fd())) << "nobody woke the follower";
      continue;
    }
    for (auto* seen : {&seen_one, &seen_two}) {
      const std::string name = seen == &seen_one ? "one" : "two";
      const bool named = std::find(news.channels.begin(), news.channels.end(),
                                   std::pair<std::string, std::string>("app", name)) != news.channels.end();
      if (!named && !news.overrun) continue;
      reader.read("app", name, {.limit = 0}, page);
      *seen = page.last;
    }
  }
  EXPECT_EQ(seen_one, kEach);
  EXPECT_EQ(seen_two, kEach);
}

}  // namespace
}  // namespace polyglot::core::testing
