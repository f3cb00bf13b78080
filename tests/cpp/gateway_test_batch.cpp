// Many events in one request.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.hpp"
#include "gateway_fixture.hpp"

namespace polyglot::core {
namespace {

using testing::clock_us;
using testing::GatewayTest;
using testing::kSecond;
using testing::pattern;
using testing::taken;

class BatchTest : public GatewayTest {
 protected:
  // One member of "results".
  struct Answer {
    std::string channel, id, offset, epoch, code;
    bool replayed;
    bool operator==(const Answer&) const = default;
  };
  using Answers = std::vector<Answer>;

  // Takes the whole reply apart.
  static Answers answers(const std::string& reply) {
    Answers found;
    JsonCursor cursor(reply);
    std::string_view name;
    EXPECT_TRUE(cursor.expect('{') && cursor.string(name) && cursor.expect(':') && cursor.expect('[')) << reply;
    EXPECT_EQ(name, "\"results\"");
    do {
      std::string names;
      std::map<std::string, std::string> values;
      EXPECT_TRUE(cursor.expect('{')) << reply;
      do {
        std::string_view value;
        EXPECT_TRUE(cursor.string(name) && cursor.expect(':') && cursor.value(value)) << reply;
        if (value.starts_with('"')) value = value.substr(1, value.size() - 2);
        names += " " + std::string(name.substr(1, name.size() - 2));
        values[names.substr(names.rfind(' ') + 1)] = value;
      } while (cursor.next_is(',') && cursor.expect(','));
      EXPECT_TRUE(cursor.expect('}')) << reply;
      const bool replayed = values.erase("replayed") != 0;
      EXPECT_EQ(names, values.contains("code") ? " channel code error status"
                       : replayed              ? " channel id timestamp offset epoch replayed"
                                               : " channel id timestamp offset epoch");
      EXPECT_EQ(values["status"], values.contains("code") ? std::to_string(status_of(values["code"])) : "");
      found.push_back({values["channel"], values["id"], values["offset"], values["epoch"], values["code"], replayed});
    } while (cursor.next_is(',') && cursor.expect(','));
    EXPECT_TRUE(cursor.expect(']') && cursor.expect('}') && cursor.end()) << reply;
    return found;
  }
  static int status_of(const std::string& code) {
    for (int i = 0; i < kCodeCount; ++i)
      if (code_info(static_cast<Code>(i)).name == code) return code_info(static_cast<Code>(i)).http_status;
    return 0;
  }
  // "channel offset" or "channel code", with "again" for a replay.
  static std::vector<std::string> outline(const Answers& answers) {
    std::vector<std::string> lines;
    for (const Answer& answer : answers) {
      lines.push_back(answer.channel + " " + (answer.code.empty() ? answer.offset : answer.code) +
                      (answer.replayed ? " again" : ""));
    }
    return lines;
  }
  static std::string item(std::string_view channel, std::string_view data = "1") {
    return "{\"channel\":\"" + std::string(channel) + "\",\"type\":\"test\",\"data\":" + std::string(data) + "}";
  }
  static std::string events(const std::vector<std::string>& items) {
    std::string body = "{\"events\":[";
    for (const std::string& one : items) body += one + ",";
    body.back() = ']';
    return body + "}";
  }
  Answers batch(const std::vector<std::string>& items, std::string_view key = {}) {
    return answers(taken(gateway_->publish_batch("app", events(items), false, {.idempotency_key = key})));
  }
  Answers ndjson(const std::string& body) { return answers(taken(gateway_->publish_batch("app", body, true, {}))); }
  Answers broadcast(const std::string& body, std::string_view key = {}) {
    return answers(taken(gateway_->broadcast("app", body, {.idempotency_key = key})));
  }
};

using Lines = std::vector<std::string>;

TEST_F(BatchTest, AnswersInOrderWithRefusalsInTheirPlace) {
  Rules rules;
  rules.add("app", pattern("small"), {.max_event_bytes = 30});
  gateway_->configure(Access(), std::move(rules));
  const Answers got = batch({item("a"), item("bad name"), item("b"), R"({"channel":"a","type":"test"})", item("a"),
                             item("small", "\"12345678\""), item("small"), "7", item("b")});
  EXPECT_EQ(outline(got), (Lines{"a 1", "bad name invalid_channel", "b 1", "a invalid_event", "a 2",
                                 "small payload_too_large", "small 1", " invalid_event", "b 2"}));
  EXPECT_EQ(gateway_->stored().channels(), 3U);
  EXPECT_EQ(total(Counter::publishes), 5U);
  EXPECT_EQ(gateway_->counters().total_refused(Code::invalid_event), 2U);
  EXPECT_EQ(gateway_->counters().total_refused(Code::invalid_channel), 1U);
  EXPECT_EQ(gateway_->counters().total_refused(Code::payload_too_large), 1U);
}

TEST_F(BatchTest, TheReplyIsThatOfThePublishesByteForByte) {
  clock_us = 1'763'404'796'107'549;
  const std::string reply = taken(gateway_->publish_batch("app", events({item("a"), item("bad name")}), false, {}));
  const std::string epoch = epoch_text(taken(gateway_->channel("app", "a")).epoch);
  EXPECT_EQ(reply, R"({"results":[{"channel":"a","id":")" + std::string(envelope_id(envelopes("a").at(0))) +
                       R"(","timestamp":"2025-11-17T18:39:56.107549Z","offset":1,"epoch":")" + epoch +
                       R"("},{"channel":"bad name","code":"invalid_channel","error":")" +
                       check_channel("bad name").message() + R"(","status":400}]})");
}

