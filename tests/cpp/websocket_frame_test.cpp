#include "server/websocket_frame.hpp"

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <new>
#include <random>
#include <vector>

namespace {

// Bytes that this program holds by operator new.
std::size_t held_bytes = 0;

}  // namespace

// Not inline, or GCC sees malloc meet operator delete and warns.
[[gnu::noinline]] void* operator new(std::size_t size) {
  void* const memory = std::malloc(size);
  if (memory == nullptr) std::abort();
  held_bytes += malloc_usable_size(memory);
  return memory;
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return operator new(size);
}
void operator delete(void* memory) noexcept {
  held_bytes -= malloc_usable_size(memory);
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  operator delete(memory);
}

namespace polyglot::server {
namespace {

using Next = WebSocketReader::Next;
using namespace std::string_literals;
using namespace std::string_view_literals;

constexpr std::size_t kLimit = 100'000;
constexpr std::array<unsigned char, 4> kMask = {0x37, 0xFA, 0x21, 0x3D};
// What a reader may hold beside the payload of one message.
constexpr std::size_t kConstant = 512;

// The first two bytes of a client's frame, with any length below 126.
std::string head(unsigned first, std::size_t size) {
  return {static_cast<char>(first), static_cast<char>(0x80 | size)};
}

std::string masked(std::string_view payload) {
  std::string bytes(kMask.begin(), kMask.end());
  for (std::size_t i = 0; i < payload.size(); ++i) bytes.push_back(static_cast<char>(payload[i] ^ kMask[i % 4]));
  return bytes;
}

// Such as a client sends it. Written on its own, so that reader and writer are not tested against each other only.
std::string frame(Opcode opcode, std::string_view payload, bool fin = true) {
  const unsigned first = (fin ? 0x80 : 0) | static_cast<unsigned>(opcode);
  const std::size_t size = payload.size();
  if (size < 126) return head(first, size) + masked(payload);
  const int bytes = size < 65536 ? 2 : 8;
  std::string out = head(first, bytes == 2 ? 126 : 127);
  for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<char>(size >> (8 * i)));
  return out + masked(payload);
}

std::string first(Opcode opcode, std::string_view payload) {
  return frame(opcode, payload, false);
}
std::string middle(std::string_view payload) {
  return frame(Opcode::continuation, payload, false);
}
std::string last(std::string_view payload) {
  return frame(Opcode::continuation, payload);
}

// What a stream means: its messages, and how it ended.
struct Meaning {
  std::vector<std::pair<Opcode, std::string>> messages;
  std::uint16_t error = 0;
  bool idle = true;

  bool operator==(const Meaning&) const = default;
};

void PrintTo(const Meaning& meaning, std::ostream* out) {
  for (const auto& [opcode, payload] : meaning.messages) {
    *out << static_cast<int>(opcode) << ":" << payload.substr(0, 40) << "(" << payload.size() << ") ";
  }
  *out << "error " << meaning.error << (meaning.idle ? " idle" : " begun");
}

// Feeds the pieces that end at `cuts`, each from a place of its own that is gone when the next one comes.
Meaning read(std::string_view stream, const std::vector<std::size_t>& cuts = {}, std::size_t limit = kLimit) {
  WebSocketReader reader(limit);
  Meaning meaning;
  std::size_t begin = 0;
  for (std::size_t piece = 0; piece <= cuts.size(); ++piece) {
    const std::size_t end = piece < cuts.size() ? cuts[piece] : stream.size();
    std::vector<char> bytes(stream.begin() + static_cast<std::ptrdiff_t>(begin),
                            stream.begin() + static_cast<std::ptrdiff_t>(end));
    begin = end;
    std::span<char> input(bytes);
    WebSocketMessage message;
    Next next = reader.next(input, message);
    for (; next == Next::message; next = reader.next(input, message)) {
      meaning.messages.emplace_back(message.opcode, message.payload);
    }
    EXPECT_TRUE(next == Next::error || input.empty());
    EXPECT_EQ(next == Next::error, reader.error_code() != 0);
    EXPECT_EQ(reader.error_reason().empty(), reader.error_code() == 0);
  }
  meaning.error = reader.error_code();
  meaning.idle = reader.idle();
  return meaning;
}

// The bytes held, with what the first check of a text in a process takes for good (simdjson chooses its instructions).
std::size_t held_now() {
  read(frame(Opcode::text, "text"));
  return held_bytes;
}

std::vector<std::size_t> every_byte(std::string_view stream) {
  std::vector<std::size_t> cuts;
  for (std::size_t i = 1; i < stream.size(); ++i) cuts.push_back(i);
  return cuts;
}

// Whole, byte by byte, and cut at any place.
void expect(std::string_view stream, const Meaning& meaning, std::size_t limit = kLimit) {
  EXPECT_EQ(read(stream, {}, limit), meaning);
  EXPECT_EQ(read(stream, every_byte(stream), limit), meaning) << "byte by byte";
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    ASSERT_EQ(read(stream, {cut}, limit), meaning) << "cut at " << cut;
  }
}

