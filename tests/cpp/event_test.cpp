#include "core/event.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "guarded_text.hpp"
#include "json_cases.hpp"

namespace polyglot::core {
namespace {

std::string repeated(std::size_t times, std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) {
    out.append(i == 0 ? "" : ",").append(text);
  }
  return out;
}

TEST(ParseEvent, SlicesTypeAndDataAsTheyWereSent) {
  const std::string body = " {\n\"data\" : { \"text\": [1e5, -0] } ,\"type\":\"m\\u00e9\\/\"} ";
  const Result<SentEvent> event = parse_event(body);
  ASSERT_TRUE(event.ok()) << event.status().message();
  EXPECT_EQ(event->type, R"("m\u00e9\/")");
  EXPECT_EQ(event->data, R"({ "text": [1e5, -0] })");
  EXPECT_EQ(event->channel, "");
  EXPECT_EQ(event->position, 1U);
  EXPECT_EQ(event->data.data(), body.data() + body.find("{ \"text\""));
}

TEST(ParseEvent, TakesTheBodyOfTheManual) {
  const Result<SentEvent> event = parse_event(R"({"type": "message", "data": {"text": "Hello"}})");
  ASSERT_TRUE(event.ok());
  EXPECT_EQ(event->type, "\"message\"");
  EXPECT_EQ(event->data, R"({"text": "Hello"})");
}

TEST(ParseEvent, TakesEveryJsonValueAsDataAndRefusesEverythingElse) {
  for (const std::string_view text : kAccepted) {
    const std::string body = "{\"type\":\"t\",\"data\":" + std::string(text) + "}";
    const Result<SentEvent> event = parse_event(body);
    ASSERT_TRUE(event.ok()) << body << event.status().message();
    const std::size_t from = text.find_first_not_of(" \t\n\r");
    EXPECT_EQ(event->data, text.substr(from, text.find_last_not_of(" \t\n\r") + 1 - from));
  }
  for (const auto& [text, position] : kRefused) {
    EXPECT_EQ(parse_event(text).status().code(), Code::invalid_json) << text;
  }
}

struct NoEvent {
  std::string body;
  std::int64_t position;
  std::string_view message;
};

TEST(ParseEvent, SaysWhyJsonIsNoEvent) {
  const NoEvent cases[] = {
      {"[1]", 0, "The event must be a JSON object."},
      {" \"x\"", 1, "The event must be a JSON object."},
      {"null", 0, "The event must be a JSON object."},
      {" {}", 1, "The event lacks the member \"type\"."},
      {R"({"data":1})", 0, "The event lacks the member \"type\"."},
      {R"({"type":"t"})", 0, "The event lacks the member \"data\"."},
      {R"({"type":7,"data":1})", 8, "The member \"type\" must be a string."},
      {R"({"type":["t"],"data":1})", 8, "The member \"type\" must be a string."},
      {R"({"type":"","data":1})", 8, "The member \"type\" has 0 bytes between its quotes; it may have 1 to 256."},
      {R"({"type":")" + std::string(257, 't') + R"(","data":1})", 8,
       "The member \"type\" has 257 bytes between its quotes; it may have 1 to 256."},
      {R"({"type":"t","type":"t","data":1})", 12, "The event has the member \"type\" twice."},
      {R"({"type":"t","t\u0079pe":"t","data":1})", 12, "The event has the member \"type\" twice."},
      {R"({"data":1,"type":"t","data":1})", 21, "The event has the member \"data\" twice."},
      {R"({"type":"t","id":1,"data":1})", 12,
       "The event has the member \"id\", which is not known; it may have \"type\" and \"data\"."},
      {R"({"":0,"type":"t","data":1})", 1,
       "The event has the member \"\", which is not known; it may have \"type\" and \"data\"."},
      {R"({"channel":"c","type":"t","data":1})", 1,
       "The event has the member \"channel\", which is not known; it may have \"type\" and \"data\"."},
      {R"({"Type":"t","data":1})", 1,
       "The event has the member \"Type\", which is not known; it may have \"type\" and \"data\"."},
  };
  for (const auto& [body, position, message] : cases) {
    const Result<SentEvent> event = parse_event(body);
    ASSERT_FALSE(event.ok()) << body;
    EXPECT_EQ(event.status().code(), Code::invalid_event) << body;
    EXPECT_EQ(event.status().position(), position) << body;
    EXPECT_EQ(event.status().message(), message);
  }
  const Status cut = parse_event("{\"" + std::string(63, 'n') + "\xC3\xA9 and more\":1}").status();
  EXPECT_TRUE(cut.message().starts_with("The event has the member \"" + std::string(63, 'n') + "…\", which"));
}

TEST(ParseEvent, UnderstandsEscapesInTheNamesOfItsMembers) {
  const Result<SentEvent> event = parse_event(R"({"t\u0079pe":"t","\u0064ata":1})");
  ASSERT_TRUE(event.ok()) << event.status().message();
  EXPECT_EQ(event->data, "1");
}

TEST(ParseEvent, WhatIsNoJsonOutweighsWhatIsNoEvent) {
  for (const std::string_view body : {"[1,]", R"({"type":7,"data":1)", R"({"x":1,"data":tru})", R"({"type":"t"} x)",
                                      R"({"type":"","data":"\ud800"})", "{\"x\":\"\xFF\"}"}) {
    EXPECT_EQ(parse_event(body).status().code(), Code::invalid_json) << body;
  }
}

TEST(ParseEvent, AllowsATypeOf256BytesAndADepthOf64) {
  EXPECT_TRUE(parse_event(R"({"type":")" + std::string(256, 't') + R"(","data":1})").ok());
  const auto deep = [](std::size_t arrays) {
    return R"({"type":"t","data":)" + std::string(arrays, '[') + std::string(arrays, ']') + "}";
  };
  EXPECT_TRUE(parse_event(deep(63)).ok());
  EXPECT_EQ(parse_event(deep(64)).status().code(), Code::invalid_json);
}

TEST(ParseEvent, NeverReadsBeyondTheBodyAndNeverTakesAPart) {
  const std::string body = R"({"type": "message", "data": {"text": "H\u00e9llo", "n": [1, -2.5e3, true, null]}})";
  GuardedText guarded(4096);
  for (std::size_t length = 0; length < body.size(); ++length) {
    const Result<SentEvent> event = parse_event(guarded.copy(body.substr(0, length)));
    ASSERT_FALSE(event.ok());
    EXPECT_EQ(event.status().code(), Code::invalid_json);
    EXPECT_EQ(event.status().position(), static_cast<std::int64_t>(length)) << event.status().message();
  }
  EXPECT_TRUE(parse_event(guarded.copy(body)).ok());
}

TEST(ParseBatch, GivesEveryEventInOrder) {
  const std::string body =
      R"({"events":[{"channel":"a","type":"t","data":1}, {"data":{},"type":"u","channel":"b/c"}]})";
  const auto items = parse_batch(body);
  ASSERT_TRUE(items.ok()) << items.status().message();
  ASSERT_EQ(items->size(), 2U);
  EXPECT_EQ(items.value()[0].event.channel, "a");
  EXPECT_EQ(items.value()[0].event.position, 11U);
  EXPECT_EQ(items.value()[1].event.channel, "b/c");
  EXPECT_EQ(items.value()[1].event.type, "\"u\"");
  EXPECT_EQ(items.value()[1].event.data, "{}");
  EXPECT_EQ(items.value()[1].event.position, body.find(R"({"data":{})"));
  EXPECT_TRUE(items.value()[0].status.ok() && items.value()[1].status.ok());
}

TEST(ParseBatch, RefusesAnEventAlone) {
  const auto items = parse_batch(
      R"({"events":[{"channel":"good","type":"t","data":1},7,{"channel":"kept","type":"","data":1},{"type":"t","data":1},)"
      R"({"channel":"a\/b","type":"t","data":1},{"channel":7,"type":"t","data":1},)"
      R"({"channel":"once","channel":"twice","type":"t","data":1},{"channel":"","type":"t","data":1}]})");
  ASSERT_TRUE(items.ok()) << items.status().message();
  const struct {
    std::string_view channel, message;
  } expected[] = {
      {"good", ""},
      {"", "The event must be a JSON object."},
      {"kept", "The member \"type\" has 0 bytes between its quotes; it may have 1 to 256."},
      {"", "The event lacks the member \"channel\"."},
      {"", "The name of a channel must be written without escapes."},
      {"", "The name of a channel must be a string."},
      {"once", "The event has the member \"channel\" twice."},
      {"", ""},
  };
  ASSERT_EQ(items->size(), std::size(expected));
  for (std::size_t i = 0; i < std::size(expected); ++i) {
    const BatchItem& item = items.value()[i];
    EXPECT_EQ(item.event.channel, expected[i].channel) << i;
    EXPECT_EQ(item.status.message(), expected[i].message);
    EXPECT_EQ(item.status.code(), expected[i].message.empty() ? Code::ok : Code::invalid_event) << i;
  }
}

TEST(ParseBatch, SaysWhyABodyIsNoBatch) {
  const std::string event = R"({"channel":"c","type":"t","data":1})";
  const NoEvent cases[] = {
      {"[]", 0, "The batch must be a JSON object."},
      {"{}", 0, "The batch lacks the member \"events\"."},
      {R"({"events":{}})", 10, "The member \"events\" must be a JSON array."},
      {R"({"events":[]})", 10, "The batch has no events."},
      {"{\"events\":[" + event + "],\"x\":1}", 48,
       "The batch has the member \"x\", which is not known; it may have \"events\"."},
      {"{\"events\":[" + event + "],\"events\":[" + event + "]}", 48, "The batch has the member \"events\" twice."},
      {"{\"events\":[" + repeated(1001, event) + "]}", 11 + 1000 * 36, "The batch has more than 1000 events."},
  };
  for (const auto& [body, position, message] : cases) {
    const auto items = parse_batch(body);
    ASSERT_FALSE(items.ok()) << message;
    EXPECT_EQ(items.status().code(), Code::invalid_event);
    EXPECT_EQ(items.status().position(), position) << message;
    EXPECT_EQ(items.status().message(), message);
  }
  EXPECT_EQ(parse_batch("{\"events\":[" + repeated(1000, event) + "]}")->size(), 1000U);
}

TEST(ParseBatch, RefusesAllWhenOneByteIsNoJson) {
  const std::string event = R"({"channel":"c","type":"t","data":1})";
  for (const std::string& body :
       {"{\"events\":[" + event + ",{\"type\":tru}]}", "{\"events\":[" + event + "]", "{\"events\":[" + event + ",]}",
        "{\"events\":[" + repeated(1001, event) + ",x]}", "{\"events\":[" + event + "]}\xFF"}) {
    EXPECT_EQ(parse_batch(body).status().code(), Code::invalid_json);
  }
}

TEST(ParseNdjson, GivesEveryLineInOrder) {
  const std::string body =
      "{\"channel\":\"a\",\"type\":\"t\",\"data\":1}\n\r\n\n{\"channel\":\"b\",\"type\":\"t\",\"data\":2}\r\n"
      " {\"channel\":\"c\",\"type\":\"t\",\"data\":3} ";
  const auto items = parse_ndjson(body);
  ASSERT_TRUE(items.ok());
  ASSERT_EQ(items->size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    const BatchItem& item = items.value()[i];
    EXPECT_TRUE(item.status.ok()) << item.status.message();
    EXPECT_EQ(item.event.channel, std::string(1, static_cast<char>('a' + i)));
    EXPECT_EQ(item.event.data, std::to_string(i + 1));
    EXPECT_EQ(body[item.event.position], '{');
  }
}

TEST(ParseNdjson, RefusesALineAloneAtItsPlaceInTheBody) {
  const std::string body =
      "{\"channel\":\"a\",\"type\":\"t\",\"data\":1}\n"
      "{\"channel\":\"b\",\"type\":\"t\",\"data\":tru}\n"
      "{\"channel\":\"c\",\"type\":\"t\",\"data\":\"\xFF\"}\r\n"
      "[]\n{\"channel\":\"d\",\"type\":\"t\",\"data\":1} x\n"
      "{\"channel\":\"e\",\"type\":\"t\",\"data\":\"\xC3\xA9\"}";
  const auto items = parse_ndjson(body);
  ASSERT_TRUE(items.ok());
  ASSERT_EQ(items->size(), 6U);
  const Code codes[] = {Code::ok, Code::invalid_json, Code::invalid_json, Code::invalid_event, Code::invalid_json,
                        Code::ok};
  const auto place = [&body](std::string_view text) { return static_cast<std::int64_t>(body.find(text)); };
  const std::int64_t positions[] = {-1, place("tru") + 3, place("\xFF"), place("[]"), place("x\n"), -1};
  for (std::size_t i = 0; i < 6; ++i) {
    const Status& status = items.value()[i].status;
    EXPECT_EQ(status.code(), codes[i]) << i;
    EXPECT_EQ(status.position(), positions[i]) << status.message();
    if (status.code() == Code::invalid_json) {
      EXPECT_TRUE(status.message().starts_with("Byte " + std::to_string(positions[i]) + ":")) << status.message();
    }
  }
  EXPECT_EQ(items.value()[1].event.channel, "b");
}

TEST(ParseNdjson, NeedsOneToAThousandEvents) {
  for (const std::string_view body : {"", "\n", "\r\n\n\r\n"}) {
    const auto items = parse_ndjson(body);
    ASSERT_FALSE(items.ok());
    EXPECT_EQ(items.status().code(), Code::invalid_event);
    EXPECT_EQ(items.status().message(), "The batch has no events.");
  }
  std::string lines;
  for (int i = 0; i < 1000; ++i) {
    lines += "7\n";
  }
  EXPECT_EQ(parse_ndjson(lines + "\n")->size(), 1000U);
  EXPECT_EQ(parse_ndjson(lines + "7").status().message(), "The batch has more than 1000 events.");
}

TEST(ParseBroadcast, GivesChannelsAndEvent) {
  const auto broadcast = parse_broadcast(R"( {"channels": ["a", "b/c"], "type":"t","data":[1] })");
  ASSERT_TRUE(broadcast.ok()) << broadcast.status().message();
  EXPECT_EQ(broadcast->channels, (std::vector<std::string_view>{"a", "b/c"}));
  EXPECT_EQ(broadcast->event.type, "\"t\"");
  EXPECT_EQ(broadcast->event.data, "[1]");
  EXPECT_EQ(broadcast->event.position, 1U);
}

TEST(ParseBroadcast, SaysWhyABodyIsNoBroadcast) {
  std::string names;
  for (int i = 0; i < 101; ++i) {
    names += (i == 0 ? "\"c" : ",\"c") + std::to_string(100 + i) + '"';
  }
  const std::string rest = R"(,"type":"t","data":1})";
  const NoEvent cases[] = {
      {"[]", 0, "The broadcast must be a JSON object."},
      {R"({"type":"t","data":1})", 0, "The broadcast lacks the member \"channels\"."},
      {"{\"channels\":\"a\"" + rest, 12, "The member \"channels\" must be a JSON array."},
      {"{\"channels\":[]" + rest, 12, "The broadcast names no channels."},
      {"{\"channels\":[7]" + rest, 13, "The name of a channel must be a string."},
      {"{\"channels\":[\"a\\/b\"]" + rest, 13, "The name of a channel must be written without escapes."},
      {"{\"channels\":[\"a\",\"b\",\"a\"]" + rest, 21, "The broadcast names the channel \"a\" twice."},
      {"{\"channels\":[" + names + "]" + rest, 13 + 100 * 7, "The broadcast names more than 100 channels."},
      {R"({"channels":["a"],"type":1,"data":1})", 25, "The member \"type\" must be a string."},
  };
  for (const auto& [body, position, message] : cases) {
    const auto broadcast = parse_broadcast(body);
    ASSERT_FALSE(broadcast.ok()) << message;
    EXPECT_EQ(broadcast.status().code(), Code::invalid_event);
    EXPECT_EQ(broadcast.status().position(), position) << message;
    EXPECT_EQ(broadcast.status().message(), message);
  }
  EXPECT_EQ(parse_broadcast("{\"channels\":[" + names.substr(0, 100 * 7 - 1) + "]" + rest)->channels.size(), 100U);
  EXPECT_EQ(parse_broadcast(R"({"channels":["a","a"],"type":"t","data":})").status().code(), Code::invalid_json);
}

}  // namespace
}  // namespace polyglot::core
