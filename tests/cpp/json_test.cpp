#include "core/json.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>

#include "core/json_bytes.hpp"
#include "guarded_text.hpp"
#include "json_cases.hpp"

namespace polyglot::core {
namespace {

std::string nested(int arrays, char open, char close) {
  return std::string(static_cast<std::size_t>(arrays), open) + std::string(static_cast<std::size_t>(arrays), close);
}

TEST(CheckJson, AcceptsEveryProductionOfTheGrammar) {
  static_assert(std::size(kAccepted) >= 60);
  for (const std::string_view text : kAccepted) {
    const Status status = check_json(text);
    EXPECT_TRUE(status.ok()) << text << ": " << status.message();
  }
}

TEST(CheckJson, RefusesEverythingElseAtItsFirstWrongByte) {
  static_assert(std::size(kRefused) >= 120);
  for (const auto& [text, position] : kRefused) {
    const Status status = check_json(text);
    EXPECT_EQ(status.code(), Code::invalid_json) << text;
    EXPECT_EQ(status.position(), position) << text << ": " << status.message();
    EXPECT_TRUE(status.message().starts_with("Byte " + std::to_string(position) + ": ")) << status.message();
    EXPECT_TRUE(status.message().ends_with('.')) << status.message();
  }
}

TEST(CheckJson, RefusesEveryBeginningThatIsNotWhole) {
  GuardedText guarded(4096);
  for (const std::string_view text : kAccepted) {
    const bool is_number = is_digit(text[0]) || text[0] == '-';
    const std::size_t value_end = text.find_last_not_of(" \t\n\r") + 1;
    for (std::size_t length = 0; length < text.size(); ++length) {
      const std::string_view beginning = guarded.copy(text.substr(0, length));
      // What a number begins with is a number too when it ends in a digit.
      const std::size_t last = beginning.find_last_not_of(" \t\n\r");
      const bool number = is_number && last != std::string_view::npos && is_digit(beginning[last]);
      const bool whole = number || length >= value_end;
      EXPECT_EQ(check_json(beginning).ok(), whole) << beginning;
    }
  }
}

// Everything before the position could have gone on well, so a text cut off before it is wrong at its end or not at
// all, and what follows the position does not matter. (Escapes of surrogates and UTF-8 are judged by the sequence they
// begin.)
TEST(CheckJson, TheFirstWrongByteDependsOnWhatStandsBeforeItOnly) {
  GuardedText guarded(4096);
  for (const auto& [text, position] : kRefused) {
    if (check_json(text).message().find("found") == std::string::npos) {
      continue;
    }
    for (std::size_t length = 0; length < text.size(); ++length) {
      const std::string_view beginning = guarded.copy(text.substr(0, length));
      const Status status = check_json(beginning);
      if (static_cast<std::int64_t>(length) > position) {
        EXPECT_EQ(status.position(), position) << beginning;
      } else if (check_utf8(beginning).ok()) {
        const bool at_its_end = status.position() == static_cast<std::int64_t>(length);
        const bool in_a_pair = status.message().find("surrogate") != std::string::npos;
        EXPECT_TRUE(status.ok() || at_its_end || in_a_pair) << beginning;
      }
    }
  }
}

TEST(CheckJson, SaysWhatItExpectedAndWhatItFound) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {R"({"a": {"b": true x)", "Byte 17: expected ',' or '}' after a member, found 'x'."},
      {"[1 2]", "Byte 3: expected ',' or ']' after an element, found '2'."},
      {"[1,]", "Byte 3: expected a value, found ']'."},
      {R"({"a" 1})", "Byte 5: expected ':' after the name of a member, found '1'."},
      {"{x", "Byte 1: expected '}' or the name of a member in quotes, found 'x'."},
      {R"({"a":1,})", "Byte 7: expected the name of a member in quotes after ',', found '}'."},
      {"nil", "Byte 1: expected 'null', found 'i'."},
      {"012", "Byte 1: expected no digit after the 0 that begins a number, found '1'."},
      {"1.x", "Byte 2: expected a digit, found 'x'."},
      {"\"a", "Byte 2: expected '\"' at the end of a string, found the end of the text."},
      {"\"\n\"", "Byte 1: expected control characters in a string to be escaped, found the byte 0x0A."},
      {R"("\q")", "Byte 2: expected one of \" \\ / b f n r t u after '\\', found 'q'."},
      {R"("\u12x4")", "Byte 5: expected four hex digits after '\\u', found 'x'."},
      {R"("\ud800")", "Byte 1: no escape of a low surrogate follows the escape of a high one."},
      {R"("\udc00")", "Byte 1: the escape of a low surrogate follows no escape of a high one."},
      {"1 \xE2\x82\xAC", "Byte 2: expected the end of the text, found '\xE2\x82\xAC'."},
      {"\xEF\xBB\xBF{}", "Byte 0: expected a value, found a byte order mark (U+FEFF); send the text without it."},
      {"", "Byte 0: expected a value, found the end of the text."},
  };
  for (const auto& [text, message] : cases) {
    EXPECT_EQ(check_json(text).message(), message);
  }
}

