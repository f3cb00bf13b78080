#include "core/channel_table.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "temporary.hpp"

namespace polyglot::core {
namespace {

using testing::append;
using testing::open_segment;
using testing::small_options;
using testing::TemporaryFolder;

// One of the processes that share the file.
struct Opener {
  explicit Opener(const SegmentOptions& options)
      : segment(open_segment(options)), history(*segment), table(segment->map()) {}

  ChannelKey key(std::string_view app, std::string_view channel) const {
    return {app, channel, segment->map().header().seed};
  }
  std::optional<ChannelRef> find(std::string_view app, std::string_view channel) const {
    return table.find(key(app, channel));
  }
  ChannelRef create(std::string_view app, std::string_view channel) {
    bool evicted = false;
    const Segment::Lock lock(*segment);
    return table.find_or_create(key(app, channel), evicted);
  }
  std::uint64_t void_epoch() const { return segment->map().header().void_epoch.load(); }
  std::vector<std::string> channels() const { return history.list("app", "", 1000); }

  std::unique_ptr<Segment> segment;
  History history;
  ChannelTable table;
};

class ChannelTableTest : public ::testing::Test {
 protected:
  Opener open(std::uint32_t max_channels = 8) {
    SegmentOptions options = small_options(folder_.path());
    options.max_channels = max_channels;
    return Opener(options);
  }

  TemporaryFolder folder_;
};

TEST_F(ChannelTableTest, FindsWhatWasCreatedAndNothingElse) {
  Opener opener = open();
  EXPECT_FALSE(opener.find("app", "room"));
  const ChannelRef created = opener.create("app", "room");
  const auto found = opener.find("app", "room");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->index, created.index);
  EXPECT_EQ(found->generation, created.generation);
  EXPECT_FALSE(opener.find("app", "roo"));
  EXPECT_FALSE(opener.find("app", "room1"));
  EXPECT_FALSE(opener.find("App", "room"));
  const ChannelRef again = opener.create("app", "room");
  EXPECT_EQ(again.index, created.index);
  EXPECT_EQ(again.generation, created.generation);
}

TEST_F(ChannelTableTest, NamesThatReadTheSameAcrossTheBoundaryAreDifferentChannels) {
  Opener opener = open();
  const std::vector<std::pair<std::string, std::string>> names = {{"ab", "cd"}, {"a", "bcd"}, {"abc", "d"}};
  std::vector<std::uint32_t> indices;
  for (const auto& [app, channel] : names) indices.push_back(opener.create(app, channel).index);
  std::sort(indices.begin(), indices.end());
  EXPECT_EQ(std::unique(indices.begin(), indices.end()), indices.end());
  for (const auto& [app, channel] : names) {
    const auto ref = opener.find(app, channel);
    ASSERT_TRUE(ref);
    ChannelName name;
    ASSERT_TRUE(read_name(opener.segment->map(), *ref, name));
    EXPECT_EQ(app_of(name), app);
    EXPECT_EQ(channel_of(name), channel);
  }
}

// Whatever lay in the memory before a key was made there.
TEST_F(ChannelTableTest, NamesOfEveryLengthAreTheSameFromAnyMemory) {
  Opener opener = open();
  const std::string app(kMaxAppLength, 'a');
  for (std::size_t length = 1; length <= kMaxChannelLength; ++length) {
    const std::string channel(length, 'c');
    auto find_or_create = [&](int rubbish) {
      alignas(ChannelKey) std::array<unsigned char, sizeof(ChannelKey)> place;
      std::memset(place.data(), rubbish, place.size());
      asm volatile("" : : "r"(place.data()) : "memory");
      const auto* key = new (place.data()) ChannelKey(app, channel, opener.segment->map().header().seed);
      bool evicted = false;
      const Segment::Lock lock(*opener.segment);
      return opener.table.find_or_create(*key, evicted).index;
    };
    const std::uint32_t index = find_or_create(0xAA);
    ASSERT_EQ(find_or_create(0x55), index) << length << " characters";
    const auto found = opener.find(app, channel);
    ASSERT_TRUE(found) << length << " characters";
    EXPECT_EQ(found->index, index);
  }
}

TEST_F(ChannelTableTest, AnotherOpenerFindsTheSame) {
  Opener one = open(), other = open();
  const ChannelRef created = one.create("app", "room");
  const auto found = other.find("app", "room");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->index, created.index);
}

