#include "core/append_calls.hpp"

#include <gtest/gtest.h>

#include "core/hex.hpp"
#include "gateway_fixture.hpp"

namespace polyglot::core {
namespace {

using testing::GatewayTest;
using testing::taken;

// The arguments of a packed command.
std::vector<std::string> arguments_of(std::string_view packed) {
  const auto number = [&packed](char kind) {
    EXPECT_EQ(packed.front(), kind);
    const std::size_t end = packed.find("\r\n");
    const std::size_t value = std::stoul(std::string(packed.substr(1, end - 1)));
    packed.remove_prefix(end + 2);
    return value;
  };
  std::vector<std::string> all(number('*'));
  for (std::string& argument : all) {
    const std::size_t size = number('$');
    argument = packed.substr(0, size);
    EXPECT_EQ(packed.substr(size, 2), "\r\n");
    packed.remove_prefix(size + 2);
  }
  EXPECT_TRUE(packed.empty());
  return all;
}

class AppendCallsTest : public GatewayTest {
 protected:
  Submission& submit(std::string_view channel, std::string_view key = {}, std::string_view traceparent = {}) {
    const Sender sender{key, {}, {}, traceparent};
    submissions_.push_back(taken(gateway_->prepare("app", channel, R"({"type":"t","data":1})", sender)));
    all_.push_back(submissions_.back().get());
    return *submissions_.back();
  }
  AppendCalls calls() {
    return {layout_, all_, [this](std::string_view, std::string_view) -> const ChannelRule& { return rule_; },
            [] { return std::uint64_t{77}; }};
  }

