#include "server/presence_message.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace polyglot::server {
namespace {

using Kind = PresenceMessage::Kind;

PresenceMessage join() {
  return {Kind::join, 77, 6, 5, 0, {{"app", "room:1", "alice", "r1", R"({"phx_ref":"r1","x":[1,{"y":2}]})"}}};
}

TEST(PresenceMessageTest, ComesBackAsItWasWritten) {
  PresenceMessage list{Kind::list, ~std::uint64_t{0}, 10, 9, 0, join().entries};
  list.entries.push_back({"other", "c",
                          "b\xc3\xb6"
                          "b",
                          "\"r2\"", R"({"phx_ref":"\"r2\""})"});
  const PresenceMessage end{Kind::end, 1, 2, 2};
  PresenceMessage leave = join();
  leave.kind = Kind::leave;
  leave.entries.front().json.clear();
  for (const PresenceMessage& sent :
       {join(), leave, list, end, PresenceMessage{Kind::hello, 1, 0, 0, 3}, PresenceMessage{Kind::beat, 1, 7, 2}}) {
    const std::string bytes = sent.bytes();
    EXPECT_TRUE(bytes.starts_with(sent.head()));
    EXPECT_EQ(sent.head().size(), PresenceMessage::kHeadSize);
    const auto message = PresenceMessage::parse(bytes);
    ASSERT_TRUE(message.has_value());
    EXPECT_EQ(message->bytes(), bytes);
    EXPECT_EQ(message->kind, sent.kind);
    EXPECT_EQ(message->worker, sent.worker);
    EXPECT_EQ(message->number, sent.number);
    EXPECT_EQ(message->list, sent.list);
    EXPECT_EQ(message->whom, sent.whom);
    ASSERT_EQ(message->entries.size(), sent.entries.size());
    for (std::size_t i = 0; i < sent.entries.size(); ++i) {
      EXPECT_EQ(message->entries[i].key, sent.entries[i].key);
      EXPECT_EQ(message->entries[i].json, sent.entries[i].json);
    }
  }
}

TEST(PresenceMessageTest, HasTheSameBytesOnEveryMachine) {
  using namespace std::string_literals;
  PresenceMessage message{Kind::join, 0x0102030405060708, 0x0a0b, 3, 0, {{"a", "b", "c", "d", ""}}};
  EXPECT_EQ(message.bytes(),
            "PGP2\1"
            "\x08\x07\x06\x05\x04\x03\x02\x01"
            "\x0b\x0a\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
            "\1\0a\1\0b\1\0c\1\0d\0\0"s);
}

TEST(PresenceMessageTest, IsNothingWhenItIsNotWhole) {
  const std::string bytes = join().bytes();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(PresenceMessage::parse(bytes.substr(0, size)).has_value()) << size;
  }
  EXPECT_FALSE(PresenceMessage::parse(bytes + '\0').has_value());
}

