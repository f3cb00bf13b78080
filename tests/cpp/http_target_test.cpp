#include "server/http_target.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "guarded_text.hpp"

namespace polyglot::server {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

void expect_parts(std::string_view target, std::string_view path, std::string_view query) {
  const HttpTarget parts = HttpTarget::parse(target);
  EXPECT_EQ(parts.path, path) << target;
  EXPECT_EQ(parts.query, query) << target;
}

TEST(HttpTarget, IsPathAndQuery) {
  expect_parts("/alive", "/alive", "");
  expect_parts("/a/b?limit=1&since=2", "/a/b", "limit=1&since=2");
  expect_parts("/a?", "/a", "");
  expect_parts("/a?b?c", "/a", "b?c");
  expect_parts("/", "/", "");
  expect_parts("?a=b", "/", "a=b");
}

TEST(HttpTarget, StaysAsItWasSent) {
  expect_parts("/a%2Fb%zz?c=%41+", "/a%2Fb%zz", "c=%41+");
  expect_parts("//a//b", "//a//b", "");
  expect_parts("/a/../b", "/a/../b", "");
  expect_parts("/http://a", "/http://a", "");
}

TEST(HttpTarget, LeavesOutSchemeAndAuthority) {
  expect_parts("http://example.org/a?b", "/a", "b");
  expect_parts("https://example.org:443/a", "/a", "");
  expect_parts("HTTP://example.org/a", "/a", "");
  expect_parts("http://example.org", "/", "");
  expect_parts("http://example.org?a=b", "/", "a=b");
  expect_parts("http://", "/", "");
}

TEST(HttpTarget, LeavesOutTheFragment) {
  expect_parts("/a#b", "/a", "");
  expect_parts("/a?b#c?d", "/a", "b");
  expect_parts("/a#b?c", "/a", "");
}

TEST(HttpTarget, IsAllPathInAnyOtherForm) {
  expect_parts("*", "*", "");
  expect_parts("example.org:443", "example.org:443", "");
  expect_parts("ftp://example.org/a", "ftp://example.org/a", "");
  expect_parts("http:/a", "http:/a", "");
  expect_parts("", "", "");
}

std::string decoded(std::string_view text, bool plus = false) {
  std::string out;
  EXPECT_TRUE(percent_decode(out, text, plus)) << text;
  return out;
}

TEST(PercentDecode, TakesEscapesOfEitherCase) {
  EXPECT_EQ(decoded("a%2Fb%2fc"), "a/b/c");
  EXPECT_EQ(decoded("%C3%A9%00%fF"), "\xC3\xA9\0\xFF"s);
  EXPECT_EQ(decoded("%252F"), "%2F");
  EXPECT_EQ(decoded("%41"), "A");
  EXPECT_EQ(decoded(""), "");
}

TEST(PercentDecode, TakesPlusForASpaceOnlyWhereItIsAsked) {
  EXPECT_EQ(decoded("a+b%2B"), "a+b+");
  EXPECT_EQ(decoded("a+b%2B", true), "a b+");
}

TEST(PercentDecode, Appends) {
  std::string out = "kept ";
  EXPECT_TRUE(percent_decode(out, "%41"));
  EXPECT_EQ(out, "kept A");
}

TEST(PercentDecode, EndsWhereAnEscapeIsMalformed) {
  core::GuardedText guarded(8);  // reading beyond the end would crash
  for (const std::string_view wrong : {"%", "%4", "%g1", "%1g", "%%41", "%-1", "% 1", "%:0", "%@0", "%`0"}) {
    std::string out;
    EXPECT_FALSE(percent_decode(out, guarded.copy("ab"s.append(wrong)))) << wrong;
    EXPECT_EQ(out, "ab") << wrong;
  }
}

TEST(PercentDecode, UndoesTheEscapesOfEveryByte) {
  std::string all;
  std::string escaped;
  for (int byte = 0; byte < 256; ++byte) {
    all.push_back(static_cast<char>(byte));
    char escape[4];
    std::snprintf(escape, sizeof(escape), byte % 2 == 0 ? "%%%02x" : "%%%02X", static_cast<unsigned>(byte));
    escaped.append(escape);
  }
  EXPECT_EQ(decoded(escaped), all);
  EXPECT_EQ(decoded(escaped, true), all);
}

TEST(ParseQuery, GivesTheParametersInOrder) {
  EXPECT_EQ(parse_query("since=41&limit=10&since=42"), (Query{{"since", "41"}, {"limit", "10"}, {"since", "42"}}));
  EXPECT_EQ(parse_query(""), Query{});
}

TEST(ParseQuery, DecodesNamesAndValues) {
  EXPECT_EQ(parse_query("a%3Db=c%26d+e&f+g=%2B"), (Query{{"a=b", "c&d e"}, {"f g", "+"}}));
  EXPECT_EQ(parse_query("a=b=c"), (Query{{"a", "b=c"}}));
}

TEST(ParseQuery, TakesWhatIsEmpty) {
  EXPECT_EQ(parse_query("a&b=&=c"), (Query{{"a", ""}, {"b", ""}, {"", "c"}}));
  EXPECT_EQ(parse_query("&&a=b&"), (Query{{"a", "b"}}));
  EXPECT_EQ(parse_query("&"), Query{});
}

TEST(ParseQuery, GivesNothingWhenAnEscapeIsMalformed) {
  for (const std::string_view wrong : {"a=%", "a=%4", "%zz=a", "a=b&c=%g0", "%"}) {
    EXPECT_FALSE(parse_query(wrong)) << wrong;
  }
}

TEST(IsPlain, IsAsciiWithoutControlCharacters) {
  EXPECT_TRUE(is_plain(""));
  EXPECT_TRUE(is_plain(" !~"));
  for (const std::string_view wrong : {"\0"sv, "\x1F"sv, "a\n"sv, "\x7F"sv, "\x80"sv, "\xFF"sv, "a\xC3\xA9"sv}) {
    EXPECT_FALSE(is_plain(wrong));
  }
}

}  // namespace
}  // namespace polyglot::server
