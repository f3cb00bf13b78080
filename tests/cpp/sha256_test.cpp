#include "core/sha256.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "guarded_text.hpp"

namespace polyglot::core {
namespace {

std::string hex(const Digest& digest) {
  std::string text;
  for (const std::uint8_t byte : digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

TEST(Sha256, GivesTheExamplesOfTheStandard) {
  const std::pair<std::string, std::string_view> examples[] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrst"
       "u",
       "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
      {std::string(1000000, 'a'), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
  };
  for (const auto& [text, digest] : examples) {
    EXPECT_EQ(hex(sha256(text)), digest) << text.size();
    EXPECT_EQ(hex(sha256_portable(text)), digest) << text.size();
  }
}

TEST(Sha256, BothWaysAgreeOnEveryLength) {
  std::mt19937 random(11);
  GuardedText guarded(4096);
  for (std::size_t length = 0; length <= 300; ++length) {
    std::string text(length, '\0');
    for (char& c : text) {
      c = static_cast<char>(random());
    }
    const std::string_view copy = guarded.copy(text);
    ASSERT_EQ(sha256(copy), sha256_portable(copy)) << length;
  }
}

TEST(ParseDigest, ReadsExactly64HexDigits) {
  const Digest abc = sha256("abc");
  Digest digest{};
  EXPECT_TRUE(parse_digest("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", digest));
  EXPECT_EQ(digest, abc);
  EXPECT_TRUE(parse_digest("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD", digest));
  EXPECT_EQ(digest, abc);
  for (const std::string& wrong :
       {std::string(), std::string(63, 'a'), std::string(65, 'a'), std::string(63, 'a') + "g",
        "-" + std::string(63, 'a'), "0x" + std::string(62, 'a'), " " + std::string(63, 'a')}) {
    EXPECT_FALSE(parse_digest(wrong, digest)) << wrong;
    EXPECT_EQ(digest, abc) << "a refused text leaves the digest alone";
  }
}

TEST(EqualInConstantTime, SeesEverySingleBit) {
  const Digest one = sha256("abc");
  EXPECT_TRUE(equal_in_constant_time(one, sha256("abc")));
  for (std::size_t bit = 0; bit < 8 * one.size(); ++bit) {
    Digest other = one;
    other[bit / 8] = static_cast<std::uint8_t>(other[bit / 8] ^ (1U << bit % 8));
    EXPECT_FALSE(equal_in_constant_time(one, other)) << bit;
  }
}

}  // namespace
}  // namespace polyglot::core
