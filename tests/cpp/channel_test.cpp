#include "core/channel.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace polyglot::core {
namespace {

constexpr std::string_view kAppCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
constexpr std::string_view kMoreChannelCharacters = "=@,.;:~/";

bool one_of(std::string_view characters, int byte) {
  return characters.find(static_cast<char>(byte)) != std::string_view::npos;
}

TEST(Names, AllowExactlyTheirCharacters) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string name = std::string("a") + static_cast<char>(byte);
    const bool in_app = one_of(kAppCharacters, byte);
    const bool in_channel = in_app || one_of(kMoreChannelCharacters, byte);
    EXPECT_EQ(check_app(name).ok(), in_app) << byte;
    EXPECT_EQ(check_channel(name).ok(), in_channel) << byte;
    EXPECT_EQ(ChannelPattern::parse(name).ok(), in_channel || byte == '*') << byte;
  }
}

TEST(Names, HaveALengthFromOneToTheirLimit) {
  EXPECT_FALSE(check_app("").ok());
  EXPECT_TRUE(check_app("a").ok());
  EXPECT_TRUE(check_app(std::string(64, 'a')).ok());
  EXPECT_FALSE(check_app(std::string(65, 'a')).ok());
  EXPECT_FALSE(check_channel("").ok());
  EXPECT_TRUE(check_channel(std::string(200, 'a')).ok());
  EXPECT_FALSE(check_channel(std::string(201, 'a')).ok());
  EXPECT_FALSE(ChannelPattern::parse("").ok());
  EXPECT_TRUE(ChannelPattern::parse(std::string(200, '*')).ok());
  EXPECT_FALSE(ChannelPattern::parse(std::string(201, '*')).ok());
}

TEST(Names, SayWhatIsWrongAndWhere) {
  const auto expect = [](const Status& status, Code code, std::string_view message) {
    EXPECT_EQ(status.code(), code);
    EXPECT_EQ(status.message(), message);
    EXPECT_EQ(status.position(), -1);
  };
  expect(check_app(""), Code::invalid_app, "The app id is empty; it needs 1 to 64 characters.");
  expect(check_app("demo app"), Code::invalid_app, "The app id has ' ' at place 5; allowed are A-Z a-z 0-9 _ -.");
  expect(check_channel(std::string(201, 'a')), Code::invalid_channel,
         "The channel name is 201 bytes long; it may have 200.");
  expect(check_channel("caf\xC3\xA9"), Code::invalid_channel,
         "The channel name has byte 0xC3 at place 4; allowed are A-Z a-z 0-9 _ - = @ , . ; : ~ /.");
  expect(check_channel(std::string("a\0", 2)), Code::invalid_channel,
         "The channel name has byte 0x00 at place 2; allowed are A-Z a-z 0-9 _ - = @ , . ; : ~ /.");
  expect(ChannelPattern::parse("room:?").status(), Code::invalid_parameter,
         "The channel pattern has '?' at place 6; allowed are A-Z a-z 0-9 _ - = @ , . ; : ~ / *.");
}

bool matches(std::string_view pattern, std::string_view channel) {
  return ChannelPattern::parse(pattern).value().matches(channel);
}

TEST(ChannelPattern, MatchesWhole) {
  const struct {
    std::string_view pattern, channel;
    bool match;
  } cases[] = {
      {"room", "room", true},
      {"room", "room1", false},
      {"room", "roo", false},
      {"room", "", false},
      {"*", "", true},
      {"*", "anything/at:all", true},
      {"**", "x", true},
      {"room:*", "room:", true},
      {"room:*", "room:1", true},
      {"room:*", "room", false},
      {"room:*", "aroom:1", false},
      {"*:1", "room:1", true},
      {"*:1", "room:1:1", true},
      {"*:1", "room:12", false},
      {"a*b*c", "abc", true},
      {"a*b*c", "aXbXbXc", true},
      {"a*b*c", "aXcXb", false},
      {"*a*", "bab", true},
      {"*a*", "bbb", false},
      {"*aab", "aaaab", true},
      {"*ab*ab", "abab", true},
      {"*ab*ab", "aab", false},
      {"a**b", "ab", true},
      {"room:*:typing", "room:1:2:typing", true},
      {"room:*:typing", "room:typing", false},
  };
  for (const auto& [pattern, channel, match] : cases) {
    EXPECT_EQ(matches(pattern, channel), match) << pattern << ' ' << channel;
  }
}

// The definition, word by word.
bool matches_by_definition(std::string_view pattern, std::string_view channel) {
  if (pattern.empty()) {
    return channel.empty();
  }
  if (pattern[0] == '*') {
    return matches_by_definition(pattern.substr(1), channel) ||
           (!channel.empty() && matches_by_definition(pattern, channel.substr(1)));
  }
  return !channel.empty() && pattern[0] == channel[0] && matches_by_definition(pattern.substr(1), channel.substr(1));
}

TEST(ChannelPattern, AgreesWithTheDefinition) {
  std::mt19937 random(3);
  const auto text = [&random](std::string_view alphabet, std::size_t shortest, std::size_t longest) {
    std::string out;
    for (std::size_t i = shortest + random() % (longest - shortest + 1); i > 0; --i) {
      out += alphabet[random() % alphabet.size()];
    }
    return out;
  };
  int matched = 0;
  for (int round = 0; round < 20000; ++round) {
    const std::string pattern = text("ab*", 1, 7);
    const std::string channel = text("ab", 0, 8);
    const bool expected = matches_by_definition(pattern, channel);
    matched += expected ? 1 : 0;
    ASSERT_EQ(matches(pattern, channel), expected) << pattern << ' ' << channel;
  }
  EXPECT_GT(matched, 1000);
}

TEST(ChannelPattern, IsNotSlowedDownByHostilePatterns) {
  // Trying every way to share the text among the stars would not end.
  std::string pattern;
  for (int i = 0; i < 66; ++i) {
    pattern += "*a";
  }
  EXPECT_FALSE(matches(pattern + "*b", std::string(200, 'a')));
}

TEST(ChannelPattern, KeepsItsText) {
  EXPECT_EQ(ChannelPattern::parse("room:*").value().text(), "room:*");
}

}  // namespace
}  // namespace polyglot::core
