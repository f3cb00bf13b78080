#include "core/api_key.hpp"

#include <gtest/gtest.h>

#include <string>

namespace polyglot::core {
namespace {

TEST(ApiKey, HasTheDigestOfItsText) {
  ApiKey key("one");
  EXPECT_EQ(key.digest(), sha256("one"));
  EXPECT_EQ(key.digest(), sha256("one"));
  EXPECT_EQ(ApiKey().digest(), sha256(""));
}

TEST(ApiKey, HasTheDigestOfEachTextThatItGets) {
  ApiKey key;
  for (const std::string text : {"one", "one", "two", "twofold", "", "two", "owt", "one"}) {
    key.set(text);
    EXPECT_EQ(key.text(), text);
    EXPECT_EQ(key.digest(), sha256(text)) << text;
  }
}

}  // namespace
}  // namespace polyglot::core
