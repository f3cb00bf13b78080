#include "core/epoch.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace polyglot::core {
namespace {

TEST(Epoch, IsWrittenAs16LowerCaseHexDigits) {
  EXPECT_EQ(epoch_text(0), "0000000000000000");
  EXPECT_EQ(epoch_text(0x0123456789ABCDEF), "0123456789abcdef");
  EXPECT_EQ(epoch_text(std::numeric_limits<std::uint64_t>::max()), "ffffffffffffffff");
}

TEST(Epoch, IsReadInEitherCase) {
  std::uint64_t epoch = 0;
  EXPECT_TRUE(parse_epoch("0123456789abcdef", epoch));
  EXPECT_EQ(epoch, 0x0123456789ABCDEFU);
  EXPECT_TRUE(parse_epoch("FEDCBA9876543210", epoch));
  EXPECT_EQ(epoch, 0xFEDCBA9876543210U);
}

TEST(Epoch, NothingElseIsOne) {
  std::uint64_t epoch = 42;
  for (const std::string_view text :
       {"", "0", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeg", "-123456789abcdef", "+123456789abcdef",
        " 123456789abcdef", "0x23456789abcdef", "0123456789abcde "}) {
    EXPECT_FALSE(parse_epoch(text, epoch)) << text;
    EXPECT_EQ(epoch, 42U);
  }
}

}  // namespace
}  // namespace polyglot::core
