#include "core/json_text.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "core/json.hpp"

namespace polyglot::core {
namespace {

using std::string_view_literals::operator""sv;

TEST(Unescape, GivesTheTextThatAStringStandsFor) {
  const struct {
    std::string_view quoted, text;
  } cases[] = {
      {R"("")", ""},
      {R"("plain")", "plain"},
      {R"("\"\\\/\b\f\n\r\t")", "\"\\/\b\f\n\r\t"},
      {R"("a\nb")", "a\nb"},
      {R"("\u0041")", "A"},
      {R"("\u0000")", "\0"sv},
      {R"("\u007f")", "\x7F"},
      {R"("\u0080")", "\xC2\x80"},
      {R"("\u07FF")", "\xDF\xBF"},
      {R"("\u0800")", "\xE0\xA0\x80"},
      {R"("\uFfFf")", "\xEF\xBF\xBF"},
      {R"("\ud83c\udf89")", "\xF0\x9F\x8E\x89"},
      {R"("\uD800\uDC00")", "\xF0\x90\x80\x80"},
      {R"("\uDBFF\uDFFF")", "\xF4\x8F\xBF\xBF"},
      {R"("x\u00e9y\\u0041")", "x\xC3\xA9y\\u0041"},
      {"\"\xC3\xA9\"", "\xC3\xA9"},
  };
  for (const auto& [quoted, text] : cases) {
    EXPECT_EQ(unescape(quoted), text) << quoted;
  }
}

TEST(AppendJsonString, EscapesWhatJsonWantsEscapedAndNothingElse) {
  const struct {
    std::string_view text, quoted;
  } cases[] = {
      {"", R"("")"},
      {"plain/text", R"("plain/text")"},
      {"\"\\\b\f\n\r\t", R"("\"\\\b\f\n\r\t")"},
      {"\0\x01\x1F"sv, R"("\u0000\u0001\u001f")"},
      {"\x7F\xC3\xA9\xF0\x9F\x8E\x89", "\"\x7F\xC3\xA9\xF0\x9F\x8E\x89\""},
      {"a long text with one \" late in it", R"("a long text with one \" late in it")"},
  };
  for (const auto& [text, quoted] : cases) {
    std::string out = "before ";
    append_json_string(out, text);
    EXPECT_EQ(out, "before " + std::string(quoted));
  }
}

TEST(AppendJsonString, IsTheInverseOfUnescape) {
  std::mt19937 random(7);
  const std::string_view alphabet[] = {"a",
                                       "\"",
                                       "\\",
                                       "/",
                                       "\n",
                                       "\0"sv,
                                       "\x1F",
                                       "\x7F",
                                       "\xC3\xA9",
                                       " long plain run ",
                                       "\xEF\xBB\xBF",
                                       "\xF0\x9F\x8E\x89"};
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (unsigned i = random() % 20; i > 0; --i) {
      text += alphabet[random() % std::size(alphabet)];
    }
    std::string quoted;
    append_json_string(quoted, text);
    ASSERT_TRUE(check_json(quoted).ok()) << quoted;
    EXPECT_EQ(unescape(quoted), text);
  }
}

}  // namespace
}  // namespace polyglot::core
