#include "core/columns.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "temporary.hpp"

namespace polyglot::core {
namespace {

using testing::taken;
using Integers = std::vector<std::int64_t>;

std::string envelope(std::string_view data, std::string_view type = "\"test\"", std::string_view user = {}) {
  std::string text;
  append_envelope(text, {"app", "room", {}, 7, user, {}}, {.channel = {}, .type = type, .data = data});
  return text;
}

class ColumnsTest : public ::testing::Test {
 protected:
  void add(std::uint64_t offset, TimeUs time, const std::string& text) {
    columns_.add("app", "room", fields_, offset, time, text, text.size());
  }

  JsonNumbers fields_ = taken(JsonNumbers::parse({"/a", ""}));
  Columns columns_{2};
};

TEST_F(ColumnsTest, HaveOneValueForEachEvent) {
  add(3, 10, envelope(R"({"a":1.5})"));
  add(4, 12, envelope("42"));
  EXPECT_EQ(columns_.offsets, (Integers{3, 4}));
  EXPECT_EQ(columns_.times, (Integers{10, 12}));
  EXPECT_EQ(columns_.sizes, (Integers{static_cast<std::int64_t>(envelope(R"({"a":1.5})").size()),
                                      static_cast<std::int64_t>(envelope("42").size())}));
  ASSERT_EQ(columns_.fields.size(), 2U);
  EXPECT_EQ(columns_.fields[0][0], 1.5);
  EXPECT_TRUE(std::isnan(columns_.fields[0][1]));
  EXPECT_TRUE(std::isnan(columns_.fields[1][0]));
  EXPECT_EQ(columns_.fields[1][1], 42);
}

TEST_F(ColumnsTest, AreOfTheDataWhateverStandsAroundIt) {
  add(1, 1, envelope("1", R"("\",\"data\":9,\\")"));
  add(2, 2, envelope(R"({"a":2})", "\"\\\\\"", R"("data":{"a":9})"));
  add(3, 3, envelope("[]", "\"a\"", R"({"a":9})"));
  EXPECT_EQ(columns_.fields[1][0], 1);
  EXPECT_EQ(columns_.fields[0][1], 2);
  EXPECT_TRUE(std::isnan(columns_.fields[0][2]));
}

TEST_F(ColumnsTest, HaveNoNumbersOfWhatIsNoEnvelope) {
  const std::string right = envelope("1");
  const std::size_t data = right.find("\"data\":") + 7;
  for (std::size_t size = 0; size <= data; ++size) add(size + 1, 1, right.substr(0, size));
  for (const double number : columns_.fields[1]) EXPECT_TRUE(std::isnan(number));
  add(1000, 1, right);
  EXPECT_EQ(columns_.fields[1].back(), 1);
}

TEST_F(ColumnsTest, TimesNeverFall) {
  for (const TimeUs time : {5, 3, 7}) add(1, time, envelope("1"));
  EXPECT_EQ(columns_.times, (Integers{5, 5, 7}));
}

TEST_F(ColumnsTest, SayFromWhenOnNothingIsMissing) {
  columns_.read_at = 100;
  columns_.end(GapReason::none, 0);
  EXPECT_EQ(columns_.begin, 0) << "there never was an event";
  columns_.end(GapReason::overwritten, 40);
  EXPECT_EQ(columns_.begin, 100) << "all are gone, whenever they came";
  add(5, 60, envelope("1"));
  columns_.end(GapReason::overwritten, 40);
  EXPECT_EQ(columns_.begin, 60);
  columns_.end(GapReason::expired, 40);
  EXPECT_EQ(columns_.begin, 40) << "those before that were not asked for";
  columns_.end(GapReason::none, 40);
  EXPECT_EQ(columns_.begin, 40);
  columns_.end(GapReason::expired, 140);
  EXPECT_EQ(columns_.begin, 100) << "of a time that has not come nothing is known";
  EXPECT_EQ(columns_.read_at, 100);
  add(6, 101, envelope("1"));
  columns_.end(GapReason::none, 40);
  EXPECT_EQ(columns_.read_at, 101) << "what came while it was read is in it";
}

TEST_F(ColumnsTest, AreEmptiedForANewStart) {
  add(1, 1, envelope("1"));
  columns_.clear();
  EXPECT_TRUE(columns_.offsets.empty() && columns_.times.empty() && columns_.sizes.empty());
  EXPECT_EQ(columns_.fields, (std::vector<std::vector<double>>{{}, {}}));
}

TEST(ColumnsRequest, RefusesAWindowThatMeansNothing) {
  EXPECT_EQ(taken(ColumnsRequest::parse({}, 1.5)).window, 1'500'000);
  EXPECT_TRUE(ColumnsRequest::parse({}, kMaxWindow).ok());
  for (const double window : {-0.1, kMaxWindow * 1.01, std::numeric_limits<double>::infinity(), std::nan("")}) {
    EXPECT_EQ(ColumnsRequest::parse({}, window).status().code(), Code::invalid_parameter) << window;
  }
  EXPECT_EQ(ColumnsRequest::parse({"a"}, 0).status().code(), Code::invalid_parameter);
}

}  // namespace
}  // namespace polyglot::core