TEST_F(BatchTest, WhatWasAcknowledgedIsInHistory) {
  const std::string data = R"({"n": 1e400, "s":"\u00e9"})";
  const Answers got = batch({item("a", data), item("b", "2"), item("a", "3")});
  const auto a = envelopes("a"), b = envelopes("b");
  ASSERT_EQ(a.size(), 2U);
  ASSERT_EQ(b.size(), 1U);
  EXPECT_EQ(envelope_id(a[0]), got[0].id);
  EXPECT_EQ(envelope_id(b[0]), got[1].id);
  EXPECT_EQ(envelope_id(a[1]), got[2].id);
  EXPECT_NE(a[0].find("\"data\":" + data + ",\"meta\""), std::string::npos) << a[0];
}

TEST_F(BatchTest, MayMakeMoreChannelsThanFit) {
  std::vector<std::string> items;
  Lines expected;
  for (int i = 0; i < 20; ++i) {
    items.push_back(item("c" + std::to_string(i % 10)));
    expected.push_back("c" + std::to_string(i % 10) + " 1");  // by its second time it was evicted
  }
  EXPECT_EQ(outline(batch(items)), expected);
}

TEST_F(BatchTest, ABodyOfAnotherShapeIsRefusedWhole) {
  publish("room");
  const std::string before = trace();
  struct Case {
    Code code;
    std::string body;
  };
  std::vector<std::string> too_many(kMaxBatchEvents + 1, item("a"));
  for (const Case& one : std::vector<Case>{{Code::invalid_json, events({item("a")}) + "x"},
                                           {Code::invalid_json, ""},
                                           {Code::invalid_event, "[]"},
                                           {Code::invalid_event, R"({"events":[]})"},
                                           {Code::invalid_event, R"({"events":7})"},
                                           {Code::invalid_event, events(too_many)}}) {
    const auto result = gateway_->publish_batch("app", one.body, false, {});
    ASSERT_FALSE(result.ok()) << one.body.substr(0, 80);
    EXPECT_EQ(result.status().code(), one.code) << one.body.substr(0, 80);
    EXPECT_EQ(trace(), before);
  }
  const std::string good = events({item("a")});
  EXPECT_EQ(gateway_->publish_batch("a pp", good, false, {}).status().code(), Code::invalid_app);
  EXPECT_EQ(gateway_->publish_batch("app", good, false, {.idempotency_key = std::string(256, 'k')}).status().code(),
            Code::invalid_parameter);
  EXPECT_EQ(trace(), before);
  too_many.pop_back();
  EXPECT_EQ(batch(too_many).size(), kMaxBatchEvents);
}

TEST_F(BatchTest, NothingButRefusalsLeavesNoTrace) {
  const std::string before = trace();
  EXPECT_EQ(outline(batch({item("bad name"), "7"})), (Lines{"bad name invalid_channel", " invalid_event"}));
  EXPECT_EQ(trace(), before);
}