TEST_F(ChannelTableTest, ReadNameRefusesASlotThatHasMovedOn) {
  Opener opener = open(1);
  const ChannelRef before = opener.create("app", "one");
  append(opener.history, "app", "one");
  append(opener.history, "app", "two");
  ChannelName name;
  EXPECT_FALSE(read_name(opener.segment->map(), before, name));
}

TEST_F(ChannelTableTest, OnlyAnEvictionChangesTheVoidEpoch) {
  Opener opener = open(2);
  const std::uint64_t before = opener.void_epoch();
  ASSERT_NE(before, 0U);
  append(opener.history, "app", "a");
  append(opener.history, "app", "b");
  append(opener.history, "app", "a");
  EXPECT_EQ(opener.void_epoch(), before);
  append(opener.history, "app", "c");
  EXPECT_NE(opener.void_epoch(), before);
  EXPECT_EQ(opener.channels(), (std::vector<std::string>{"a", "c"}));
}

TEST_F(ChannelTableTest, AnEvictedChannelComesBackWithAnotherEpoch) {
  Opener opener = open(1);
  const auto first = append(opener.history, "app", "a");
  append(opener.history, "app", "a");
  append(opener.history, "app", "b");
  const auto back = append(opener.history, "app", "a");
  EXPECT_EQ(back.offset, 1U);
  EXPECT_NE(back.epoch, first.epoch);
}

// Against a list that says who was published to last, with the appends spread over two processes.
TEST_F(ChannelTableTest, EvictsExactlyTheLeastRecentlyPublishedFromAnyOpener) {
  for (const std::uint32_t max_channels : {1U, 2U, 8U, 100U}) {
    const TemporaryFolder folder;
    SegmentOptions options = small_options(folder.path());
    options.max_channels = max_channels;
    std::array<Opener, 2> openers = {Opener(options), Opener(options)};
    std::mt19937 random(max_channels);
    std::list<std::string> recent;  // newest first
    for (int step = 0; step < 2000; ++step) {
      Opener& opener = openers[random() % 2];
      // Mostly new names now and then, mostly known ones otherwise, so that the order changes between evictions.
      const std::string name = "c" + std::to_string(random() % (max_channels + max_channels / 2 + 2));
      const bool known = std::find(recent.begin(), recent.end(), name) != recent.end();
      const std::uint64_t epoch = opener.void_epoch();
      if (known && random() % 16 == 0) {
        opener.history.forget("app", name);  // not a publish: its place in the order stays
        ASSERT_NE(opener.void_epoch(), epoch);
        continue;
      }
      append(opener.history, "app", name);
      recent.remove(name);
      const bool evicts = recent.size() == max_channels;
      if (evicts) recent.pop_back();
      recent.push_front(name);
      ASSERT_EQ(opener.void_epoch() != epoch, evicts) << "step " << step;
      std::vector<std::string> expected(recent.begin(), recent.end());
      std::sort(expected.begin(), expected.end());
      ASSERT_EQ(opener.channels(), expected) << "step " << step << " with room for " << max_channels;
    }
  }
}

TEST_F(ChannelTableTest, KeepsFindingThroughThousandsOfEvictions) {
  Opener opener = open(8), reader = open(8);
  for (int step = 0; step < 5000; ++step) {
    append(opener.history, "app", "c" + std::to_string(step));
    for (int age = 0; age < 8 && age <= step; ++age)
      ASSERT_TRUE(reader.find("app", "c" + std::to_string(step - age))) << "step " << step << ", " << age << " ago";
    if (step >= 8) {
      ASSERT_FALSE(reader.find("app", "c" + std::to_string(step - 8))) << "step " << step;
    }
  }
  EXPECT_EQ(opener.history.channels(), 8U);
}

TEST_F(ChannelTableTest, RebuildKeepsAllFindable) {
  Opener opener = open(100);
  for (int i = 0; i < 250; ++i) append(opener.history, "app", "c" + std::to_string(i));
  std::map<std::string, std::uint64_t> before;
  for (const std::string& name : opener.channels()) before[name] = opener.find("app", name)->generation;
  ASSERT_EQ(before.size(), 100U);
  {
    const Segment::Lock lock(*opener.segment);
    ChannelTable::rebuild(opener.segment->map());
  }
  for (const auto& [name, generation] : before) {
    const auto found = opener.find("app", name);
    ASSERT_TRUE(found) << name;
    EXPECT_EQ(found->generation, generation);
  }
  EXPECT_FALSE(opener.find("app", "c0"));
  EXPECT_EQ(opener.segment->map().header().buckets_used.load(), 100U);
}

}  // namespace
}  // namespace polyglot::core
