#include "core/json_bytes.hpp"

#include <gtest/gtest.h>

#include <string>

#include "guarded_text.hpp"

namespace polyglot::core {
namespace {

TEST(JsonBytes, AreClassedAsRfc8259HasThem) {
  for (int value = 0; value < 256; ++value) {
    const char c = static_cast<char>(value);
    EXPECT_EQ(is_space(c), value == 0x20 || value == 0x09 || value == 0x0A || value == 0x0D) << value;
    EXPECT_EQ(is_special(c), value < 0x20 || value == 0x22 || value == 0x5C) << value;
    EXPECT_EQ(is_digit(c), value >= '0' && value <= '9') << value;
  }
}

TEST(SkipPlain, FindsEverySpecialByteAtEveryPlace) {
  GuardedText guarded(64);
  for (int value = 0; value < 256; ++value) {
    for (std::size_t length = 1; length <= 24; ++length) {
      for (std::size_t place = 0; place < length; ++place) {
        std::string text(length, '\x7F');
        text[place] = static_cast<char>(value);
        const std::string_view copy = guarded.copy(text);
        const char* const end = copy.data() + copy.size();
        const char* const expected = is_special(text[place]) ? copy.data() + place : end;
        ASSERT_EQ(skip_plain(copy.data(), end), expected) << value << " at " << place << " of " << length;
      }
    }
  }
}

TEST(SkipPlain, StopsAtTheFirstOfSeveral) {
  // A borrow from a special byte must not reach one before it.
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      std::string text = "aaa??aaa";
      text[3] = static_cast<char>(first);
      text[4] = static_cast<char>(second);
      const std::size_t expected = is_special(text[3]) ? 3 : is_special(text[4]) ? 4 : 8;
      const char* const found = skip_plain(text.data(), text.data() + text.size());
      ASSERT_EQ(found - text.data(), static_cast<std::ptrdiff_t>(expected)) << first << ' ' << second;
    }
  }
}

}  // namespace
}  // namespace polyglot::core