// As if each event had been sent alone, as {"type":…,"data":…} without white space.
TEST_F(BatchTest, EachEventMayBeAsLargeAsItsRuleAllows) {
  gateway_->configure(Access(), Rules(ChannelRule{.max_event_bytes = 50}));
  const std::string fits(50 - event("\"\"").size(), 'x');
  ASSERT_TRUE(gateway_->publish("app", "a", event("\"" + fits + "\""), {}).ok());
  ASSERT_FALSE(gateway_->publish("app", "a", event("\"" + fits + "x\""), {}).ok());
  const std::string padded = " {\"channel\" : \"a\",  \"type\":\"test\"  ,\"data\":   \"" + fits + "\"}  ";
  EXPECT_EQ(outline(batch({item("a", "\"" + fits + "\""), item("a", "\"" + fits + "x\""), padded})),
            (Lines{"a 2", "a payload_too_large", "a 3"}));
  EXPECT_EQ(outline(broadcast(R"({"channels":["a"],"type":"test","data":")" + fits + "\"}")), (Lines{"a 4"}));
  EXPECT_EQ(outline(broadcast(R"({"channels":["a"],"type":"test","data":")" + fits + "x\"}")),
            (Lines{"a payload_too_large"}));
}

TEST_F(BatchTest, LinesAreAnsweredInOrder) {
  EXPECT_EQ(outline(ndjson(item("a") + "\n\n{\"channel\":\"a\"\n" + item("b") + "\r\n" + item("bad name") + "\n" +
                           item("a"))),
            (Lines{"a 1", "a invalid_json", "b 1", "bad name invalid_channel", "a 2"}));
  EXPECT_EQ(gateway_->publish_batch("app", "\n\n", true, {}).status().code(), Code::invalid_event);
}

TEST_F(BatchTest, ABroadcastGivesTheEventToEachChannel) {
  publish("b");
  const Answers got = broadcast(R"({"channels":["a","bad name","b"],"type":"test","data":{"x":1}})");
  EXPECT_EQ(outline(got), (Lines{"a 1", "bad name invalid_channel", "b 2"}));
  EXPECT_NE(got[0].id, got[2].id);
  EXPECT_NE(envelopes("a").at(0).find(R"("data":{"x":1})"), std::string::npos);
  EXPECT_NE(envelopes("b").at(1).find(R"("data":{"x":1})"), std::string::npos);
  const std::string before = trace();
  for (const char* body : {R"({"channels":[],"type":"t","data":1})", R"({"channels":["a","a"],"type":"t","data":1})",
                           R"({"channels":["a"],"type":"t"})"}) {
    EXPECT_EQ(gateway_->broadcast("app", body, {}).status().code(), Code::invalid_event) << body;
  }
  EXPECT_EQ(trace(), before);
}

TEST_F(BatchTest, ARepeatedBatchIsReplayedWhole) {
  const std::vector<std::string> items = {item("a"), item("b"), item("a")};  // the same event twice is two events
  Answers first = batch(items, "k");
  EXPECT_EQ(outline(first), (Lines{"a 1", "b 1", "a 2"}));
  clock_us += kSecond;
  const std::string before = trace();
  const Answers again = batch(items, "k");
  EXPECT_EQ(outline(again), (Lines{"a 1 again", "b 1 again", "a 2 again"}));
  for (Answer& answer : first) answer.replayed = true;
  EXPECT_EQ(again, first);
  EXPECT_EQ(trace(), before);
  EXPECT_EQ(total(Counter::replays), 3U);
  EXPECT_EQ(outline(batch(items, "another")), (Lines{"a 3", "b 2", "a 4"}));
}

TEST_F(BatchTest, OfABatchThatWasTakenInPartOnlyTheRestIsNew) {
  EXPECT_EQ(outline(batch({item("a"), item("bad name"), item("b")}, "k")),
            (Lines{"a 1", "bad name invalid_channel", "b 1"}));
  EXPECT_EQ(outline(batch({item("a"), item("good-name"), item("b")}, "k")),
            (Lines{"a 1 again", "good-name 1", "b 1 again"}));
  EXPECT_EQ(outline(batch({item("a", "2"), item("good-name"), item("b")}, "k")),
            (Lines{"a idempotency_mismatch", "good-name 1 again", "b 1 again"}));
}

TEST_F(BatchTest, ARepeatedBroadcastIsReplayed) {
  const std::string body = R"({"channels":["a","b"],"type":"test","data":1})";
  broadcast(body, "k");
  EXPECT_EQ(outline(broadcast(body, "k")), (Lines{"a 1 again", "b 1 again"}));
}

TEST_F(BatchTest, TheWindowFillsUpInTheMiddle) {
  std::vector<std::string> items(70, item("a"));
  const auto lines = outline(batch(items, "k"));
  EXPECT_EQ(lines[63], "a 64");
  EXPECT_EQ(lines[64], "a overloaded");
  EXPECT_EQ(taken(gateway_->channel("app", "a")).last, 64U);
  EXPECT_EQ(gateway_->counters().total_refused(Code::overloaded), 6U);
}

}  // namespace
}  // namespace polyglot::core
