#include "core/json_numbers.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "guarded_text.hpp"
#include "temporary.hpp"

namespace polyglot::core {
namespace {

using testing::taken;

std::vector<double> numbers(const std::vector<std::string>& pointers, std::string_view json) {
  std::vector<double> found(pointers.size(), -1);
  taken(JsonNumbers::parse(pointers)).read(json, found.data());
  return found;
}
double number(const std::string& pointer, std::string_view json) {
  return numbers({pointer}, json).front();
}
bool none(const std::string& pointer, std::string_view json) {
  return std::isnan(number(pointer, json));
}

TEST(JsonNumbers, AreFoundByThePointersOfRfc6901) {
  // The example of its section 5, with numbers in place of the texts.
  constexpr std::string_view kDocument =
      R"({"foo": [8, 9], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 10})";
  const std::vector<std::string> pointers = {"/foo/0", "/foo/1", "/",     "/a~1b", "/c%d", "/e^f",
                                             "/g|h",   "/i\\j",  "/k\"l", "/ ",    "/m~0n"};
  EXPECT_EQ(numbers(pointers, kDocument), (std::vector<double>{8, 9, 0, 1, 2, 3, 4, 5, 6, 7, 10}));
  EXPECT_TRUE(none("", kDocument));
  EXPECT_TRUE(none("/foo", kDocument));
}

TEST(JsonNumbers, ADoubleIsTheNearest) {
  const std::vector<std::pair<std::string_view, double>> cases = {
      {"0", 0},
      {"-0", 0},
      {"42", 42},
      {"-1.5", -1.5},
      {"1E+2", 100},
      {"12e-1", 1.2},
      {"9007199254740993", 9007199254740992.0},
      {"123456789012345678901234567890", 123456789012345678901234567890.0},
      {"0.1000000000000000055511151231257827", 0.1},
      {"1.7976931348623157e308", std::numeric_limits<double>::max()},
      {"5e-324", std::numeric_limits<double>::denorm_min()},
      {"1e-400", 0},
      {"-1e-400", 0},
      {"1e-99999999999999999999", 0},
      {"0e99999999999999999999", 0},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(number("", text), expected) << text;
  EXPECT_EQ(number("", "1" + std::string(400, '0') + "e-400"), 1);
  EXPECT_EQ(number("", "0." + std::string(400, '0') + "1"), 0);
  EXPECT_EQ(number("", "0." + std::string(400, '0') + "1e400"), 0.1);
}

TEST(JsonNumbers, WhatNoDoubleComesNearIsMissing) {
  for (const std::string text : {"1e309", "-1e309", "1e+999", "1e99999999999999999999", "17e307999"}) {
    EXPECT_TRUE(none("", text)) << text;
  }
  EXPECT_TRUE(none("", "1" + std::string(400, '0')));
  EXPECT_TRUE(none("", "1" + std::string(400, '0') + ".5e-2"));
}

TEST(JsonNumbers, OtherValuesAreNone) {
  for (const std::string_view text : {R"("1")", "true", "false", "null", "{}", "[]", "[1]", R"({"":1})"}) {
    EXPECT_TRUE(none("", text)) << text;
  }
}

TEST(JsonNumbers, AreFoundAtAnyDepthInOnePass) {
  constexpr std::string_view kOrder =
      R"({"skip":{"total":1,"items":[[{"qty":2}]]},"order":{"items":[{"qty":3},{"sku":"}]\"","qty":4}],"total":5},"price":6})";
  EXPECT_EQ(numbers({"/price", "/order/items/1/qty", "/order/total", "/order/items/0/qty"}, kOrder),
            (std::vector<double>{6, 4, 5, 3}));
  EXPECT_EQ(number("/order/total", " { \"order\" :\t{ \"total\"\n: 7 } } "), 7);
  std::string pointer, json = "1";
  for (int i = 0; i < 64; ++i) {
    pointer += i % 2 == 0 ? "/a" : "/1";
    json = i % 2 != 0 ? R"({"b":0,"a":)" + json + "}" : "[0," + json + ",2]";
  }
  EXPECT_EQ(number(pointer, json), 1);
}

TEST(JsonNumbers, OfMembersWithTheSameNameTheLastOneCounts) {
  EXPECT_EQ(number("/a", R"({"a":1,"b":2,"a":3})"), 3);
  EXPECT_TRUE(none("/a", R"({"a":1,"a":"text"})"));
  EXPECT_TRUE(none("/a/b", R"({"a":{"b":1},"a":{"c":2}})"));
  EXPECT_TRUE(none("/a/b", R"({"a":{"b":1},"a":2})"));
  EXPECT_EQ(number("/a/b", R"({"a":2,"a":{"b":1}})"), 1);
  EXPECT_EQ(number("/a", R"({"a":1,"\u0061":4})"), 4);
}