void expect_message(std::string_view stream, Opcode opcode, std::string_view payload) {
  SCOPED_TRACE(payload.substr(0, 40));
  expect(stream, {{{opcode, std::string(payload)}}});
}

// After a message and before another one, which means nothing any more.
void expect_error(std::string_view wrong, std::uint16_t code, const char* why) {
  SCOPED_TRACE(why);
  const std::string before = frame(Opcode::text, "before");
  expect(before + std::string(wrong) + frame(Opcode::text, "after"), {{{Opcode::text, "before"}}, code});
}

TEST(WebSocketReader, ReadsTheExamplesOfTheRfc) {
  expect_message("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", Opcode::text, "Hello");
  expect_message("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", Opcode::pong, "Hello");
  // The fragments "Hel" and "lo", with a mask of zeros, because a client must mask.
  expect_message("\x01\x83\0\0\0\0\x48\x65\x6c\x80\x82\0\0\0\0\x6c\x6f"s, Opcode::text, "Hello");
}

TEST(WebSocketReader, ReadsEveryKindOfMessage) {
  expect_message(frame(Opcode::text, ""), Opcode::text, "");
  expect_message(frame(Opcode::text, "gr\u00fc\u00df dich \U0001F600"), Opcode::text, "gr\u00fc\u00df dich \U0001F600");
  expect_message(frame(Opcode::binary, "\xff\0\xfe"sv), Opcode::binary, "\xff\0\xfe"sv);
  expect_message(frame(Opcode::ping, "\xff"), Opcode::ping, "\xff");
  expect_message(frame(Opcode::pong, std::string(125, 'p')), Opcode::pong, std::string(125, 'p'));
  expect_message(frame(Opcode::close, ""), Opcode::close, "");
  expect_message(frame(Opcode::close, "\x03\xe8"), Opcode::close, "\x03\xe8");
  expect_message(frame(Opcode::close, "\x0f\xa0why \u00fc"), Opcode::close, "\x0f\xa0why \u00fc");
}

TEST(WebSocketReader, ReadsEveryFormOfALength) {
  for (const std::size_t size : {1, 7, 8, 9, 125, 126, 127, 300, 65535, 65536, 70000}) {
    std::string payload;
    for (std::size_t i = 0; i < size; ++i) payload.push_back(static_cast<char>(i * 7));
    const std::string stream = frame(Opcode::binary, payload);
    const Meaning meaning{{{Opcode::binary, payload}}};
    EXPECT_EQ(read(stream), meaning) << size;
    EXPECT_EQ(read(stream, every_byte(stream)), meaning) << size;
    // A mask goes on where the piece before it ended.
    for (std::size_t cut = 0; cut < std::min<std::size_t>(stream.size(), 40); ++cut) {
      ASSERT_EQ(read(stream, {cut, std::max(cut, stream.size() - cut / 2)}), meaning) << size << " cut at " << cut;
    }
  }
}

