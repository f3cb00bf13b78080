#include "core/process_messages.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace polyglot::core {
namespace {

using namespace std::string_literals;

std::string written(std::vector<ProcessEvent> events) {
  Buffer message;
  write_events(events, message);
  return std::string(message.text());
}

// A Verdicts with one verdict of these fields.
std::string verdicts(const std::string& fields) {
  return std::string{'\x0a', static_cast<char>(fields.size())} + fields;
}

const std::string kAccepted = "\x0a\x05"s + "evt_1\x10\x01";

TEST(ProcessMessagesTest, AnEventHasItsFieldsByNumberAndNoEmptyOnes) {
  EXPECT_EQ(written({{.id = "evt_1", .app = "demo", .channel = "room", .type = "t", .data = "1", .timestamp = "now"}}),
            "\x0a\x1e"s + "\x0a\x05"s + "evt_1" + "\x12\x04"s + "demo" + "\x1a\x04"s + "room" + "\x22\x01t" +
                "\x2a\x01" + "1" + "\x32\x03now");
  EXPECT_EQ(written({{.user_id = "u", .source_ip = "::1"}}), "\x0a\x08\x3a\x01u\x42\x03::1");
  EXPECT_EQ(written({{}, {}}), "\x0a\x00\x0a\x00"s);
  EXPECT_EQ(written({}), "");
}

TEST(ProcessMessagesTest, LongTextsHaveLongerLengths) {
  const std::string data(300, '1');
  EXPECT_EQ(written({{.data = data}}), "\x0a\xaf\x02\x2a\xac\x02"s + data);
  const std::string longer(200'000, '1');
  EXPECT_EQ(written({{.data = longer}}), "\x0a\xc4\x9a\x0c\x2a\xc0\x9a\x0c"s + longer);
}

TEST(ProcessMessagesTest, VerdictsAreReadInOrder) {
  const std::string message = verdicts(kAccepted) + verdicts("\x0a\x05"s + "evt_2\x10\x02\x1a\x01" + "7") +
                              verdicts("\x0a\x05"s + "evt_3\x10\x03\x22\x02no");
  const auto read = read_verdicts(message);
  ASSERT_TRUE(read);
  ASSERT_EQ(read->size(), 3U);
  EXPECT_EQ((*read)[0].id, "evt_1");
  EXPECT_EQ((*read)[0].kind, VerdictKind::accept);
  EXPECT_EQ((*read)[1].kind, VerdictKind::replace);
  EXPECT_EQ((*read)[1].data, "7");
  EXPECT_EQ((*read)[2].kind, VerdictKind::reject);
  EXPECT_EQ((*read)[2].reason, "no");
  EXPECT_TRUE(read_verdicts("")->empty());
}

TEST(ProcessMessagesTest, TheLastOfSeveralCountsAndUnknownFieldsAreSkipped) {
  for (const std::string& more :
       {"\x28\x96\x01"s, "\x29"s + "12345678", "\x2d"s + "1234", "\x2a\x02zz"s, "\x0a\x01x\x0a\x05"s + "evt_1",
        "\x08\x07"s /* 1, as a number */, "\x12\x01\x63"s /* 2, as bytes */, "\x10\x03\x10\x01"s,
        "\x10\x81\x80\x80\x80\x10"s /* more than 32 bits */, "\x80\x01\x01"s /* 16 */}) {
    const std::string message = verdicts(kAccepted + more);
    const auto read = read_verdicts(message);
    ASSERT_TRUE(read) << more;
    EXPECT_EQ(read->at(0).id, "evt_1") << more;
    EXPECT_EQ(read->at(0).kind, VerdictKind::accept) << more;
  }
  EXPECT_EQ(read_verdicts("\x10\x01"s + verdicts(kAccepted))->size(), 1U);
}

TEST(ProcessMessagesTest, WhatIsNoSuchMessageIsSaidSo) {
  for (const std::string& wrong :
       {"\x0a"s, "\x0a\x05"s, "\xff"s, "\x0b\x0c"s /* a group */, "\x0f"s, "\x02\x00"s /* field 0 */,
        "\x80\x80\x80\x80\x80\x01\x00"s, "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s,
        "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"s, "\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"s,
        "\x09"s + "1234567", "\x0d"s + "123"}) {
    EXPECT_FALSE(read_verdicts(wrong)) << wrong;
    EXPECT_FALSE(read_verdicts(verdicts(kAccepted + wrong))) << wrong;
  }
}

TEST(ProcessMessagesTest, AVerdictOfNoKnownKindIsNone) {
  for (const std::string& fields : {""s, "\x0a\x05"s + "evt_1", "\x10\x00"s, "\x10\x04"s, "\x10\xe3\x00"s,
                                    "\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s}) {
    EXPECT_FALSE(read_verdicts(verdicts(fields))) << fields;
  }
}

TEST(ProcessMessagesTest, TextsAreUtf8) {
  EXPECT_FALSE(read_verdicts(verdicts("\x0a\x01\xff\x10\x01"s)));
  EXPECT_FALSE(read_verdicts(verdicts("\x10\x03\x22\x02\xc3\x28"s)));
  EXPECT_TRUE(read_verdicts(verdicts("\x10\x02\x1a\x01\xff"s)));  // whoever keeps the data looks at them
}

}  // namespace
}  // namespace polyglot::core
