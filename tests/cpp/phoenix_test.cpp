#include "server/phoenix.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "core/json.hpp"
#include "guarded_text.hpp"

namespace polyglot::server {
namespace {

using core::Code;
using namespace std::string_literals;
using namespace std::string_view_literals;

// The texts of the bytes that the client's serializer gives for what its socket and channels send.
constexpr std::string_view kHeartbeat = R"([null,"1","phoenix","heartbeat",{}])";
constexpr std::string_view kPublish =
    R"(["3","4","room:test","publish",{"type":"message","data":{"text":"Héllo\n\"/\\"}}])";
const std::string kBinary = "\x00\x01\x02\x08\x07"s + "3" + "12" + "room:t\xC3\xA9" + "publish" + "\x01\x00\xFF"s;

struct Refused {
  std::string text;
  Code code;
  std::int64_t position;
  std::string_view message;
};

template <typename T>
void expect_refused(const core::Result<T>& result, const Refused& expected) {
  ASSERT_FALSE(result.ok()) << expected.text;
  EXPECT_EQ(result.status().code(), expected.code) << expected.text;
  EXPECT_EQ(result.status().position(), expected.position) << expected.text;
  EXPECT_EQ(result.status().message(), expected.message);
}

TEST(ParsePhoenix, TakesTheHeartbeat) {
  std::string scratch;
  const auto message = parse_phoenix(kHeartbeat, scratch);
  ASSERT_TRUE(message.ok()) << message.status().message();
  EXPECT_EQ(message->join_ref, "null");
  EXPECT_EQ(message->ref, "\"1\"");
  EXPECT_EQ(message->topic_json, "\"phoenix\"");
  EXPECT_EQ(message->topic, "phoenix");
  EXPECT_EQ(message->event, "heartbeat");
  EXPECT_EQ(message->payload, "{}");
  EXPECT_FALSE(message->binary);
}

TEST(ParsePhoenix, SlicesAPushAsItWasSent) {
  std::string scratch;
  const auto message = parse_phoenix(kPublish, scratch);
  ASSERT_TRUE(message.ok()) << message.status().message();
  EXPECT_EQ(message->join_ref, "\"3\"");
  EXPECT_EQ(message->ref, "\"4\"");
  EXPECT_EQ(message->topic, "room:test");
  EXPECT_EQ(message->payload, R"({"type":"message","data":{"text":"Héllo\n\"/\\"}})");
  EXPECT_EQ(message->topic.data(), kPublish.data() + kPublish.find("room:test"));
  EXPECT_TRUE(scratch.empty());
}

TEST(ParsePhoenix, UnderstandsEscapesInTopicAndEvent) {
  std::string scratch = "of the message before";
  const auto message = parse_phoenix(
      R"(["3","\u0034","a\"b\\c\/é\u0001\ud83d\ude00 and longer","phx\u005fjoin, as long as the text of the topic, and more",{"\u0061":1}])",
      scratch);
  ASSERT_TRUE(message.ok()) << message.status().message();
  EXPECT_EQ(message->ref, R"("\u0034")");
  EXPECT_EQ(message->topic_json, R"("a\"b\\c\/é\u0001\ud83d\ude00 and longer")");
  EXPECT_EQ(message->topic, "a\"b\\c/é\x01\xF0\x9F\x98\x80 and longer");
  EXPECT_EQ(message->event, "phx_join, as long as the text of the topic, and more");
  EXPECT_EQ(message->payload, R"({"\u0061":1})");
}

TEST(ParsePhoenix, TakesWhiteSpaceAndAnyPayload) {
  std::string scratch;
  for (const std::string payload : {"null", "0", "-1.5e3", "\"\"", "[]", "{ \"a\" : [ 1 ] }", "true"}) {
    const std::string text = " [ null ,\tnull,\n\"\" , \"\",  " + payload + " ]\r\n";
    const auto message = parse_phoenix(text, scratch);
    ASSERT_TRUE(message.ok()) << message.status().message();
    EXPECT_EQ(message->payload, payload);
    EXPECT_TRUE(message->topic.empty() && message->event.empty());
  }
}