TEST(CheckJson, AllowsADepthOf64AndNoMore) {
  EXPECT_TRUE(check_json(nested(64, '[', ']')).ok());
  EXPECT_EQ(check_json(nested(65, '[', ']')).position(), 64);
  EXPECT_EQ(check_json(nested(100000, '[', ']')).message(),
            "Byte 64: arrays and objects are nested more than 64 deep.");
  std::string objects;
  for (int i = 0; i < 63; ++i) {
    objects += "{\"a\":";
  }
  const std::string closed(63, '}');
  EXPECT_TRUE(check_json(objects + "{}" + closed).ok());
  EXPECT_TRUE(check_json(objects + "[]" + closed).ok());
  EXPECT_EQ(check_json(objects + "[{}]" + closed).position(), 63 * 5 + 1);
  // Only what is open at once counts.
  EXPECT_TRUE(check_json("[" + nested(63, '[', ']') + "," + nested(63, '[', ']') + "]").ok());
}

TEST(JsonCursor, ReadsPieceByPiece) {
  JsonCursor cursor(" { \"a\\n\" : [1, 2] , \"b\":-0.5e1 } ");
  std::string_view slice;
  EXPECT_FALSE(cursor.next_is('['));
  EXPECT_TRUE(cursor.next_is('{'));
  EXPECT_EQ(cursor.position(), 1U);
  EXPECT_TRUE(cursor.expect('{'));
  EXPECT_TRUE(cursor.string(slice));
  EXPECT_EQ(slice, "\"a\\n\"");
  EXPECT_EQ(cursor.position(), 8U);
  EXPECT_TRUE(cursor.expect(':'));
  EXPECT_TRUE(cursor.value(slice));
  EXPECT_EQ(slice, "[1, 2]");
  EXPECT_TRUE(cursor.expect(','));
  EXPECT_TRUE(cursor.string(slice));
  EXPECT_TRUE(cursor.expect(':'));
  EXPECT_TRUE(cursor.value(slice));
  EXPECT_EQ(slice, "-0.5e1");
  EXPECT_TRUE(cursor.expect('}'));
  EXPECT_TRUE(cursor.end());
  EXPECT_TRUE(cursor.status().ok());
}

TEST(JsonCursor, DoesNothingMoreAfterAFailure) {
  JsonCursor cursor("[1]");
  std::string_view slice = "untouched";
  EXPECT_FALSE(cursor.expect('{'));
  EXPECT_EQ(cursor.status().message(), "Byte 0: expected '{', found '['.");
  EXPECT_FALSE(cursor.next_is('['));
  EXPECT_FALSE(cursor.expect('['));
  EXPECT_FALSE(cursor.value(slice));
  EXPECT_FALSE(cursor.string(slice));
  EXPECT_FALSE(cursor.end());
  EXPECT_EQ(slice, "untouched");
  EXPECT_EQ(cursor.status().message(), "Byte 0: expected '{', found '['.");
}

TEST(JsonCursor, OffersACommaWhereABracketIsMissing) {
  JsonCursor cursor("[1 2");
  std::string_view slice;
  ASSERT_TRUE(cursor.expect('[') && cursor.value(slice));
  EXPECT_FALSE(cursor.expect(']'));
  EXPECT_EQ(cursor.status().message(), "Byte 3: expected ',' or ']', found '2'.");
}

TEST(JsonCursor, CountsThePositionsFromTheStartOfTheText) {
  JsonCursor cursor("[1]\n[2", 4);
  std::string_view slice;
  EXPECT_FALSE(cursor.value(slice));
  EXPECT_EQ(cursor.status().position(), 6);
}

