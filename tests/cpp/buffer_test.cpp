#include "core/buffer.hpp"

#include <gtest/gtest.h>

#include <string>

namespace polyglot::core::testing {
namespace {

TEST(BufferTest, KeepsWhatItHoldsWhileItGrows) {
  Buffer buffer;
  std::string expected;
  EXPECT_TRUE(buffer.empty());
  for (int i = 0; i < 1000; ++i) {
    const std::string part(static_cast<std::size_t>(i % 37), static_cast<char>('a' + i % 26));
    if (i % 2 == 0) {
      buffer.append(part);
    } else {
      part.copy(buffer.grow(part.size()), part.size());
    }
    expected += part;
    ASSERT_EQ(buffer.text(), expected);
  }
}

TEST(BufferTest, KeepsItsMemoryWhenCleared) {
  Buffer buffer;
  const char* memory = buffer.grow(1000);
  buffer.clear();
  EXPECT_EQ(buffer.size(), 0U);
  EXPECT_EQ(buffer.grow(1000), memory);
}

}  // namespace
}  // namespace polyglot::core::testing