TEST(ParsePhoenix, SaysWhyJsonIsNoMessage) {
  const std::string shape = "[join_ref, ref, topic, event, payload].";
  const std::string four = "The message has 4 elements; it must have 5: " + shape;
  const std::string six = "The message has 6 elements; it must have 5: " + shape;
  const std::string seven = "The message has 7 elements; it must have 5: " + shape;
  const std::string none = "The message has 0 elements; it must have 5: " + shape;
  const std::string array = "The message must be a JSON array: " + shape;
  const std::string long_ref = '"' + std::string(kMaxRefLength + 1, '7') + '"';
  const Refused cases[] = {
      {" {}", Code::invalid_event, 1, array},
      {R"({"topic":"t","event":"e","payload":{},"ref":"1"})", Code::invalid_event, 0, array},
      {"null", Code::invalid_event, 0, array},
      {"\"[]\"", Code::invalid_event, 0, array},
      {"[ ]", Code::invalid_event, 2, none},
      {R"(["1","1","t","e"])", Code::invalid_event, 16, four},
      {R"(["1","1","t","e",{},7])", Code::invalid_event, 20, six},
      {R"(["1","1","t","e",{}, 7,8])", Code::invalid_event, 21, seven},
      {R"([1,"1","t","e",{}])", Code::invalid_event, 1, "The join_ref must be a string or null."},
      {R"([null,1,"t","e",{}])", Code::invalid_event, 6, "The ref must be a string or null."},
      {R"([false,"1","t","e",{}])", Code::invalid_event, 1, "The join_ref must be a string or null."},
      {R"([["1"],"1","t","e",{}])", Code::invalid_event, 1, "The join_ref must be a string or null."},
      {R"([null, {},"t","e",{}])", Code::invalid_event, 7, "The ref must be a string or null."},
      {"[" + long_ref + ",null,\"t\",\"e\",{}]", Code::invalid_event, 1,
       "The join_ref has 256 bytes between its quotes; it may have at most 255."},
      {"[null," + long_ref + ",\"t\",\"e\",{}]", Code::invalid_event, 6,
       "The ref has 256 bytes between its quotes; it may have at most 255."},
      {R"(["1","1",null,"e",{}])", Code::invalid_event, 9, "The topic must be a string."},
      {R"(["1","1",7,"e",{}])", Code::invalid_event, 9, "The topic must be a string."},
      {R"(["1","1","t",null,{}])", Code::invalid_event, 13, "The event must be a string."},
      {R"(["1","1","t",["e"],{}])", Code::invalid_event, 13, "The event must be a string."},
  };
  std::string scratch;
  for (const Refused& expected : cases) {
    expect_refused(parse_phoenix(expected.text, scratch), expected);
  }
  const std::string longest = '"' + std::string(kMaxRefLength, '7') + '"';
  EXPECT_TRUE(parse_phoenix("[" + longest + "," + longest + ",\"t\",\"e\",{}]", scratch).ok());
}

