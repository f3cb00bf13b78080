#include "core/resp.hpp"

#include <gtest/gtest.h>

#include <string>

namespace polyglot::core {
namespace {

TEST(RespTest, AValueEndsWhereItsLastPartEnds) {
  for (const char* value :
       {"+OK\r\n", "-ERR no\r\n", ":12\r\n", ":-1\r\n", "$0\r\n\r\n", "$-1\r\n", "*-1\r\n", "*0\r\n",
        "$4\r\na\r\nb\r\n", "*2\r\n:1\r\n$1\r\nx\r\n", "*2\r\n*1\r\n*0\r\n*1\r\n-no\r\n"}) {
    const std::string whole = value;
    EXPECT_EQ(resp_size(whole), whole.size()) << value;
    EXPECT_EQ(resp_size(whole + "+more\r\n"), whole.size()) << value;
    for (std::size_t size = 0; size < whole.size(); ++size) {
      EXPECT_EQ(resp_size(whole.substr(0, size)), 0U) << whole.substr(0, size);
    }
  }
}

TEST(RespTest, WhatIsNoRespIsSaidSo) {
  for (const char* wrong : {"x\r\n", "\r\n", ":\r\n", ":1x\r\n", ":+1\r\n", ": 1\r\n", "$x\r\n", "$-2\r\n", "*-2\r\n",
                            "$1\r\nabc", "*1\r\nHTTP\r\n", "$99999999999999999999\r\n", "*99999999999\r\n",
                            "$536870913\r\n", "%1\r\n+a\r\n+b\r\n", "*2147483648\r\n*2\r\n"}) {
    EXPECT_EQ(resp_size(wrong), std::nullopt) << wrong;
  }
}

TEST(RespTest, PartsAreTakenByTheirKinds) {
  RespParts parts("*4\r\n$2\r\na\r\r\n:7\r\n:-7\r\n$-1\r\n");
  std::size_t length = 0;
  std::string_view text;
  std::uint64_t number = 0;
  EXPECT_FALSE(parts.take_text(text));
  EXPECT_FALSE(parts.take_integer(number));
  ASSERT_TRUE(parts.take_array(length));
  EXPECT_EQ(length, 4U);
  EXPECT_FALSE(parts.take_array(length));
  EXPECT_FALSE(parts.take_integer(number));
  ASSERT_TRUE(parts.take_text(text));
  EXPECT_EQ(text, "a\r");
  ASSERT_TRUE(parts.take_integer(number));
  EXPECT_EQ(number, 7U);
  EXPECT_FALSE(parts.take_integer(number)) << "it is negative";
  EXPECT_FALSE(parts.is_end());
  RespParts nothing("$-1\r\n");
  EXPECT_FALSE(nothing.take_text(text));
  EXPECT_FALSE(RespParts("*-1\r\n").take_array(length));
  RespParts end("+OK\r\n");
  EXPECT_FALSE(end.take_text(text) || end.take_integer(number) || end.take_array(length) || end.is_end());
}

}  // namespace
}  // namespace polyglot::core
