// What makes the feed a bus between workers: who is woken for what, and the messages.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "feed_fixture.hpp"

namespace polyglot::core::testing {
namespace {

TEST_F(FeedTest, HasOnlyNewsOfWhatItWatches) {
  const auto feed = taken(Feed::open(*follower_));
  feed->watch_all(false);
  feed->watch("app", "a");
  EXPECT_TRUE(feed->poll().none());
  append(history_, "app", "b");
  append(history_, "other-app", "a");
  history_.forget("app", "b");
  EXPECT_FALSE(readable(feed->fd()));
  EXPECT_EQ(total(Counter::wakes), 0U);
  append(history_, "app", "a");
  EXPECT_TRUE(becomes_readable(feed->fd()));
  EXPECT_EQ(feed->poll().channels, (Channels{{"app", "a"}}));
  EXPECT_TRUE(feed->poll().none());
  feed->watch_all(true);
  append(history_, "app", "b");
  EXPECT_TRUE(becomes_readable(feed->fd()));
  EXPECT_EQ(feed->poll().channels, (Channels{{"app", "b"}}));
}

TEST_F(FeedTest, AChannelIsWatchedUntilItsLastWatcherGoes) {
  const auto feed = taken(Feed::open(*follower_));
  feed->watch_all(false);
  feed->watch("app", "a");
  feed->watch("app", "a");
  feed->unwatch("app", "a");
  EXPECT_TRUE(feed->poll().none());
  append(history_, "app", "a");
  EXPECT_TRUE(becomes_readable(feed->fd()));
  EXPECT_EQ(feed->poll().channels, (Channels{{"app", "a"}}));
  feed->unwatch("app", "a");
  feed->unwatch("app", "a");  // one too many takes nothing from others
  EXPECT_TRUE(feed->poll().none());
  append(history_, "app", "a");
  EXPECT_FALSE(readable(feed->fd()));
  EXPECT_TRUE(feed->poll().none());
  feed->watch("app", "a");
  append(history_, "app", "a");
  EXPECT_EQ(feed->poll().channels, (Channels{{"app", "a"}}));
}

// More channels than bits: each bit has a watcher, and goes with its last one.
TEST_F(FeedTest, ChannelsThatShareABitAreWatchedEachOnItsOwn) {
  const auto feed = taken(Feed::open(*follower_));
  feed->watch_all(false);
  for (std::size_t i = 0; i < 4 * kWatchedBits; ++i) feed->watch("app", "c" + std::to_string(i));
  for (std::size_t i = 1; i < 4 * kWatchedBits; ++i) feed->unwatch("app", "c" + std::to_string(i));
  EXPECT_TRUE(feed->poll().none());
  append(history_, "app", "c0");
  EXPECT_TRUE(becomes_readable(feed->fd()));
  EXPECT_EQ(feed->poll().channels, (Channels{{"app", "c0"}}));
  feed->unwatch("app", "c0");
  const WorkerSlot& slot = follower_->map().worker(follower_->worker());
  for (const SharedU64& bits : slot.watched) EXPECT_EQ(bits.load(), 0U);
}

TEST_F(FeedTest, ANewFeedBeginsByWatchingAllWhateverTheLastOneLeft) {
  for (SharedU64& bits : follower_->map().worker(follower_->worker()).watched) bits = ~std::uint64_t{0};
  const auto feed = taken(Feed::open(*follower_));
  EXPECT_TRUE(feed->poll().none());
  append(history_, "app", "a");
  EXPECT_EQ(feed->poll().channels, (Channels{{"app", "a"}}));
  feed->watch_all(false);
  EXPECT_TRUE(feed->poll().none());
  append(history_, "app", "a");
  EXPECT_EQ(total(Counter::wakes), 1U);
  EXPECT_TRUE(feed->poll().none());
}

TEST_F(FeedTest, AWorkerThatStaysAwakeIsNotWoken) {
  const auto feed = taken(Feed::open(*follower_));
  EXPECT_TRUE(feed->poll().none());
  feed->stay_awake();
  append(history_, "app", "a");
  EXPECT_EQ(total(Counter::wakes), 0U);
  EXPECT_FALSE(readable(feed->fd()));
  EXPECT_EQ(feed->poll().channels, (Channels{{"app", "a"}}));
  EXPECT_TRUE(feed->poll().none());
  append(history_, "app", "a");
  EXPECT_TRUE(readable(feed->fd()));
  feed->stay_awake();
  EXPECT_EQ(feed->poll().channels.size(), 1U);
  EXPECT_FALSE(readable(feed->fd()));
}

TEST_F(FeedTest, MessagesReachEveryFeedInOrderAndNoHistory) {
  const auto third = open();
  const auto one = taken(Feed::open(*follower_));
  const auto other = taken(Feed::open(*third));
  other->watch_all(false);
  for (const auto& feed : {one.get(), other.get()}) EXPECT_TRUE(feed->poll().none());
  const std::string app(kMaxAppLength, 'a'), channel(kMaxChannelLength, 'c'), bytes("\0 any \xff bytes", 13);
  append(history_, "app", "a");
  ASSERT_TRUE(history_.announce("", "", "").ok());
  ASSERT_TRUE(history_.announce("app", "", "to an app").ok());
  ASSERT_TRUE(history_.announce(app, channel, bytes).ok());
  for (const auto& feed : {one.get(), other.get()}) {
    EXPECT_TRUE(becomes_readable(feed->fd()));
    const FeedNews news = feed->poll();
    EXPECT_EQ(news.channels.size(), feed == one.get() ? 1U : 0U);
    ASSERT_EQ(news.messages.size(), 3U);
    EXPECT_EQ(news.messages[0].app + news.messages[0].channel + news.messages[0].payload, "");
    EXPECT_EQ(news.messages[1].app, "app");
    EXPECT_EQ(news.messages[1].channel, "");
    EXPECT_EQ(news.messages[1].payload, "to an app");
    EXPECT_EQ(news.messages[2].app, app);
    EXPECT_EQ(news.messages[2].channel, channel);
    EXPECT_EQ(news.messages[2].payload, bytes);
    EXPECT_TRUE(feed->poll().none());
  }
}

TEST_F(FeedTest, MessagesOfTheGreatestSizeComeInSeveralPolls) {
  const TemporaryFolder folder;
  SegmentOptions options = small_options(folder.path());
  options.history_bytes = std::uint64_t{8} << 20;
  const auto segment = open_segment(options);
  History history(*segment);
  const auto feed = taken(Feed::open(*segment));
  constexpr std::size_t kSent = 50;
  const auto payload = [](std::size_t i) { return std::string(kMaxMessage, static_cast<char>('A' + i)); };
  for (std::size_t i = 0; i < kSent; ++i) ASSERT_TRUE(history.announce("app", "a", payload(i)).ok());
  std::size_t seen = 0, polls = 0;
  for (FeedNews news = feed->poll(); !news.none(); news = feed->poll(), ++polls) {
    ASSERT_FALSE(news.overrun);
    EXPECT_LT(news.messages.size() * kMaxMessage, Feed::kMaxMessages + kMaxMessage);
    for (const FeedMessage& message : news.messages) EXPECT_EQ(message.payload, payload(seen++));
  }
  EXPECT_EQ(seen, kSent);
  EXPECT_EQ(polls, 4U);
}

TEST_F(FeedTest, AnOverrunSaysThatMessagesAreLost) {
  const auto feed = taken(Feed::open(*follower_));
  feed->watch_all(false);
  ASSERT_TRUE(history_.announce("", "", "lost").ok());
  fill_log(3 * writer_->map().geometry().log_bytes / 2);
  ASSERT_TRUE(history_.announce("", "", "lost too").ok());
  const FeedNews news = feed->poll();
  EXPECT_TRUE(news.overrun);
  EXPECT_TRUE(news.messages.empty());
  ASSERT_TRUE(history_.announce("", "", "heard").ok());
  ASSERT_EQ(feed->poll().messages.size(), 1U);
}

// An append that races with the beginning of a watch is in the history that is read then, or wakes the watcher.
TEST_F(FeedTest, WhoWatchesAndThenReadsMissesNothing) {
  constexpr std::uint64_t kRounds = 3000;
  const auto feed = taken(Feed::open(*follower_));
  feed->watch_all(false);
  std::atomic<std::uint64_t> asked{0};
  const std::jthread writer([&](const std::stop_token& stop) {
    for (std::uint64_t round = 1; round <= kRounds; ++round) {
      while (asked.load() < round && !stop.stop_requested()) std::this_thread::yield();
      append(history_, "app", "a");
    }
  });
  History reader(*follower_);
  HistoryPage page;
  for (std::uint64_t round = 1; round <= kRounds; ++round) {
    while (!feed->poll().none()) {
    }
    asked = round;
    feed->watch("app", "a");
    reader.read("app", "a", {.limit = 0}, page);
    if (page.last < round) {
      FeedNews news;
      // The byte of the append before may come late, and wakes the watcher for nothing.
      while (news.none()) {
        ASSERT_TRUE(becomes_readable(feed->fd())) << "nobody woke the watcher";
        news = feed->poll();
      }
      ASSERT_EQ(news.channels, (Channels{{"app", "a"}}));
    }
    feed->unwatch("app", "a");
  }
}

// The same race of many workers with messages: each hears each, in one order, and only ever waits.
TEST_F(FeedTest, AllWhoWaitHearAllMessagesInOneOrder) {
  constexpr std::size_t kEach = 1000;
  const auto third = open();
  std::vector<std::string> heard_by_one, heard_by_other;
  const auto follow = [&](Segment& segment, Feed& feed, std::vector<std::string>& heard) {
    History own(segment);
    feed.watch_all(false);
    for (std::size_t said = 0; heard.size() < 2 * kEach;) {
      if (said < kEach) {
        ASSERT_TRUE(own.announce("", "", std::to_string(said++ * 100 + segment.worker())).ok());
      }
      const FeedNews news = feed.poll();
      ASSERT_FALSE(news.overrun);
      for (const FeedMessage& message : news.messages) heard.push_back(message.payload);
      if (news.none() && said == kEach) {
        ASSERT_TRUE(becomes_readable(feed.fd())) << "nobody woke it";
      }
    }
  };
  const auto one = taken(Feed::open(*follower_));
  const auto other = taken(Feed::open(*third));
  {
    const std::jthread beside([&] { follow(*third, *other, heard_by_other); });
    follow(*follower_, *one, heard_by_one);
  }
  EXPECT_EQ(heard_by_one.size(), 2 * kEach);
  EXPECT_EQ(heard_by_one, heard_by_other);
}

}  // namespace
}  // namespace polyglot::core::testing