TEST(JsonCursor, CountsTheDepthOfWhatItEntered) {
  const std::string text = nested(65, '[', ']');
  std::string_view slice;
  JsonCursor one(text);
  ASSERT_TRUE(one.expect('['));
  EXPECT_FALSE(one.value(slice));
  EXPECT_EQ(one.status().position(), 64);
  JsonCursor all(text);
  for (int i = 0; i < kMaxDepth; ++i) {
    ASSERT_TRUE(all.expect('['));
  }
  EXPECT_FALSE(all.expect('['));
  EXPECT_EQ(all.status().position(), 64);

  const std::string siblings = "[[]," + nested(63, '[', ']') + "]";
  JsonCursor left_again(siblings);
  ASSERT_TRUE(left_again.expect('[') && left_again.expect('[') && left_again.expect(']') && left_again.expect(','));
  EXPECT_TRUE(left_again.value(slice));
}

// Writes random JSON with random white space.
class Writer {
 public:
  explicit Writer(unsigned seed) : random_(seed) {}

  std::string value(int depth = 0) {
    static constexpr std::string_view kScalars[] = {
        "null", "true", "-0", "12345678901234567890.5e-7", "0", "\"\\ud83c\\udf89\""};
    switch (random_() % (depth < 5 ? 5 : 3)) {
      case 0:
        return std::string(kScalars[random_() % std::size(kScalars)]);
      case 1:
        return std::to_string(random_());
      case 2:
        return string();
      case 3:
        return list('[', ']', [&] { return value(depth + 1); });
      default:
        return list('{', '}', [&] { return string() + space() + ":" + space() + value(depth + 1); });
    }
  }
  unsigned number(std::size_t below) { return static_cast<unsigned>(random_() % below); }

 private:
  std::string space() {
    return std::string(std::string_view(" \n\r\t").substr(random_() % 5)).substr(0, random_() % 3);
  }
  std::string string() {
    std::string text;
    for (unsigned i = number(12); i > 0; --i) {
      text += std::string_view("ab\"\\\n\x01/ z\x7F").substr(number(10), 1);
      text += number(6) == 0 ? "\xE2\x82\xAC" : "";
    }
    std::string quoted;
    append_json_string(quoted, text);
    return quoted;
  }
  template <typename Element>
  std::string list(char open, char close, Element element) {
    std::string text = open + space();
    for (unsigned i = 0, count = number(4); i < count; ++i) {
      text += (i == 0 ? "" : "," + space()) + element() + space();
    }
    return text + close;
  }

  std::mt19937 random_;
};

TEST(CheckJson, AcceptsWhatIsWrittenByTheGrammarAndSlicesItBack) {
  Writer writer(1);
  for (int round = 0; round < 3000; ++round) {
    const std::string value = writer.value();
    const std::string text = "{\"type\" :\n\"t\", \"data\": " + value + " }";
    ASSERT_TRUE(check_json(text).ok()) << text << check_json(text).message();
    JsonCursor cursor(text);
    std::string_view name, type, data;
    ASSERT_TRUE(cursor.expect('{') && cursor.string(name) && cursor.expect(':') && cursor.string(type) &&
                cursor.expect(',') && cursor.string(name) && cursor.expect(':') && cursor.value(data));
    EXPECT_EQ(data, value);
    EXPECT_TRUE(cursor.expect('}') && cursor.end());
  }
}

TEST(CheckJson, GivesAPlaceInsideForEveryMutation) {
  Writer writer(2);
  GuardedText guarded(1 << 16);
  for (int round = 0; round < 20000; ++round) {
    std::string text = writer.value();
    for (unsigned i = 1 + writer.number(3); i > 0 && !text.empty(); --i) {
      const std::size_t place = writer.number(text.size());
      switch (writer.number(3)) {
        case 0:
          text[place] = static_cast<char>(writer.number(256));
          break;
        case 1:
          text.erase(place, 1);
          break;
        default:
          text.insert(place, 1, "{}[],:\"\\0e\xFF"[writer.number(11)]);
      }
    }
    const std::string_view copy = guarded.copy(text);
    if (const Status status = check_json(copy); status.ok()) {
      std::string_view slice;
      JsonCursor cursor(copy);
      EXPECT_TRUE(cursor.value(slice) && check_json(slice).ok()) << text;
    } else {
      EXPECT_LE(status.position(), static_cast<std::int64_t>(text.size())) << text;
      EXPECT_GE(status.position(), 0) << text;
    }
  }
}

}  // namespace
}  // namespace polyglot::core