TEST(ParsePhoenix, SaysWhereItIsNoJson) {
  const Refused cases[] = {
      {"", Code::invalid_json, 0, "Byte 0: expected a value, found the end of the text."},
      {"[null,]", Code::invalid_json, 6, "Byte 6: expected a value, found ']'."},
      {"[null \"1\"]", Code::invalid_json, 6, "Byte 6: expected ',' or ']', found '\"'."},
      {R"(["1","1","t","e",{}] x)", Code::invalid_json, 21, "Byte 21: expected the end of the text, found 'x'."},
      {R"(["1","1","t","e",{}][])", Code::invalid_json, 20, "Byte 20: expected the end of the text, found '['."},
      {R"(["1","1","t","e",{"a":01}])", Code::invalid_json, 23,
       "Byte 23: expected no digit after the 0 that begins a number, found '1'."},
      {"[\"1\",\"1\",\"\xC3\",\"e\",{}]", Code::invalid_json, 10,
       "Byte 10: the text is not UTF-8, 0xC3 begins no well-formed sequence."},
      {R"(["1","1","a\ud800","e",{}])", Code::invalid_json, 11,
       "Byte 11: no escape of a low surrogate follows the escape of a high one."},
      // What is no JSON outweighs what is no message.
      {"[1,2,3,tru]", Code::invalid_json, 10, "Byte 10: expected 'true', found ']'."},
      {"{} x", Code::invalid_json, 3, "Byte 3: expected the end of the text, found 'x'."},
      {"AAECCAc=", Code::invalid_json, 0, "Byte 0: expected a value, found 'A'."},
  };
  std::string scratch;
  for (const Refused& expected : cases) {
    expect_refused(parse_phoenix(expected.text, scratch), expected);
  }
  const auto deep = [](std::size_t arrays) {
    return R"([null,null,"t","e",)" + std::string(arrays, '[') + std::string(arrays, ']') + "]";
  };
  EXPECT_TRUE(parse_phoenix(deep(63), scratch).ok());
  EXPECT_EQ(parse_phoenix(deep(64), scratch).status().code(), Code::invalid_json);
}

TEST(ParsePhoenix, NeverReadsBeyondTheTextAndNeverTakesAPart) {
  core::GuardedText guarded(4096);
  std::string scratch;
  for (std::size_t length = 0; length < kPublish.size(); ++length) {
    const auto message = parse_phoenix(guarded.copy(kPublish.substr(0, length)), scratch);
    ASSERT_FALSE(message.ok());
    EXPECT_EQ(message.status().code(), Code::invalid_json);
  }
  EXPECT_TRUE(parse_phoenix(guarded.copy(kPublish), scratch).ok());
}

TEST(ParsePhoenixBinary, TakesAPush) {
  std::string scratch = "of the message before";
  const auto message = parse_phoenix_binary(kBinary, scratch);
  ASSERT_TRUE(message.ok()) << message.status().message();
  EXPECT_EQ(message->join_ref, "\"3\"");
  EXPECT_EQ(message->ref, "\"12\"");
  EXPECT_EQ(message->topic_json, "\"room:t\xC3\xA9\"");
  EXPECT_EQ(message->topic, "room:t\xC3\xA9");
  EXPECT_EQ(message->event, "publish");
  EXPECT_EQ(message->payload, "\x01\x00\xFF"sv);
  EXPECT_TRUE(message->binary);
}

TEST(ParsePhoenixBinary, TakesAbsentRefsAsNullAndAnEmptyPayload) {
  std::string scratch;
  const std::string bytes = "\x00\x00\x00\x01\x01te"s;
  const auto message = parse_phoenix_binary(bytes, scratch);
  ASSERT_TRUE(message.ok()) << message.status().message();
  EXPECT_EQ(message->join_ref, "null");
  EXPECT_EQ(message->ref, "null");
  EXPECT_EQ(message->topic, "t");
  EXPECT_EQ(message->event, "e");
  EXPECT_EQ(message->payload, "");
}

TEST(ParsePhoenixBinary, QuotesTheLongestFieldsWithEveryByteEscaped) {
  const std::string field(255, '\x1F');
  const std::string bytes = "\x00\xFF\xFF\xFF\xFF"s + field + field + field + field + "payload";
  std::string scratch;
  const auto message = parse_phoenix_binary(bytes, scratch);
  ASSERT_TRUE(message.ok()) << message.status().message();
  for (const std::string_view json : {message->join_ref, message->ref, message->topic_json}) {
    ASSERT_TRUE(core::check_json(json).ok());
    EXPECT_EQ(core::unescape(json), field);
  }
  EXPECT_EQ(message->topic, field);
  EXPECT_EQ(message->event, field);
  EXPECT_EQ(message->payload, "payload");
}