TEST(PresenceMessageTest, IsNothingWhenItMakesNoSense) {
  const auto refused = [](auto change) {
    PresenceMessage message = join();
    change(message);
    return !PresenceMessage::parse(message.bytes()).has_value();
  };
  EXPECT_FALSE(refused([](PresenceMessage&) {}));
  EXPECT_TRUE(refused([](PresenceMessage& m) { m.kind = static_cast<Kind>(0); }));
  EXPECT_TRUE(refused([](PresenceMessage& m) { m.kind = static_cast<Kind>(7); }));
  EXPECT_TRUE(refused([](PresenceMessage& m) { m.worker = 0; }));
  EXPECT_TRUE(refused([](PresenceMessage& m) { m.number = m.list = 0; }));
  EXPECT_TRUE(refused([](PresenceMessage& m) { m.list = m.number + 1; }));
  EXPECT_TRUE(refused([](PresenceMessage& m) { m.whom = 1; }));
  for (const Kind kind : {Kind::list, Kind::end}) {
    EXPECT_FALSE(refused([kind](PresenceMessage& m) { m.kind = kind; }));
    EXPECT_TRUE(refused([kind](PresenceMessage& m) { m.kind = kind, m.list = 0; }));
  }
  EXPECT_TRUE(refused([](PresenceMessage& m) { m.kind = Kind::hello; }));
  EXPECT_TRUE(refused([](PresenceMessage& m) { m.kind = Kind::beat; }));
  EXPECT_TRUE(refused([](PresenceMessage& m) { m.kind = Kind::leave; }));  // with a meta
  EXPECT_TRUE(refused([](PresenceMessage& m) { m.entries.clear(); }));
  EXPECT_TRUE(refused([](PresenceMessage& m) { m.entries.push_back(m.entries.front()); }));
  EXPECT_TRUE(refused([](PresenceMessage& m) { m.entries.front().app = "a/b"; }));
  EXPECT_TRUE(refused([](PresenceMessage& m) { m.entries.front().channel = ""; }));
  EXPECT_TRUE(refused([](PresenceMessage& m) { m.entries.front().key = ""; }));
  EXPECT_TRUE(refused([](PresenceMessage& m) { m.entries.front().key = "\xff"; }));
  EXPECT_TRUE(refused([](PresenceMessage& m) { m.entries.front().ref = ""; }));
  EXPECT_TRUE(refused([](PresenceMessage& m) { m.entries.front().json = "[]"; }));
  EXPECT_TRUE(refused([](PresenceMessage& m) { m.entries.front().json = R"({"a":1)"; }));
}

TEST(PresenceMessageTest, IsNothingWhenItIsTooLarge) {
  const auto parses = [](PresenceMessage message) { return PresenceMessage::parse(message.bytes()).has_value(); };
  PresenceMessage message = join();
  const std::size_t rest = message.entries.front().size() - message.entries.front().key.size();
  const std::string key(kMaxMember - rest, 'k');
  const std::string longer = key + "k";
  message.entries.front().key = key;
  EXPECT_TRUE(parses(message));
  message.entries.front().key = longer;
  EXPECT_FALSE(parses(message));

  PresenceMessage list{Kind::list, 1, 1, 1};
  while (list.bytes().size() <= kMaxPresenceMessage) list.entries.push_back(join().entries.front());
  EXPECT_FALSE(parses(list));
  list.entries.pop_back();
  EXPECT_TRUE(parses(list));
}

// Any damage gives another message or none, and never a crash.
TEST(PresenceMessageTest, SurvivesGarbage) {
  std::mt19937 random(1);
  const std::string good = join().bytes();
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = good;
    for (unsigned n = random() % 4 + 1; n > 0; --n) bytes[random() % bytes.size()] = static_cast<char>(random());
    const auto message = PresenceMessage::parse(bytes);
    if (!message) continue;
    EXPECT_EQ(message->bytes().substr(0, PresenceMessage::kHeadSize), bytes.substr(0, PresenceMessage::kHeadSize));
    EXPECT_EQ(message->entries.size(), 1U);
  }
}

TEST(PresenceMetaTest, HasItsRefAndWhatTheMemberSays) {
  EXPECT_EQ(presence_meta("r", ""), R"({"phx_ref":"r"})");
  EXPECT_EQ(presence_meta("r", "{}"), R"({"phx_ref":"r"})");
  EXPECT_EQ(presence_meta("\"", R"( { "a" : 1 , "b":{"phx_ref":2} } )"), R"({"phx_ref":"\"","a":1,"b":{"phx_ref":2}})");
}

TEST(PresenceMetaTest, TheRefIsNotTheMembersToChoose) {
  EXPECT_EQ(presence_meta("r", R"({"phx_ref":"x","a":1})"), R"({"phx_ref":"r","a":1})");
  EXPECT_EQ(presence_meta("r", R"({"a":1,"phx\u005fref":{}})"), R"({"phx_ref":"r","a":1})");
}

TEST(PresenceMetaTest, IsAnObjectOrNothing) {
  for (const char* meta : {"1", "[]", "null", "{", "{}x", "{\"a\"}", "{\"a\":1,}", "{\"a\":\"\xff\"}", " "}) {
    EXPECT_EQ(presence_meta("r", meta), std::nullopt) << meta;
  }
}

}  // namespace
}  // namespace polyglot::server
