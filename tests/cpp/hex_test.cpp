#include "core/hex.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <string_view>

namespace polyglot::core {
namespace {

TEST(HexValue, KnowsDigitsOfEitherCase) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (int value = 0; value < 256; ++value) {
    const auto lower = value >= 'A' && value <= 'F' ? value + 32 : value;
    const std::size_t place = kDigits.find(static_cast<char>(lower));
    EXPECT_EQ(hex_value(static_cast<char>(value)), place == std::string_view::npos ? -1 : static_cast<int>(place));
  }
}

TEST(WriteHex, WritesEveryDigitAtEveryPlace) {
  for (int place = 0; place < 16; ++place) {
    for (std::uint64_t digit = 0; digit < 16; ++digit) {
      const std::uint64_t number = digit << (4 * place) ^ 0x0123456789ABCDEF;
      char expected[17];
      std::snprintf(expected, sizeof(expected), "%016llx", static_cast<unsigned long long>(number));
      char text[kHexLength + 1] = {};
      text[kHexLength] = '.';
      write_hex(number, text);
      ASSERT_EQ(std::string_view(text, sizeof(text)), std::string(expected) + '.');
    }
  }
}

}  // namespace
}  // namespace polyglot::core