TEST(ParsePhoenixBinary, SaysWhyBytesAreNoPush) {
  const Refused cases[] = {
      {"", Code::invalid_event, 0, "The binary message ends before the sizes of its fields."},
      {"\x00\x00\x00\x00"s, Code::invalid_event, 4, "The binary message ends before the sizes of its fields."},
      {"\x01\x00\x00\x00\x00"s, Code::invalid_event, 0,
       "The binary message has the kind 1; what a client pushes has the kind 0."},
      {"\xFF", Code::invalid_event, 0, "The binary message has the kind 255; what a client pushes has the kind 0."},
      {"\x00\x01\x00\x00\x00"s, Code::invalid_event, 5, "The binary message ends before its join_ref does."},
      {"\x00\x01\xFF\x00\x00"
       "12"s,
       Code::invalid_event, 7, "The binary message ends before its ref does."},
      {"\x00\x01\x01\x02\x00"
       "12t"s,
       Code::invalid_event, 8, "The binary message ends before its topic does."},
      {"\x00\x01\x01\x01\xFF"
       "12te"s,
       Code::invalid_event, 9, "The binary message ends before its event does."},
      // The halves of one character, in two fields.
      {"\x00\x00\x00\x01\x01\xC3\xA9"s, Code::invalid_json, 5,
       "Byte 5: the text is not UTF-8, 0xC3 begins no well-formed sequence."},
      {"\x00\x01\x00\x01\x01"
       "1t\xA9"s,
       Code::invalid_json, 7, "Byte 7: the text is not UTF-8, 0xA9 begins no well-formed sequence."},
      {"\x00\x01\x00\x01\x01\xFF"
       "te"s,
       Code::invalid_json, 5, "Byte 5: the text is not UTF-8, 0xFF begins no well-formed sequence."},
  };
  std::string scratch;
  for (const Refused& expected : cases) {
    expect_refused(parse_phoenix_binary(expected.text, scratch), expected);
  }
}

TEST(ParsePhoenixBinary, NeverReadsBeyondTheBytes) {
  core::GuardedText guarded(4096);
  std::string scratch;
  for (std::size_t length = 0; length <= kBinary.size(); ++length) {
    const auto message = parse_phoenix_binary(guarded.copy(std::string_view(kBinary).substr(0, length)), scratch);
    EXPECT_EQ(message.ok(), length >= kBinary.size() - 3) << length;
  }
}

std::vector<std::string_view> lines_of(std::string_view body) {
  std::vector<std::string_view> lines;
  while (const auto line = next_phoenix_line(body)) {
    lines.push_back(*line);
  }
  EXPECT_TRUE(body.empty());
  return lines;
}

TEST(NextPhoenixLine, GivesTheMessagesOfALongPollInOrder) {
  using Lines = std::vector<std::string_view>;
  EXPECT_EQ(lines_of(std::string(kHeartbeat) + "\n" + std::string(kPublish)).size(), 2U);
  EXPECT_EQ(lines_of("[1]"), (Lines{"[1]"}));
  EXPECT_EQ(lines_of("[1]\n[2]\n"), (Lines{"[1]", "[2]"}));
  EXPECT_EQ(lines_of("\n\r\n[1]\r\n\n [2] \r\n\r"), (Lines{"[1]", " [2] "}));
  EXPECT_EQ(lines_of(""), Lines{});
}

TEST(ParseJoin, TakesEverythingThatAJoinMayCarry) {
  const std::string payload =
      R"({"since":41,"epoch":"0123456789abcdef","access_token":"e\u0079J.x","presence":{"key":"al\"ice","meta":{ "a":[1]}}})";
  const auto join = parse_join(payload);
  ASSERT_TRUE(join.ok()) << join.status().message();
  EXPECT_EQ(join->since, 41U);
  EXPECT_EQ(join->epoch, "0123456789abcdef");
  EXPECT_EQ(join->access_token, "eyJ.x");
  EXPECT_EQ(join->presence_key, "al\"ice");
  EXPECT_EQ(join->presence_meta, R"({ "a":[1]})");
  EXPECT_EQ(join->presence_meta.data(), payload.data() + payload.find("{ \"a\""));
}