TEST(WebSocketReader, JoinsFragmentsAndHandsOutControlFramesBetweenThem) {
  expect_message(first(Opcode::text, "") + last(""), Opcode::text, "");
  expect_message(first(Opcode::text, "") + middle("") + last("whole"), Opcode::text, "whole");
  expect_message(first(Opcode::binary, "a") + middle("b") + middle("") + last("c"), Opcode::binary, "abc");
  expect(first(Opcode::text, "ab") + frame(Opcode::ping, "1") + middle("c") + frame(Opcode::pong, "") + last("d") +
             frame(Opcode::text, "next"),
         {{{Opcode::ping, "1"}, {Opcode::pong, ""}, {Opcode::text, "abcd"}, {Opcode::text, "next"}}});
}

TEST(WebSocketReader, IsIdleBetweenMessagesOnly) {
  EXPECT_TRUE(read("").idle);
  const std::string stream = first(Opcode::text, "ab") + frame(Opcode::ping, "x") + last("c");
  for (std::size_t size = 1; size < stream.size(); ++size) {
    EXPECT_FALSE(read(stream.substr(0, size)).idle) << size;
  }
  EXPECT_TRUE(read(stream).idle);
}

TEST(WebSocketReader, RefusesWhatBreaksTheProtocol) {
  expect_error("\x81\x05Hello", 1002, "not masked");
  for (const unsigned reserved : {0x40, 0x20, 0x10, 0x70}) {
    expect_error(head(0x81 | reserved, 1) + masked("x"), 1002, "reserved bit");
  }
  for (const unsigned opcode : {3, 4, 5, 6, 7, 11, 12, 13, 14, 15}) {
    expect_error(head(0x80 | opcode, 1) + masked("x"), 1002, "reserved opcode");
  }
  for (const Opcode opcode : {Opcode::close, Opcode::ping, Opcode::pong}) {
    expect_error(frame(opcode, "\x03\xe8", false), 1002, "fragmented control frame");
    expect_error(frame(opcode, std::string(126, 'x')), 1002, "long control frame");
    expect_error(head(0x80 | static_cast<unsigned>(opcode), 127) + "\0\0\0\0\0\0\0\1"s, 1002, "long control frame");
  }
  expect_error(last("x"), 1002, "continuation of nothing");
  expect_error(middle("x"), 1002, "continuation of nothing");
  expect(first(Opcode::text, "a") + last("b") + last("c"), {{{Opcode::text, "ab"}}, 1002});
  expect_error(first(Opcode::text, "a") + frame(Opcode::text, "b"), 1002, "message within a message");
  expect_error(first(Opcode::text, "a") + first(Opcode::binary, "b"), 1002, "message within a message");
  expect_error(head(0x81, 126) + "\0\x7d"s + masked(std::string(125, 'x')), 1002, "125 in two bytes");
  expect_error(head(0x81, 127) + "\0\0\0\0\0\0\xff\xff"s + masked(std::string(65535, 'x')).substr(0, 50), 1002,
               "65535 in eight bytes");
  expect_error(head(0x82, 127) + "\x80\0\0\0\0\0\0\0"s, 1002, "highest bit of a length");
}

