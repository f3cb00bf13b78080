#include "core/envelope.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "core/event.hpp"
#include "core/json.hpp"

namespace polyglot::core {
namespace {

constexpr TimeUs kNow = 1763404796107549;

SentEvent sent(std::string_view type, std::string_view data) {
  return {.channel = {}, .type = type, .data = data};
}

std::string envelope(const EventMeta& meta, const SentEvent& event) {
  std::string out;
  append_envelope(out, meta, event);
  return out;
}

TEST(Envelope, IsWhatIsDocumented) {
  const std::string out = envelope(
      {.app = "demo-app", .channel = "room:test", .id = {}, .time = kNow, .user_id = "", .source_ip = "127.0.0.1"},
      sent(R"("message")", R"({"text":"Hello"})"));
  EXPECT_EQ(out, R"({"id":"evt_00000000000000000000000000","app_id":"demo-app","channel":"room:test","type":"message",)"
                 R"("data":{"text":"Hello"},"meta":{"user_id":null,"ts":"2025-11-17T18:39:56.107549Z",)"
                 R"("source_ip":"127.0.0.1"},"offset":)");
  EXPECT_EQ(envelope_id(out), "evt_00000000000000000000000000");
}

TEST(Envelope, CopiesTypeAndDataByteForByte) {
  const std::string out =
      envelope({"a", "b", {}, kNow, "", ""}, sent(R"("m\u00e9\/")", "[ 1e5 ,\n-0, 12345678901234567890 ]"));
  EXPECT_NE(out.find(R"("type":"m\u00e9\/","data":[ 1e5 ,)"
                     "\n-0, 12345678901234567890 ],\"meta\""),
            std::string::npos)
      << out;
}

TEST(Envelope, EscapesWhoAndWhence) {
  const std::string out = envelope({"a", "b", {}, kNow, "o\"brien\n", "fe80::1%\\eth0"}, sent("\"t\"", "1"));
  EXPECT_NE(out.find(R"("user_id":"o\"brien\n",)"), std::string::npos) << out;
  EXPECT_NE(out.find(R"("source_ip":"fe80::1%\\eth0"})"), std::string::npos) << out;
  EXPECT_TRUE(check_json(out + "1}").ok());
}

TEST(Envelope, WritesNullForWhatIsNotKnown) {
  const std::string out = envelope({"a", "b", {}, kNow, "", ""}, sent("\"t\"", "1"));
  EXPECT_NE(out.find(R"("user_id":null,)"), std::string::npos);
  EXPECT_TRUE(out.ends_with(R"("source_ip":null},"offset":)"));
}

TEST(Envelope, IsAppended) {
  std::string out = "before";
  append_envelope(out, {"a", "b", {}, kNow, "", ""}, sent("\"t\"", "1"));
  append_envelope(out, {"a", "b", {}, kNow, "", ""}, sent("\"t\"", "1"));
  const std::string one = envelope({"a", "b", {}, kNow, "", ""}, sent("\"t\"", "1"));
  EXPECT_EQ(out, "before" + one + one);
}

TEST(Envelope, IsJsonForTheDeepestAndLargestEvent) {
  std::string body = R"({"type":")" + std::string(kMaxTypeLength, 't') + R"(","data":)";
  body += std::string(kMaxDepth - 1, '[') + '"' + std::string(60000, 'x') + '"' + std::string(kMaxDepth - 1, ']') + "}";
  const Result<SentEvent> event = parse_event(body);
  ASSERT_TRUE(event.ok()) << event.status().message();
  std::string out = envelope({std::string(64, 'a'), std::string(200, 'c'), {}, kNow, "u", "::1"}, event.value());
  char end[kMaxOffsetLength];
  out.append(end, write_offset(std::numeric_limits<std::uint64_t>::max(), end));
  EXPECT_TRUE(check_json(out).ok()) << check_json(out).message();
}

TEST(EnvelopeFromData, BeginsWithTheDataWhateverTheType) {
  for (const std::string_view type : {R"("t")", R"("\"")", R"("\\")", R"("\",\"data\":")"}) {
    std::string text;
    append_envelope(text, {"app", "room", {}, 7, {}, {}}, {.channel = {}, .type = type, .data = "[1]"});
    EXPECT_TRUE(envelope_from_data(text, "app", "room").starts_with(R"([1],"meta":)")) << text;
  }
}

TEST(EnvelopeFromData, IsEmptyWhereNoneFollow) {
  std::string text;
  append_envelope(text, {"app", "room", {}, 7, {}, {}}, {.channel = {}, .type = R"("a\"b")", .data = "1"});
  const std::size_t data = text.find("\"data\":") + 7;
  const std::size_t name = text.find("room\"") + 5;
  for (std::size_t size = name; size <= data; ++size) {
    EXPECT_TRUE(envelope_from_data(std::string_view(text).substr(0, size), "app", "room").empty()) << size;
  }
}

TEST(WriteOffset, EndsTheEnvelope) {
  const auto text = [](std::uint64_t offset) {
    char out[kMaxOffsetLength];
    return std::string(out, write_offset(offset, out));
  };
  EXPECT_EQ(text(0), "0}");
  EXPECT_EQ(text(42), "42}");
  EXPECT_EQ(text(1234567890), "1234567890}");
  EXPECT_EQ(text(std::numeric_limits<std::uint64_t>::max()), "18446744073709551615}");
  EXPECT_EQ(text(std::numeric_limits<std::uint64_t>::max()).size(), kMaxOffsetLength);
}

}  // namespace
}  // namespace polyglot::core