TEST(JsonNumbers, NamesMayBeWrittenWithEscapes) {
  EXPECT_EQ(number("/price", R"({"pr\u0069ce":1})"), 1);
  EXPECT_EQ(number("/\xF0\x9F\x98\x80", R"({"\ud83d\ude00":2})"), 2);
  EXPECT_EQ(number("/\xC3\xA4", "{\"\xC3\xA4\":3}"), 3);
  EXPECT_TRUE(none("/price", R"({"\\price":1,"pric\"e":2})"));
}

TEST(JsonNumbers, ElementsAreCountedAndMembersAreNot) {
  EXPECT_EQ(number("/0", "[1,2]"), 1);
  EXPECT_EQ(number("/10", "[0,1,2,3,4,5,6,7,8,9,10]"), 10);
  EXPECT_EQ(number("/01", R"({"01":5})"), 5);
  for (const std::string pointer : {"/2", "/-", "/01", "/+1", "/1.0", "/18446744073709551617"}) {
    EXPECT_TRUE(none(pointer, "[1,2]")) << pointer;
  }
}

TEST(JsonNumbers, WhatFollowsTheValueIsNotLookedAt) {
  EXPECT_EQ(number("/a", R"({"a":1},"meta":{"a":2}})"), 1);
  EXPECT_EQ(number("", R"(1,"meta":2)"), 1);
}

TEST(JsonNumbers, NothingIsReadBeyondATextThatIsCutAnywhere) {
  constexpr std::string_view kText = R"({"a":[1,{"b":"x\u0041\\","\u0063":-2.5e1}],"d":true,"e":null,"f":12})";
  GuardedText guarded(kText.size());
  for (std::size_t size = 0; size <= kText.size(); ++size) {
    const std::string_view cut = guarded.copy(kText.substr(0, size));
    EXPECT_EQ(numbers({"/a/1/c", "/f"}, cut).size(), 2U);
  }
  EXPECT_EQ(numbers({"/a/1/c", "/f"}, guarded.copy(kText)), (std::vector<double>{-25, 12}));
}

TEST(JsonNumbers, WhatIsNoJsonHasNone) {
  for (const std::string_view text :
       {"", " ", "-", "-inf", "nan", "inf", "1x", "--1", "{", "}", "[", "]", "{]", ",", ":"}) {
    EXPECT_TRUE(none("", text)) << text;
    EXPECT_TRUE(none("/a", text)) << text;
    EXPECT_TRUE(none("/0", text)) << text;
  }
  EXPECT_TRUE(none("/a", R"({"\q":1,"a)"));
  EXPECT_TRUE(none("/a", R"({"\ud800":1,"\u":2,"b" 1,"a":3})"));
}

TEST(JsonNumbers, RefusesWhatIsNoPointer) {
  const std::string longest = "/" + std::string(kMaxPointerLength - 1, 'a');
  for (const std::string& pointer : {std::string("a"), std::string("#/a"), std::string("/~"), std::string("/~2"),
                                     std::string("/a~"), std::string("/\xFF"), longest + "a"}) {
    const auto refused = JsonNumbers::parse({pointer});
    ASSERT_FALSE(refused.ok()) << pointer;
    EXPECT_EQ(refused.status().code(), Code::invalid_parameter);
  }
  EXPECT_TRUE(JsonNumbers::parse({longest}).ok());
  EXPECT_TRUE(JsonNumbers::parse({std::string(kMaxPointerLength, '/')}).ok());
}

TEST(JsonNumbers, RefusesTheSamePointerTwiceAndTooMany) {
  EXPECT_EQ(JsonNumbers::parse({"/a", "/b", "/a"}).status().message(), "The field \"/a\" is given twice.");
  std::vector<std::string> most;
  for (std::size_t i = 0; i < kMaxPointers; ++i) most.push_back("/" + std::to_string(i));
  EXPECT_EQ(taken(JsonNumbers::parse(most)).size(), kMaxPointers);
  most.push_back("/more");
  EXPECT_EQ(JsonNumbers::parse(most).status().code(), Code::invalid_parameter);
}

}  // namespace
}  // namespace polyglot::core
