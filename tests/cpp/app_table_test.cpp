#include "core/app_table.hpp"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "core/checksum.hpp"
#include "temporary.hpp"

namespace polyglot::core {
namespace {

using testing::open_segment;
using testing::small_options;
using testing::TemporaryFolder;

std::string app_of(std::size_t number) {
  return "app-" + std::to_string(number);
}

class AppTableTest : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  std::unique_ptr<Segment> segment_ = open_segment(small_options(folder_.path()));
  AppTable table_{*segment_};
};

TEST_F(AppTableTest, GivesPlacesInTheOrderOfComing) {
  EXPECT_TRUE(table_.names().empty());
  EXPECT_EQ(table_.place("b"), 0U);
  EXPECT_EQ(table_.place("a"), 1U);
  EXPECT_EQ(table_.place("b"), 0U);
  EXPECT_EQ(table_.names(), (std::vector<std::string>{"b", "a"}));
}

TEST_F(AppTableTest, TellsAppsApartHoweverAlike) {
  const std::string longest(kMaxAppLength, 'x');
  const std::vector<std::string> apps = {"a", "aa", "A", "a-", longest, longest.substr(1)};
  for (std::size_t i = 0; i < apps.size(); ++i) EXPECT_EQ(table_.place(apps[i]), i);
  EXPECT_EQ(table_.names(), apps);
}

TEST_F(AppTableTest, HasOnePlaceForAllWhoComeTooLate) {
  for (std::size_t i = 0; i < kMaxApps; ++i) EXPECT_EQ(table_.place(app_of(i)), i);
  EXPECT_EQ(table_.place("late"), kMaxApps);
  EXPECT_EQ(table_.place("later"), kMaxApps);
  for (std::size_t i = 0; i < kMaxApps; ++i) EXPECT_EQ(table_.place(app_of(i)), i);
  EXPECT_EQ(table_.names().size(), kMaxApps);
}

TEST_F(AppTableTest, IsTheSameForAllWhoOpenTheFileAndForThoseWhoComeLater) {
  const auto other = open_segment(small_options(folder_.path()));
  AppTable others(*other);
  EXPECT_EQ(table_.place("one"), 0U);
  EXPECT_EQ(others.place("two"), 1U);
  EXPECT_EQ(table_.place("two"), 1U);
  segment_.reset();
  segment_ = open_segment(small_options(folder_.path()));
  EXPECT_EQ(AppTable(*segment_).names(), (std::vector<std::string>{"one", "two"}));
}

TEST_F(AppTableTest, GoesOnWithASlotWhoseWriterDied) {
  // Killed before the length was stored, and after.
  AppSlots& slots = segment_->map().apps();
  slots.slots[0].name[0] = 'z';
  EXPECT_EQ(table_.place("first"), 0U);
  std::string("second").copy(slots.slots[1].name.data(), 6);
  slots.slots[1].length = 6;
  EXPECT_EQ(table_.place("third"), 2U);
  EXPECT_EQ(table_.place("second"), 1U);
  EXPECT_EQ(table_.names(), (std::vector<std::string>{"first", "second", "third"}));
}

TEST_F(AppTableTest, EndsWhereADamagedTableIsFull) {
  for (SharedU32& bucket : segment_->map().apps().buckets) bucket = 12345;
  EXPECT_EQ(table_.place("a"), 0U);
  EXPECT_EQ(table_.place("b"), 1U);
}

TEST_F(AppTableTest, GivesNoAppTwoPlacesWhenManyAskAtOnce) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this] {
      for (std::size_t i = 0; i < kMaxApps; ++i) table_.place(app_of(i));
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<std::string> names = table_.names();
  ASSERT_EQ(names.size(), kMaxApps);
  for (std::size_t i = 0; i < kMaxApps; ++i) EXPECT_EQ(table_.place(names[i]), i);
}

}  // namespace
}  // namespace polyglot::core
