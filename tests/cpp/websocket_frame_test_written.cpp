// The part of the tests about what a server writes, and about the payload of close frames and the handshake's keys.
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "core/utf8.hpp"
#include "server/websocket_frame.hpp"

namespace polyglot::server {
namespace {

using namespace std::string_literals;

TEST(ParseClose, KnowsTheCodesThatMayBeSent) {
  for (unsigned sent = 0; sent <= 0xFFFF; ++sent) {
    const std::string payload = {static_cast<char>(sent >> 8), static_cast<char>(sent), 'w', 'h', 'y'};
    const bool expected = (sent >= 1000 && sent <= 1014 && sent != 1004 && sent != 1005 && sent != 1006) ||
                          (sent >= 3000 && sent <= 4999);
    std::uint16_t code = 0;
    std::string_view reason;
    ASSERT_EQ(parse_close(payload, code, reason), expected) << sent;
    if (expected) {
      ASSERT_EQ(code, sent);
      ASSERT_EQ(reason, "why");
    }
  }
}

TEST(ParseClose, KnowsThatThereIsNoCodeOrNoReason) {
  std::uint16_t code = 0;
  std::string_view reason = "before";
  EXPECT_TRUE(parse_close("", code, reason));
  EXPECT_EQ(code, 1005);
  EXPECT_EQ(reason, "");
  EXPECT_TRUE(parse_close("\x03\xe9", code, reason));
  EXPECT_EQ(code, 1001);
  EXPECT_EQ(reason, "");
  EXPECT_FALSE(parse_close("\x03", code, reason));
  EXPECT_FALSE(parse_close("\x03\xe8\xc3", code, reason));
}

TEST(WriteFrame, WritesTheExamplesOfTheRfc) {
  std::string out;
  append_frame(out, Opcode::text, "Hello");
  append_frame(out, Opcode::ping, "Hello");
  EXPECT_EQ(out, "\x81\x05Hello\x89\x05Hello");
  out.clear();
  append_frame(out, Opcode::binary, std::string(256, 'b'));
  EXPECT_EQ(out, "\x82\x7e\x01\0"s + std::string(256, 'b'));
  out.clear();
  append_frame(out, Opcode::binary, std::string(65536, 'b'));
  EXPECT_EQ(out, "\x82\x7f\0\0\0\0\0\x01\0\0"s + std::string(65536, 'b'));
}

TEST(WriteFrame, WritesTheShortestHeader) {
  const auto header = [](std::size_t payload, bool compressed = false) {
    std::array<char, kMaxFrameHeader> out;
    return std::string(out.data(), write_frame_header(out.data(), Opcode::text, payload, compressed));
  };
  EXPECT_EQ(header(0), "\x81\0"s);
  EXPECT_EQ(header(125), "\x81\x7d");
  EXPECT_EQ(header(126), "\x81\x7e\0\x7e"s);
  EXPECT_EQ(header(65535), "\x81\x7e\xff\xff");
  EXPECT_EQ(header(65536), "\x81\x7f\0\0\0\0\0\x01\0\0"s);
  EXPECT_EQ(header(0x0123456789ABCDEF), "\x81\x7f\x01\x23\x45\x67\x89\xab\xcd\xef");
  EXPECT_EQ(header(1, true), "\xc1\x01");
}

TEST(WriteClose, WritesCodeAndReason) {
  std::string out = "before";
  append_close(out, 4001, "slow");
  EXPECT_EQ(out, "before\x88\x06\x0f\xa1slow");
  out.clear();
  append_close(out, 1000, "");
  EXPECT_EQ(out, "\x88\x02\x03\xe8");
  out.clear();
  append_close(out, 1005, "never said");
  EXPECT_EQ(out, "\x88\0"s);
}

TEST(WriteClose, CutsALongReasonBetweenCharacters) {
  for (const std::string_view character : {"a", "\u00e4", "\u20ac", "\U0001F600"}) {
    for (std::size_t before = 118; before <= 125; ++before) {
      std::string reason(before, 'x');
      for (int i = 0; i < 5; ++i) reason.append(character);
      std::string out;
      append_close(out, 1000, reason);
      const std::string_view cut = std::string_view(out).substr(4);
      EXPECT_TRUE(reason.starts_with(cut) && core::check_utf8(cut).ok()) << before;
      EXPECT_LE(cut.size(), 123U);
      EXPECT_GT(cut.size() + character.size(), 123U);
      EXPECT_EQ(static_cast<std::size_t>(out[1]), 2 + cut.size());
    }
  }
}

TEST(Handshake, AnswersTheKeyOfTheRfc) {
  EXPECT_TRUE(valid_client_key("dGhlIHNhbXBsZSBub25jZQ=="));
  EXPECT_EQ(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(Handshake, KnowsWhatIsNoKey) {
  EXPECT_TRUE(valid_client_key("AAAA+/zz09AAAAAAAAAAAA=="));
  for (const char* key : {"", "==", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQAA",
                          "dGhlIHNhbXBsZSBub25jZQ=A", "dGhlIHNhbXBsZSBub25jZQ== ", "dGhlIHNhbXBsZSBub25=ZQ==",
                          "dGhlIHNhbXBsZSBub25-ZQ==", "dGhlIHNhbXBsZSBub25jZQA=", "dGhlIHNhbXBsZSBub25jZWFhYQ=="}) {
    EXPECT_FALSE(valid_client_key(key)) << key;
  }
}

}  // namespace
}  // namespace polyglot::server