TEST(ParseJoin, LeavesEmptyWhatIsAbsentAndIgnoresWhatIsUnknown) {
  for (const std::string_view payload :
       {"{}", R"({"user_id":123,"user_id":[],"Since":"x"})", R"( { "presence" : { "x":1 } , "epoch" : "" } )",
        R"({"meta":7,"key":7,"presence":{"since":"x","key":""}})"}) {
    const auto join = parse_join(payload);
    ASSERT_TRUE(join.ok()) << join.status().message();
    EXPECT_EQ(join->since, std::nullopt);
    EXPECT_EQ(join->epoch + join->access_token + join->presence_key, "");
    EXPECT_EQ(join->presence_meta, "");
  }
}

TEST(ParseJoin, TakesEveryOffsetAndNamesWithEscapes) {
  EXPECT_EQ(parse_join(R"({"since":0})")->since, 0U);
  EXPECT_EQ(parse_join(R"({"since": 18446744073709551615 })")->since, std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(parse_join(R"({"s\u0069nce":7})")->since, 7U);
  EXPECT_EQ(parse_join(R"({"epoch":"ABCDEF0123456789"})")->epoch, "ABCDEF0123456789");
}

TEST(ParseJoin, NamesTheMemberThatIsWrong) {
  constexpr std::string_view kSince = "The member \"since\" must be an offset, a whole number of at most 64 bits.";
  constexpr std::string_view kEpoch = "The member \"epoch\" must be 16 hex digits.";
  constexpr std::string_view kObject = "The payload of a join must be a JSON object.";
  const Refused cases[] = {
      {"[]", Code::invalid_parameter, 0, kObject},
      {" null", Code::invalid_parameter, 1, kObject},
      {R"("{}")", Code::invalid_parameter, 0, kObject},
      {R"({"since":"41"})", Code::invalid_parameter, 9, kSince},
      {R"({"since":-1})", Code::invalid_parameter, 9, kSince},
      {R"({"since":-0})", Code::invalid_parameter, 9, kSince},
      {R"({"since":1.0})", Code::invalid_parameter, 9, kSince},
      {R"({"since":1e3})", Code::invalid_parameter, 9, kSince},
      {R"({"since": null})", Code::invalid_parameter, 10, kSince},
      {R"({"since":18446744073709551616})", Code::invalid_parameter, 9, kSince},
      {R"({"epoch":"0123456789abcde"})", Code::invalid_parameter, 9, kEpoch},
      {R"({"epoch":"0123456789abcdef0"})", Code::invalid_parameter, 9, kEpoch},
      {R"({"epoch":"0123456789abcdeg"})", Code::invalid_parameter, 9, kEpoch},
      {R"({"since":1,"epoch":7})", Code::invalid_parameter, 19, "The member \"epoch\" must be a string."},
      {R"({"access_token":null})", Code::invalid_parameter, 16, "The member \"access_token\" must be a string."},
      {R"({"presence":"alice"})", Code::invalid_parameter, 12, "The member \"presence\" must be a JSON object."},
      {R"({"presence":{"key":7}})", Code::invalid_parameter, 19, "The member \"presence.key\" must be a string."},
      {R"({"presence":{"meta":[]}})", Code::invalid_parameter, 20,
       "The member \"presence.meta\" must be a JSON object."},
      {R"({"presence":{"key":"a","key":"b"}})", Code::invalid_parameter, 23,
       "The member \"presence\" has the member \"presence.key\" twice."},
      {R"({"since":1,"s\u0069nce":1})", Code::invalid_parameter, 11,
       "The payload of a join has the member \"since\" twice."},
      {R"({"since":"41",})", Code::invalid_json, 14,
       "Byte 14: expected the name of a member in quotes after ',', found '}'."},
      {"{} x", Code::invalid_json, 3, "Byte 3: expected the end of the text, found 'x'."},
      {"{\"x\":\"\xFF\"}", Code::invalid_json, 6,
       "Byte 6: the text is not UTF-8, 0xFF begins no well-formed sequence."},
  };
  for (const Refused& expected : cases) {
    expect_refused(parse_join(expected.text), expected);
  }
}

TEST(ParseAccessToken, TakesATokenAndNothingLess) {
  const auto token = parse_access_token(R"({"other":1,"access_token":"a.b\u002ec"})");
  ASSERT_TRUE(token.ok()) << token.status().message();
  EXPECT_EQ(token.value(), "a.b.c");
  constexpr std::string_view kNeeded = "The member \"access_token\" must be there, and not be empty.";
  const Refused cases[] = {
      {"{}", Code::invalid_parameter, 0, kNeeded},
      {R"({"access_token":""})", Code::invalid_parameter, 16, kNeeded},
      {R"({"access_token":7})", Code::invalid_parameter, 16, "The member \"access_token\" must be a string."},
      {R"("token")", Code::invalid_parameter, 0, "The payload of \"access_token\" must be a JSON object."},
      {R"({"access_token":"a","access_token":"b"})", Code::invalid_parameter, 20,
       "The payload of \"access_token\" has the member \"access_token\" twice."},
      {"{", Code::invalid_json, 1,
       "Byte 1: expected '}' or the name of a member in quotes, found the end of the text."},
  };
  for (const Refused& expected : cases) {
    expect_refused(parse_access_token(expected.text), expected);
  }
}

TEST(AppendPhoenix, WritesWhatTheClientReads) {
  std::string out;
  append_reply(out, "\"3\"", "\"4\"", "\"room:test\"", true, R"({"epoch":"0123456789abcdef","offset":41})");
  EXPECT_EQ(out,
            R"(["3","4","room:test","phx_reply",{"status":"ok","response":{"epoch":"0123456789abcdef","offset":41}}])");
  out.clear();
  append_reply(out, "null", "\"1\"", "\"phoenix\"", true, "{}");
  EXPECT_EQ(out, R"([null,"1","phoenix","phx_reply",{"status":"ok","response":{}}])");
  out.clear();
  append_reply(out, "\"3\"", "\"4\"", R"("a\"b")", false, R"({"reason":"forbidden"})");
  EXPECT_EQ(out, R"(["3","4","a\"b","phx_reply",{"status":"error","response":{"reason":"forbidden"}}])");
  out.clear();
  append_push(out, "\"3\"", "\"room:test\"", "presence_state", "{}");
  append_push(out, "null", "\"room:test\"", "phx\"error", "[1]");
  EXPECT_EQ(out, R"(["3",null,"room:test","presence_state",{}][null,null,"room:test","phx\"error",[1]])");
  out.clear();
  append_event_head(out, "room:test");
  out.append(R"({"id":"evt_1","offset":42})").append(kEventTail);
  EXPECT_EQ(out, R"([null,null,"room:test","event",{"id":"evt_1","offset":42}])");
}

TEST(AppendPhoenix, RepeatsWhatWasParsed) {
  std::string scratch;
  for (const std::string& text : {std::string(kHeartbeat), R"(["\u0033","4","a\/\"b","e",{}])"s}) {
    const auto message = parse_phoenix(text, scratch);
    ASSERT_TRUE(message.ok());
    std::string reply;
    append_reply(reply, message->join_ref, message->ref, message->topic_json, true, message->payload);
    std::string reply_scratch;
    const auto answer = parse_phoenix(reply, reply_scratch);
    ASSERT_TRUE(answer.ok()) << reply;
    EXPECT_EQ(answer->join_ref, message->join_ref);
    EXPECT_EQ(answer->ref, message->ref);
    EXPECT_EQ(answer->topic, message->topic);
    EXPECT_EQ(answer->event, "phx_reply");
  }
}

}  // namespace
}  // namespace polyglot::server
