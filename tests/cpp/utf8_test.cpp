#include "core/utf8.hpp"

#include <gtest/gtest.h>

#include <string>

#include "guarded_text.hpp"

namespace polyglot::core {
namespace {

TEST(CheckUtf8, AcceptsTheEdgesOfEveryLength) {
  for (const std::string_view text : {"", "plain", "\x7F", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF",
                                      "\xEE\x80\x80", "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(check_utf8(text).ok()) << text;
  }
}

struct Malformed {
  std::string_view bytes;
  const char* why;
};
constexpr Malformed kMalformed[] = {
    {"\x80", "continuation alone"},
    {"\xBF", "continuation alone"},
    {"\xC0\x80", "overlong"},
    {"\xC1\xBF", "overlong"},
    {"\xE0\x9F\xBF", "overlong"},
    {"\xF0\x8F\xBF\xBF", "overlong"},
    {"\xED\xA0\x80", "high surrogate"},
    {"\xED\xBF\xBF", "low surrogate"},
    {"\xF4\x90\x80\x80", "beyond U+10FFFF"},
    {"\xF5\x80\x80\x80", "beyond U+10FFFF"},
    {"\xFE", "never used"},
    {"\xFF", "never used"},
    {"\xC3", "cut off"},
    {"\xE2\x82", "cut off"},
    {"\xF0\x9F\x8E", "cut off"},
    {"\xC3(", "continuation missing"},
    {"\xE2(\xA1", "continuation missing"},
    {"\xE2\x82(", "continuation missing"},
    {"\xF0\x9F\x8E(", "continuation missing"},
};

TEST(CheckUtf8, NamesThePlaceOfWhatIsMalformed) {
  GuardedText guarded(4096);
  for (const Malformed& malformed : kMalformed) {
    // In blocks of every size that a vectorised check may use.
    for (const std::size_t before : {0, 1, 15, 16, 31, 63, 64, 65, 130}) {
      for (const std::size_t after : {0, 1, 70}) {
        const std::string text = std::string(before, 'a').append(malformed.bytes).append(after, 'z');
        const Status status = check_utf8(guarded.copy(text));
        ASSERT_FALSE(status.ok()) << malformed.why;
        EXPECT_EQ(status.code(), Code::invalid_json);
        EXPECT_EQ(status.position(), static_cast<std::int64_t>(before)) << malformed.why;
      }
    }
  }
}

TEST(CheckUtf8, SaysWhatItFound) {
  EXPECT_EQ(check_utf8("ab\xFF").message(), "Byte 2: the text is not UTF-8, 0xFF begins no well-formed sequence.");
}

TEST(CheckUtf8, LooksOnlyBehindFromAndCountsFromTheStart) {
  EXPECT_TRUE(check_utf8("\xFF abc", 1).ok());
  EXPECT_TRUE(check_utf8("abc", 3).ok());
  EXPECT_EQ(check_utf8("\xFF \xFE", 1).position(), 2);
}

}  // namespace
}  // namespace polyglot::core
