#include "core/idempotency.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/recovery.hpp"
#include "temporary.hpp"

namespace polyglot::core {
namespace {

using testing::append;
using testing::open_gateway;
using testing::open_segment;
using testing::small_gateway;
using testing::small_options;
using testing::TemporaryFolder;

constexpr TimeUs kSecond = 1'000'000;
constexpr TimeUs kStart = 1'700'000'000 * kSecond;

class IdempotencyTest : public ::testing::Test {
 protected:
  // Appends {"type":"test","data":<data>} with the key.
  Append send(std::string_view channel, std::string_view key, TimeUs time, std::string_view data = "1") {
    const IdempotencyKey made("app", channel, key, "\"test\"", data);
    return append(history_, "app", channel, data, time, &made);
  }
  std::uint64_t last(std::string_view channel) {
    HistoryPage page;
    history_.read("app", channel, {}, page);
    return page.last;
  }

  TemporaryFolder folder_;
  std::unique_ptr<Segment> segment_ = open_segment(small_options(folder_.path()));
  History history_{*segment_};
};

TEST_F(IdempotencyTest, AKnownKeyGivesTheFirstAnswerAgain) {
  const Append first = send("room", "k", kStart);
  ASSERT_TRUE(first.status.ok());
  EXPECT_FALSE(first.replayed);
  send("room", "other", kStart + kSecond);
  const Append again = send("room", "k", kStart + 2 * kSecond);
  ASSERT_TRUE(again.status.ok());
  EXPECT_TRUE(again.replayed);
  EXPECT_EQ(again.id, first.id);
  EXPECT_EQ(again.time, first.time);
  EXPECT_EQ(again.offset, first.offset);
  EXPECT_EQ(again.epoch, first.epoch);
  EXPECT_EQ(last("room"), 2U);
}

TEST_F(IdempotencyTest, IsSharedByAllOpeners) {
  const Append first = send("room", "k", kStart);
  const auto segment = open_segment(small_options(folder_.path()));
  History other(*segment);
  const IdempotencyKey key("app", "room", "k", "\"test\"", "1");
  const Append again = append(other, "app", "room", "1", kStart, &key);
  EXPECT_TRUE(again.replayed);
  EXPECT_EQ(again.id, first.id);
}

TEST(IdempotencyWindowTest, OutlivesAllOpeners) {
  const TemporaryFolder folder;
  const IdempotencyKey key("app", "room", "k", "\"test\"", "1");
  auto send = [&](TimeUs time) {
    const auto segment = open_segment(small_options(folder.path()));
    History history(*segment);
    return append(history, "app", "room", "1", time, &key);
  };
  const Append first = send(kStart);
  const Append again = send(kStart + kSecond);
  EXPECT_TRUE(again.replayed);
  EXPECT_EQ(again.id, first.id);
}

TEST_F(IdempotencyTest, AnotherEventUnderTheSameKeyIsRefusedAndLeavesNoTrace) {
  send("room", "k", kStart);
  const std::uint64_t head = history_.head();
  EXPECT_EQ(send("room", "k", kStart, "2").status.code(), Code::idempotency_mismatch);
  const IdempotencyKey other_type("app", "room", "k", "\"other\"", "1");
  EXPECT_EQ(append(history_, "app", "room", "1", kStart, &other_type).status.code(), Code::idempotency_mismatch);
  EXPECT_EQ(history_.head(), head);
  EXPECT_TRUE(send("room", "k", kStart).replayed);
}

TEST_F(IdempotencyTest, IsKnownForFiveMinutesAndFreeAfterwards) {
  const Append first = send("room", "k", kStart);
  const Append last_moment = send("room", "k", kStart + kIdempotencyWindowUs);
  EXPECT_TRUE(last_moment.replayed);
  // The window counts from the first time, replays do not stretch it.
  const Append after = send("room", "k", kStart + kIdempotencyWindowUs + 1, "2");
  ASSERT_TRUE(after.status.ok());
  EXPECT_FALSE(after.replayed);
  EXPECT_EQ(after.offset, 2U);
  EXPECT_NE(after.id, first.id);
  EXPECT_TRUE(send("room", "k", kStart + kIdempotencyWindowUs + 2, "2").replayed);
}

TEST_F(IdempotencyTest, AClockSetBackKeepsTheKeys) {
  const Append first = send("room", "k", kStart);
  for (const TimeUs back : {kSecond, 3600 * kSecond, 365 * 24 * 3600 * kSecond}) {
    const Append again = send("room", "k", kStart - back);
    EXPECT_TRUE(again.replayed);
    EXPECT_EQ(again.id, first.id);
  }
  EXPECT_EQ(send("room", "k", kStart - 3600 * kSecond, "2").status.code(), Code::idempotency_mismatch);
}

TEST_F(IdempotencyTest, AClockSetBackByHoursRefusesKeysForOneWindowAtMost) {
  constexpr TimeUs kHours = 3 * 3600 * kSecond;
  std::vector<Append> early;
  for (std::uint64_t i = 0; i < segment_->map().geometry().idempotency_slots; ++i) {
    early.push_back(send("room", "early" + std::to_string(i), kStart + kHours));
    ASSERT_TRUE(early.back().status.ok());
  }
  EXPECT_EQ(send("room", "k", kStart).status.code(), Code::overloaded);
  const Append again = send("room", "early7", kStart + kIdempotencyWindowUs);
  EXPECT_TRUE(again.replayed);
  EXPECT_EQ(again.id, early[7].id);
  EXPECT_EQ(again.offset, early[7].offset);
  EXPECT_TRUE(send("room", "k", kStart + kIdempotencyWindowUs + 1).status.ok());
}

TEST_F(IdempotencyTest, TheSameKeyInAnotherChannelOrAppIsAnotherKey) {
  const std::vector<std::pair<std::string, std::string>> places = {
      {"app", "room"}, {"app", "room2"}, {"app2", "room"}, {"ap", "proom"}};
  std::set<Ulid> ids;
  for (const auto& [app, channel] : places) {
    const IdempotencyKey key(app, channel, "k", "\"test\"", "1");
    const Append sent = append(history_, app, channel, "1", kStart, &key);
    EXPECT_FALSE(sent.replayed) << app << " " << channel;
    ids.insert(sent.id);
  }
  EXPECT_EQ(ids.size(), places.size());
}

TEST(IdempotencyKeyTest, TellsItsPartsApart) {
  const IdempotencyKey key("app", "room", "k", "\"a\"", "1");
  EXPECT_NE(key.key, IdempotencyKey("app", "roo", "mk", "\"a\"", "1").key);
  EXPECT_NE(key.key, IdempotencyKey("approom", "k", "", "\"a\"", "1").key);
  EXPECT_NE(key.key, IdempotencyKey("app", "room", "K", "\"a\"", "1").key);
  EXPECT_EQ(key.key, IdempotencyKey("app", "room", "k", "\"b\"", "2").key);
  EXPECT_NE(key.event_hash, IdempotencyKey("app", "room", "k", "\"b\"", "1").event_hash);
  EXPECT_NE(key.event_hash, IdempotencyKey("app", "room", "k", "\"a\"", "2").event_hash);
  EXPECT_NE(IdempotencyKey("a", "c", "k", "\"ab\"", "1").event_hash,
            IdempotencyKey("a", "c", "k", "\"a", "b\"1").event_hash);
}

TEST_F(IdempotencyTest, AFullWindowRefusesANewKeyAndForgetsNone) {
  const std::uint64_t keys = segment_->map().geometry().idempotency_slots;
  for (std::uint64_t i = 0; i < keys; ++i)
    ASSERT_TRUE(send("room", "k" + std::to_string(i), kStart + static_cast<TimeUs>(i)).status.ok());
  const std::uint64_t head = history_.head();
  EXPECT_EQ(send("room", "one more", kStart + kSecond).status.code(), Code::overloaded);
  EXPECT_EQ(send("new room", "one more", kStart + kSecond).status.code(), Code::overloaded);
  EXPECT_EQ(history_.head(), head);
  EXPECT_EQ(history_.channels(), 1U);
  for (std::uint64_t i = 0; i < keys; ++i)
    EXPECT_TRUE(send("room", "k" + std::to_string(i), kStart + kSecond).replayed) << i;
  // Without a key the events go on, and so do keys when the first has left the window.
  EXPECT_TRUE(append(history_, "app", "room").status.ok());
  const TimeUs later = kStart + kIdempotencyWindowUs + 1;
  const Append after = send("room", "one more", later);
  ASSERT_TRUE(after.status.ok());
  EXPECT_FALSE(after.replayed);
  EXPECT_TRUE(send("room", "k1", later).replayed);
}

TEST_F(IdempotencyTest, WithoutSlotsEveryKeyIsRefused) {
  const TemporaryFolder folder;
  SegmentOptions options = small_options(folder.path());
  options.idempotency_keys = 0;
  const auto segment = open_segment(options);
  History history(*segment);
  const IdempotencyKey key("app", "room", "k", "\"test\"", "1");
  EXPECT_EQ(append(history, "app", "room", "1", kStart, &key).status.code(), Code::overloaded);
  EXPECT_TRUE(append(history, "app", "room", "1", kStart).status.ok());
}

TEST_F(IdempotencyTest, ManyKeysOverManyWindowsAreEachKnownOnlyInTheirs) {
  TimeUs now = kStart;
  for (int round = 0; round < 20; ++round, now += kIdempotencyWindowUs + 1) {
    for (int i = 0; i < 40; ++i) {
      const Append sent = send("room", "k" + std::to_string(i), now, std::to_string(round));
      ASSERT_TRUE(sent.status.ok()) << "round " << round << ", key " << i;
      ASSERT_FALSE(sent.replayed) << "round " << round << ", key " << i;
    }
    for (int i = 0; i < 40; ++i)
      ASSERT_TRUE(send("room", "k" + std::to_string(i), now + kIdempotencyWindowUs, std::to_string(round)).replayed);
  }
}

// What a writer that died before its commit had written is taken back; keys that lie behind it stay known.
TEST_F(IdempotencyTest, AKeyBehindTheSlotOfADeadWriterStaysKnown) {
  const std::uint64_t slots = segment_->map().geometry().idempotency_slots;
  auto home = [&](const std::string& key) {
    return IdempotencyKey("app", "room", key, "\"test\"", "1").key[0] % slots;
  };
  std::vector<std::string> neighbours;  // keys that begin their search at the same slot
  for (int i = 0; neighbours.size() < 3; ++i) {
    if (home("k" + std::to_string(i)) == home("k0")) neighbours.push_back("k" + std::to_string(i));
  }
  send("room", neighbours[0], kStart);
  send("room", neighbours[1], kStart + kIdempotencyWindowUs);
  const TimeUs now = kStart + kIdempotencyWindowUs + 1;
  {
    // The third takes the place of the first, whose time is over, and its writer dies there.
    const Segment::Lock lock(*segment_);
    const IdempotencyKey key("app", "room", neighbours[2], "\"test\"", "1");
    const auto found = IdempotencyWindow(segment_->map()).find(key, now);
    ASSERT_EQ(found.kind, IdempotencyWindow::Found::Kind::free);
    ASSERT_EQ(found.index, home(neighbours[0]));
    segment_->map().header().idempotency_pending.store(found.index + 1);
    segment_->map().idempotency(found.index) = {key.key, key.event_hash, now, Ulid{1}, 3, 12345};
    repair(segment_->map());
  }
  EXPECT_TRUE(send("room", neighbours[1], now).replayed);
  const Append third = send("room", neighbours[2], now);
  EXPECT_TRUE(third.status.ok());
  EXPECT_FALSE(third.replayed);
}

TEST(IdempotencyRequestTest, TheSameEventWithOtherWhiteSpaceIsTheSameRequest) {
  const TemporaryFolder folder;
  const auto gateway = open_gateway(small_gateway(folder.path()));
  auto publish = [&](std::string_view body) { return gateway->publish("app", "room", body, {.idempotency_key = "k"}); };
  const auto first = publish(R"({"type":"message","data":{"a":1}})");
  ASSERT_TRUE(first.ok());
  for (const char* body :
       {R"( { "type" : "message" , "data" : {"a":1} } )", "\n{\"data\":\t{\"a\":1},\"type\":\"message\"}"}) {
    const auto again = publish(body);
    ASSERT_TRUE(again.ok()) << again.status().message();
    EXPECT_TRUE(again->replayed);
    EXPECT_EQ(again->id, first->id);
  }
  // Inside of data it is another event: data is kept as it was sent.
  const auto other = publish(R"({"type":"message","data":{"a": 1}})");
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.status().code(), Code::idempotency_mismatch);
}

}  // namespace
}  // namespace polyglot::core