TEST(WebSocketReader, RefusesTextThatIsNotUtf8) {
  for (const char* bad : {"\x80", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf0\x9f\x98", "\xff"}) {
    expect_error(frame(Opcode::text, bad), 1007, bad);
    expect_error(first(Opcode::text, "ok") + last(bad), 1007, bad);
    expect_error(first(Opcode::text, bad) + last("ok"), 1007, bad);
  }
}

TEST(WebSocketReader, TakesUtf8ThatIsCutWithinACharacter) {
  const std::string text = "\u00e4\u20ac\U0001F600";
  for (std::size_t i = 0; i <= text.size(); ++i) {
    expect_message(first(Opcode::text, text.substr(0, i)) + last(text.substr(i)), Opcode::text, text);
  }
}

TEST(WebSocketReader, RefusesCloseFramesThatSayNothing) {
  expect_error(frame(Opcode::close, "\x03"), 1002, "one byte");
  expect_error(frame(Opcode::close, "\x03\xed"), 1002, "1005");
  expect_error(frame(Opcode::close, "\x03\xee"), 1002, "1006");
  expect_error(frame(Opcode::close, "\x03\xe8\xff"), 1007, "reason is not UTF-8");
}

TEST(WebSocketReader, RefusesWhatIsTooBigBeforeItComes) {
  const Meaning refused{{}, 1009};
  expect(frame(Opcode::text, "12345678"), {{{Opcode::text, "12345678"}}}, 8);
  expect(first(Opcode::text, "1234") + middle("") + last("5678"), {{{Opcode::text, "12345678"}}}, 8);
  expect(frame(Opcode::ping, "a control frame is no message"), {{{Opcode::ping, "a control frame is no message"}}}, 8);
  // As soon as the length is known.
  expect(head(0x82, 9), refused, 8);
  expect(first(Opcode::text, "1234") + head(0x80, 5), refused, 8);
  expect(head(0x82, 126) + "\xff\xff", refused, 65534);
  expect(head(0x82, 127) + "\0\0\0\0\x04\0\0\0"s, refused);  // 64 MiB
  expect(first(Opcode::binary, "1") + head(0x80, 127) + "\x7f\xff\xff\xff\xff\xff\xff\xff", refused);
  expect(frame(Opcode::text, ""), {{{Opcode::text, ""}}}, 0);
  expect(head(0x82, 1), refused, 0);
}

TEST(WebSocketReader, GivesItsErrorForEver) {
  WebSocketReader reader(kLimit);
  EXPECT_EQ(reader.error_code(), 0);
  std::string bytes = last("x") + frame(Opcode::text, "fine");
  std::span<char> input(bytes);
  WebSocketMessage message;
  EXPECT_EQ(reader.next(input, message), Next::error);
  EXPECT_EQ(reader.error_reason(), "A continuation has no message to continue.");
  bytes = frame(Opcode::text, "fine");
  input = bytes;
  EXPECT_EQ(reader.next(input, message), Next::error);
  EXPECT_EQ(reader.error_code(), 1002);
}

TEST(WebSocketReader, DoesNotCopyWhatLiesWhole) {
  static_assert(sizeof(WebSocketReader) <= 64, "thousands of them are idle");
  std::string bytes = frame(Opcode::ping, "ping") + frame(Opcode::text, std::string(300, 'x'));
  const std::size_t held = held_now();
  WebSocketReader reader(kLimit);
  std::span<char> input(bytes);
  WebSocketMessage message;
  ASSERT_EQ(reader.next(input, message), Next::message);
  EXPECT_EQ(message.payload.data(), bytes.data() + 6);
  ASSERT_EQ(reader.next(input, message), Next::message);
  EXPECT_EQ(message.payload.data(), bytes.data() + 10 + 8);
  EXPECT_EQ(reader.next(input, message), Next::more);
  EXPECT_EQ(held_bytes, held);
}

TEST(WebSocketReader, DoesNotCopyAPayloadThatLiesWholeBehindItsHeader) {
  const std::string stream = frame(Opcode::text, "payload");
  WebSocketReader reader(kLimit);
  WebSocketMessage message;
  std::string header = stream.substr(0, 6);
  std::span<char> input(header);
  ASSERT_EQ(reader.next(input, message), Next::more);
  std::string bytes = stream.substr(6);
  input = bytes;
  ASSERT_EQ(reader.next(input, message), Next::message);
  EXPECT_EQ(message.payload.data(), bytes.data());
}

TEST(WebSocketReader, HoldsNoMoreThanWhatCameAndGivesItBack) {
  const std::string payload(kLimit, 'x');
  const std::string stream =
      first(Opcode::text, payload.substr(0, 10)) + frame(Opcode::ping, "?") + last(payload.substr(10));
  std::vector<char> piece(100);
  WebSocketReader reader(kLimit);
  WebSocketMessage message;
  const std::size_t held = held_now();
  std::size_t messages = 0;
  for (std::size_t at = 0; at < stream.size(); at += piece.size()) {
    std::span<char> input = std::span(piece).first(std::min(piece.size(), stream.size() - at));
    std::copy_n(stream.begin() + static_cast<std::ptrdiff_t>(at), input.size(), input.begin());
    while (reader.next(input, message) == Next::message) {
      ++messages;
      EXPECT_LE(held_bytes - held, kLimit + kConstant);
    }
    ASSERT_LE(held_bytes - held, std::min(2 * (at + piece.size()), kLimit) + kConstant);
  }
  EXPECT_EQ(messages, 2U);
  EXPECT_TRUE(reader.idle());
  EXPECT_EQ(held_bytes, held);
}

TEST(WebSocketReader, HoldsNothingAfterAnError) {
  WebSocketReader reader(kLimit);
  std::string bytes = first(Opcode::text, std::string(1000, 'x')) + "\x81";
  WebSocketMessage message;
  std::span<char> input(bytes);
  const std::size_t held = held_now();
  ASSERT_EQ(reader.next(input, message), Next::more);
  EXPECT_GT(held_bytes, held);
  char rest = '\x80';
  input = {&rest, 1};
  ASSERT_EQ(reader.next(input, message), Next::error);
  EXPECT_EQ(held_bytes, held);
}

// Any messages in any fragments, with pings between them, in any pieces.
TEST(WebSocketReader, ReadsWhatAClientWrote) {
  std::mt19937 random(6455);
  const auto below = [&random](std::size_t end) {
    return std::uniform_int_distribution<std::size_t>(0, end - 1)(random);
  };
  const auto text_of = [&](std::size_t size) {
    std::string text;
    while (text.size() < size) text.append(below(2) == 0 ? "a" : "\u20ac");
    return text;
  };
  const auto bytes_of = [&](std::size_t size) {
    std::string bytes;
    while (bytes.size() < size) bytes.push_back(static_cast<char>(below(256)));
    return bytes;
  };
  for (int round = 0; round < 2000; ++round) {
    Meaning meaning;
    std::string stream;
    for (std::size_t count = below(6); count > 0; --count) {
      const Opcode opcode = below(2) == 0 ? Opcode::text : Opcode::binary;
      const std::size_t end = below(10) == 0 ? 70'000 : 400;
      const std::string payload = opcode == Opcode::text ? text_of(below(end)) : bytes_of(below(end));
      Opcode of_fragment = opcode;
      std::string_view rest = payload;
      for (std::size_t fragments = 1 + below(4); fragments > 0; --fragments) {
        const std::size_t size = fragments == 1 ? rest.size() : below(rest.size() + 1);
        stream += frame(of_fragment, rest.substr(0, size), fragments == 1);
        rest.remove_prefix(size);
        of_fragment = Opcode::continuation;
        if (fragments > 1 && below(2) == 0) {
          meaning.messages.emplace_back(Opcode::ping, std::string(below(126), 'p'));
          stream += frame(Opcode::ping, meaning.messages.back().second);
        }
      }
      meaning.messages.emplace_back(opcode, payload);
    }
    std::vector<std::size_t> cuts(below(30));
    for (std::size_t& cut : cuts) cut = below(stream.size() + 1);
    std::sort(cuts.begin(), cuts.end());
    ASSERT_EQ(read(stream, cuts), meaning) << "round " << round;
  }
}

}  // namespace
}  // namespace polyglot::server