  RedisLayout layout_{"pre", "append_it", 500, 60'000, 5'000};
  ChannelRule rule_;
  std::vector<std::unique_ptr<Submission>> submissions_;
  std::vector<Submission*> all_;
};

TEST_F(AppendCallsTest, EventsOfOneChannelGoTogether) {
  const Submission& first = submit("a");
  submit("b");
  const Submission& third = submit("a", "k");
  const AppendCalls made = calls();
  ASSERT_EQ(made.size(), 2U);
  EXPECT_EQ(made.app(0), "app");
  EXPECT_EQ(made.channel(1), "b");
  EXPECT_EQ(made.stream(0), "pre:{app:a}");
  EXPECT_EQ(made.entries(0), 2U);
  const Append& keyed = third.appends().front();
  char key[2 * kHexLength];
  write_hex(keyed.key->key[0], key);
  write_hex(keyed.key->key[1], key + kHexLength);
  char event[kHexLength];
  write_hex(keyed.key->event_hash, event);
  std::string id;
  for (const std::uint8_t byte : keyed.id) {
    char digits[kHexLength];
    write_hex(byte, digits);
    id.append(digits + kHexLength - 2, 2);
  }
  const auto events = [](const Append& append) {
    return std::to_string(append.time) + " " + std::to_string(append.envelope.size()) + "\n" +
           std::string(append.envelope.begin(), append.envelope.end());
  };
  const Append& plain = first.appends().front();
  EXPECT_EQ(
      arguments_of(made.command(0)),
      (std::vector<std::string>{
          "FCALL", "append_it", "2", "pre:{app:a}", "pre:{app:a}:key:" + std::string(key, sizeof(key)), "77", "500",
          "60000", "5000", "2", "1", std::to_string(plain.time), events(plain), "1", std::to_string(keyed.time),
          events(keyed), "2", std::string(event, sizeof(event)) + ":" + id + ":" + std::to_string(keyed.time)}));
}

TEST_F(AppendCallsTest, TellsHowManyEventsAndOfWhichTraces) {
  EXPECT_EQ(calls().event_count(), 0U);
  submit("a", {}, "first");
  submit("b");
  submit("a", {}, "second");
  const AppendCalls made = calls();
  EXPECT_EQ(made.event_count(), 3U);
  EXPECT_EQ(made.traceparents(), (std::vector<std::string_view>{"first", "second"}));
}

TEST_F(AppendCallsTest, TheRuleMayKeepThemLonger) {
  rule_.history_size = 3;  // of which readers of history are shown no more
  rule_.history_ttl_us = 90'000'000;
  submit("a");
  const auto arguments = arguments_of(calls().command(0));
  EXPECT_EQ(arguments[5], "500");
  EXPECT_EQ(arguments[6], "90000");
}

TEST_F(AppendCallsTest, ACallHasAtMostSoManyEvents) {
  for (std::size_t i = 0; i < AppendCalls::kMostEvents + 1; ++i) submit("a");
  const AppendCalls made = calls();
  ASSERT_EQ(made.size(), 2U);
  EXPECT_EQ(made.entries(0), 16U);
  EXPECT_EQ(made.entries(1), 1U);
}

TEST_F(AppendCallsTest, EventsWithoutKeysMakeOneEntry) {
  for (std::size_t i = 0; i < 70; ++i) submit("a");
  submit("a", "k");
  submit("a");
  AppendCalls made = calls();
  ASSERT_EQ(made.entries(0), 4U) << "64, 6, the one with the key, and the last";
  made.kept(0, 0, 11, 255);
  made.kept(0, 1, 75, 255);
  EXPECT_EQ(submissions_[0]->appends().front().offset, 11U);
  EXPECT_EQ(submissions_[63]->appends().front().offset, 74U);
  EXPECT_EQ(submissions_[69]->appends().front().offset, 80U);
  const auto arguments = arguments_of(made.command(0));
  EXPECT_EQ(arguments[10], "64");
  EXPECT_EQ(arguments[13], "6");
  EXPECT_EQ(arguments[16], "1");
  EXPECT_EQ(arguments[22], "3") << "the entry of the key";
}

TEST_F(AppendCallsTest, WritesWhatBecameOfEachEvent) {
  Submission& first = submit("a");
  Submission& second = submit("a", "k");
  Submission& third = submit("a", "l");
  Submission& fourth = submit("b");
  AppendCalls made = calls();
  made.kept(0, 0, 7, 255);
  ASSERT_TRUE(made.replayed(0, 1, "0123456789abcdef:000102030405060708090a0b0c0d0e0f:1234:6-254"));
  made.mismatched(0, 2);
  made.refused(1, Status(Code::engine_unavailable, "Redis refuses."));
  EXPECT_EQ(first.appends().front().offset, 7U);
  EXPECT_EQ(first.appends().front().epoch, 255U);
  const Append& replayed = second.appends().front();
  EXPECT_TRUE(replayed.replayed);
  EXPECT_EQ(replayed.offset, 6U);
  EXPECT_EQ(replayed.epoch, 254U);
  EXPECT_EQ(replayed.time, 1234);
  EXPECT_EQ(replayed.id[15], 0x0f);
  EXPECT_EQ(third.appends().front().status.code(), Code::idempotency_mismatch);
  EXPECT_EQ(fourth.appends().front().status.code(), Code::engine_unavailable);
}

TEST_F(AppendCallsTest, TakesNothingElseForWhatWasRemembered) {
  submit("a", "k");
  AppendCalls made = calls();
  for (const char* wrong :
       {"", "x", "0123456789abcdef:00:1234:6-254", "0123456789abcdef:000102030405060708090a0b0c0d0e0f:1234:6",
        "0123456789abcdef:000102030405060708090a0b0c0d0e0f:x:6-254",
        "0123456789abcdef:000102030405060708090a0b0c0d0e0f:1234:6-254x"}) {
    EXPECT_FALSE(made.replayed(0, 0, wrong)) << wrong;
  }
  EXPECT_FALSE(submissions_.front()->appends().front().replayed);
}

TEST_F(AppendCallsTest, SaysWhatWaitsInsteadOfWhatWasRefused) {
  const Submission& first = submit("a");
  const Submission& second = submit("a", "k");
  const Submission& third = submit("a", "l");
  AppendCalls made = calls();
  ASSERT_EQ(made.events(0).size(), 3U);
  made.refused(0, Status(Code::engine_unavailable, "Redis does not answer."));
  AppendCalls::spooled(*made.events(0)[0]);
  const Ulid id = {1, 2, 3};
  AppendCalls::repeated(*made.events(0)[1], id, 1234, second.appends().front().key->event_hash);
  AppendCalls::repeated(*made.events(0)[2], id, 1234, 7);
  EXPECT_TRUE(first.appends().front().status.ok());
  EXPECT_TRUE(first.appends().front().spooled);
  EXPECT_FALSE(first.appends().front().replayed);
  const Append& repeated = second.appends().front();
  EXPECT_TRUE(repeated.status.ok() && repeated.spooled && repeated.replayed);
  EXPECT_EQ(repeated.id, id);
  EXPECT_EQ(repeated.time, 1234);
  EXPECT_EQ(third.appends().front().status.code(), Code::idempotency_mismatch);
  EXPECT_FALSE(third.appends().front().spooled);
}

TEST_F(AppendCallsTest, AStreamTellsWhoseItIs) {
  for (const std::string_view channel : {"a", "room:1:{x}", "}{"}) {
    const std::string stream = layout_.stream("app", channel);
    EXPECT_EQ(RedisLayout::names_in(stream), std::pair(std::string_view("app"), channel));
  }
  for (const char* none : {"", "pre:presence", "pre:{app}", "pre:{app:a}:key:1", "}", "{"}) {
    EXPECT_EQ(RedisLayout::names_in(none), std::nullopt) << none;
  }
}

TEST_F(AppendCallsTest, TakesAnswersAsTheyCome) {
  const Submission& plain = submit("a");
  const Submission& known = submit("a", "k");
  const Submission& other = submit("a", "l");
  AppendCalls made = calls();
  const std::string id(32, 'a');
  const std::string remembered = std::string(16, '0') + ':' + id + ":55:3-77";
  const auto text = [](const std::string& bytes) {
    return '$' + std::to_string(bytes.size()) + "\r\n" + bytes + "\r\n";
  };
  const std::string answer = "*4\r\n" + text("77") + ":9\r\n" + text(remembered) + text("");
  ASSERT_TRUE(made.settle(0, answer));
  EXPECT_EQ(plain.appends()[0].offset, 9U);
  EXPECT_EQ(plain.appends()[0].epoch, 77U);
  EXPECT_TRUE(known.appends()[0].replayed);
  EXPECT_EQ(known.appends()[0].offset, 3U);
  EXPECT_EQ(other.appends()[0].status.code(), Code::idempotency_mismatch);
  for (const std::string& wrong : std::vector<std::string>{
           std::string("-ERR no\r\n"), std::string("*1\r\n$2\r\n77\r\n"), "*4\r\n:77\r\n:9\r\n:10\r\n:11\r\n",
           "*4\r\n" + text("x") + ":9\r\n:10\r\n:11\r\n", "*4\r\n" + text("77") + ":9\r\n+OK\r\n:10\r\n",
           "*4\r\n" + text("77") + ":9\r\n:10\r\n" + text("no memory of it")}) {
    EXPECT_FALSE(made.settle(0, wrong)) << wrong;
  }
  EXPECT_FALSE(made.settle(0, "*4\r\n" + text("77") + ":1\r\n:2\r\n:3\r\n")) << "the channel begins";
}

}  // namespace
}  // namespace polyglot::core
