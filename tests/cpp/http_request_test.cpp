#include "server/http_request.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "guarded_text.hpp"

namespace polyglot::server {
namespace {

using core::Code;
using Progress = HttpRequest::Progress;
using Verb = HttpRequest::Verb;
using namespace std::string_literals;

// A head with these fields behind Host.
std::string head(std::string_view fields, std::string_view line = "GET /alive HTTP/1.1") {
  return std::string(line).append("\r\nHost: a\r\n").append(fields).append("\r\n");
}

// A request that was read whole, with the bytes that it is slices of. The byte behind them must not be touched.
struct Request {
  explicit Request(std::string_view bytes) : guarded(bytes.size()) {
    text = guarded.copy(bytes);
    progress = http.parse_head(text);
  }
  core::GuardedText guarded;
  std::string_view text;
  HttpRequest http;
  Progress progress;
};

void expect_taken(std::string_view bytes) {
  const Request request(bytes);
  EXPECT_EQ(request.progress, Progress::done) << bytes.substr(0, 200) << request.http.status().message();
}

void expect_refused(std::string_view bytes, Code code = Code::invalid_request) {
  const Request request(bytes);
  ASSERT_EQ(request.progress, Progress::failed) << bytes.substr(0, 200);
  EXPECT_EQ(request.http.status().code(), code) << bytes.substr(0, 200) << request.http.status().message();
  EXPECT_FALSE(request.http.status().message().empty());
}

TEST(ParseHead, SlicesTheRequestLine) {
  const Request request(head("", "POST /apps/a/publish?b=%20 HTTP/1.1") + "the body");
  ASSERT_EQ(request.progress, Progress::done);
  EXPECT_EQ(request.http.method(), Verb::post);
  EXPECT_EQ(request.http.method_text(), "POST");
  EXPECT_EQ(request.http.target(), "/apps/a/publish?b=%20");
  EXPECT_EQ(request.http.version(), 11);
  EXPECT_EQ(request.text.substr(request.http.head_size()), "the body");
}

TEST(ParseHead, TakesMethodsThatItDoesNotKnow) {
  const Request request(head("", "BREW /pot HTTP/1.1"));
  ASSERT_EQ(request.progress, Progress::done);
  EXPECT_EQ(request.http.method(), Verb::unknown);
  EXPECT_EQ(request.http.method_text(), "BREW");
}

TEST(ParseHead, KnowsTheFieldsThatTheServerLooksAtInAnyCase) {
  const Request request(
      head("CONTENT-TYPE: application/json\r\ncontent-length:2\r\nX-Api-Key: \t k \t\r\nidempotency-key: i\r\n"
           "x-request-id: r\r\nX-FORWARDED-FOR: 1.2.3.4\r\nLast-Event-Id: e\r\nauthorization: Bearer t\r\nOrigin: o\r\n"
           "Sec-WebSocket-Key: s\r\nsec-websocket-version: 13\r\nSec-Websocket-Protocol: p\r\nExpect: 100-continue\r\n"
           "Upgrade: websocket\r\nConnection: upgrade\r\nContent-Encoding: gzip\r\nX-Other: a\r\n"));
  ASSERT_EQ(request.progress, Progress::done) << request.http.status().message();
  const std::pair<Field, std::string_view> values[] = {
      {Field::host, "a"},
      {Field::content_type, "application/json"},
      {Field::content_encoding, "gzip"},
      {Field::content_length, "2"},
      {Field::expect, "100-continue"},
      {Field::authorization, "Bearer t"},
      {Field::origin, "o"},
      {Field::upgrade, "websocket"},
      {Field::connection, "upgrade"},
      {Field::api_key, "k"},
      {Field::idempotency_key, "i"},
      {Field::request_id, "r"},
      {Field::forwarded_for, "1.2.3.4"},
      {Field::last_event_id, "e"},
      {Field::websocket_key, "s"},
      {Field::websocket_version, "13"},
      {Field::websocket_protocol, "p"},
  };
  for (const auto& [field, value] : values) {
    EXPECT_TRUE(request.http.has(field)) << value;
    EXPECT_FALSE(request.http.repeated(field)) << value;
    EXPECT_EQ(request.http.value(field), value);
  }
  EXPECT_FALSE(request.http.has(Field::transfer_encoding));
  EXPECT_EQ(request.http.value(Field::transfer_encoding), "");
  EXPECT_EQ(request.http.content_length(), 2U);
}

TEST(ParseHead, KeepsTheFirstOfRepeatedFields) {
  const Request request(head("X-API-Key: one\r\nX-API-Key: two\r\nX-Other: a\r\nX-Other: b\r\n"));
  ASSERT_EQ(request.progress, Progress::done);
  EXPECT_TRUE(request.http.repeated(Field::api_key));
  EXPECT_EQ(request.http.value(Field::api_key), "one");
}

TEST(ParseHead, TakesFieldsWithoutAValue) {
  const Request request(head("Origin:\r\nX-API-Key: \t \r\n"));
  ASSERT_EQ(request.progress, Progress::done);
  EXPECT_TRUE(request.http.has(Field::origin));
  EXPECT_EQ(request.http.value(Field::origin), "");
  EXPECT_EQ(request.http.value(Field::api_key), "");
}

TEST(ParseHead, CopiesAHeadThatOutlivesItsBytes) {
  HttpHead copy;
  {
    const Request request(head("X-Empty:\r\nX-Other: b c\r\nX-Other: d\r\n", "BREW /pot?a HTTP/1.1") + "body");
    copy = request.http.copy_head();
    EXPECT_EQ(copy.bytes, request.text.substr(0, request.http.head_size()));
  }
  EXPECT_EQ(copy.text(copy.method), "BREW");
  EXPECT_EQ(copy.text(copy.target), "/pot?a");
  EXPECT_EQ(copy.version, 11);
  std::string fields;
  for (const auto& [name, value] : copy.fields)
    fields.append(copy.text(name)).append("=").append(copy.text(value)) += ';';
  EXPECT_EQ(fields, "Host=a;X-Empty=;X-Other=b c;X-Other=d;");
}

TEST(ParseHead, FollowsTheBytesWhenTheyMove) {
  Request request(head("X-API-Key: k\r\n"));
  const std::string elsewhere(request.text);
  request.guarded.copy(std::string(request.text.size(), '?'));
  request.http.at(elsewhere.data());
  EXPECT_EQ(request.http.target(), "/alive");
  EXPECT_EQ(request.http.value(Field::api_key), "k");
}

TEST(ParseHead, AsksForMoreUntilTheHeadIsWhole) {
  const std::string whole = head("X-API-Key: k\r\nContent-Length: 3\r\n", "POST /a HTTP/1.1");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const Request request(whole.substr(0, size));
    EXPECT_EQ(request.progress, Progress::more) << size << request.http.status().message();
  }
  const Request request(whole);
  EXPECT_EQ(request.progress, Progress::done);
  EXPECT_EQ(request.http.head_size(), whole.size());
}

TEST(ParseHead, KnowsWhetherTheConnectionGoesOn) {
  EXPECT_TRUE(Request(head("")).http.keep_alive());
  EXPECT_FALSE(Request(head("Connection: Close\r\n")).http.keep_alive());
  EXPECT_FALSE(Request(head("Connection: a, close\r\n")).http.keep_alive());
  EXPECT_FALSE(Request(head("", "GET / HTTP/1.0")).http.keep_alive());
  EXPECT_TRUE(Request(head("Connection: keep-alive\r\n", "GET / HTTP/1.0")).http.keep_alive());
  EXPECT_TRUE(Request(head("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n")).http.upgrades());
  EXPECT_FALSE(Request(head("Upgrade: websocket\r\n")).http.upgrades());
}

TEST(ParseHead, KnowsWhoWaitsToBeWelcomed) {
  EXPECT_TRUE(Request(head("Expect: 100-Continue\r\n")).http.expects_continue());
  EXPECT_FALSE(Request(head("Expect: 200\r\n")).http.expects_continue());
  EXPECT_FALSE(Request(head("")).http.expects_continue());
  EXPECT_FALSE(Request(head("Expect: 100-continue\r\n", "GET / HTTP/1.0")).http.expects_continue());
}

TEST(ParseHead, RefusesALengthThatCanBeReadInTwoWays) {
  for (const std::string_view length :
       {"42\r\nContent-Length: 42", "42\r\nContent-Length: 1", "42, 42", "42,", ",42", "+42", "-1", "0x2a", "4 2", "",
        "42a", "18446744073709551658", "00000000000000000042", "\xD9\xA4"}) {
    expect_refused(head("Content-Length: " + std::string(length) + "\r\n"));
  }
  EXPECT_EQ(Request(head("Content-Length: 0042\r\n")).http.content_length(), 42U);
  EXPECT_EQ(Request(head("Content-Length: 1234567890123456789\r\n")).http.content_length(), 1234567890123456789U);
}

TEST(ParseHead, RefusesAnyCodingButChunked) {
  for (const std::string_view coding :
       {"cow", "gzip, chunked", "chunked, gzip", "chunked, chunked", "chunked\r\nTransfer-Encoding: chunked", "",
        "chunked,", ",chunked", "chun\tked", "\"chunked\"", "chunked;a=b", "identity", "xchunked", "chunked\x0b",
        "gzip\r\nTransfer-Encoding: chunked", "chunked\r\nTransfer-Encoding: gzip"}) {
    expect_refused(head("Transfer-Encoding: " + std::string(coding) + "\r\n"));
  }
  expect_taken(head("Transfer-Encoding: Chunked\r\n"));
}

TEST(ParseHead, RefusesALengthAndChunks) {
  expect_refused(head("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"));
  expect_refused(head("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"));
}

TEST(ParseHead, RefusesChunksInHttp10) {
  expect_refused(head("Transfer-Encoding: chunked\r\n", "POST / HTTP/1.0"));
}

TEST(ParseHead, RefusesFoldedFields) {
  for (const std::string_view fields :
       {"X-A: b\r\n c\r\n", "X-A: b\r\n\tc\r\n", "X-A:\r\n b\r\n", "X-A: \r\n \r\n b\r\n", "X-A: b\r\n \r\n",
        "X-A:\r\n \r\n", "X-A: \r\n\t\r\n", "X-API-Key: b\r\n c\r\n", "Content-Length:\r\n 3\r\n",
        "Transfer-Encoding:\r\n chunked\r\n"}) {
    expect_refused(head(fields));
  }
  expect_refused("GET / HTTP/1.1\r\n Host: a\r\n\r\n");
}

TEST(ParseHead, WantsOneHostInHttp11) {
  expect_refused("GET / HTTP/1.1\r\n\r\n");
  expect_refused(head("Host: a\r\n"));
  expect_refused(head("HOST: b\r\n"));
  expect_taken("GET / HTTP/1.0\r\n\r\n");
  expect_refused(head("Host: a\r\n", "GET / HTTP/1.0"));
}

TEST(ParseHead, RefusesLinesThatDoNotEndInCrLf) {
  expect_refused("GET / HTTP/1.1\nHost: a\r\n\r\n");
  expect_refused(head("X-A: b\nX-C: d\r\n"));
  expect_refused(head("X-A: b\rX-C: d\r\n"));
  expect_refused("GET / HTTP/1.1\r\nHost: a\r\n\nX");
  expect_refused("GET / HTTP/1.1\nHost: a\n\n");
  expect_refused("GET / HTTP/1.1\r\nHost: a\r\n\rX");
}

TEST(ParseHead, RefusesFieldsThatAreNone) {
  for (const std::string& field : {"Content-Length : 3"s, "X-A : b"s, "X-A\t: b"s, "nothing"s, ": b"s, "X(A): b"s,
                                   "X A: b"s, "\xC3\xA9: b"s, "X-A: b\0c"s, "X-A\0: b"s, "X-A: b\x01"s, "X-A: \x7F"s}) {
    expect_refused(head(field + "\r\n"));
  }
  expect_taken(head("X-A: \xC3\xA9\r\n"));
}

TEST(ParseHead, RefusesRequestLinesThatAreNone) {
  for (const std::string& line :
       {"GET HTTP/1.1"s, "GET /"s, "GET  / HTTP/1.1"s, "GET /a b HTTP/1.1"s, "GET\t/ HTTP/1.1"s, "G(T / HTTP/1.1"s,
        " GET / HTTP/1.1"s, "GET / HTTP/2.0"s, "GET / HTTP/0.9"s, "GET / HTTP/1.2"s, "GET / HTTP/1.10"s,
        "GET / http/1.1"s, "GET / HTTP/x.y"s, "GET /\xC3\xA9 HTTP/1.1"s, "GET /\0 HTTP/1.1"s, "GET / HTTP/1.1 "s,
        "\r\nGET / HTTP/1.1"s}) {
    expect_refused(head("", line));
  }
}

TEST(ParseHead, BoundsTheRequestLine) {
  const auto line = [](std::size_t size) { return "GET /" + std::string(size - 14, 'a') + " HTTP/1.1"; };
  ASSERT_EQ(line(kMaxRequestLine).size(), kMaxRequestLine);
  const std::string whole = head("", line(kMaxRequestLine));
  expect_taken(whole);
  for (std::size_t size = kMaxRequestLine - 20; size < whole.size(); ++size) {
    EXPECT_EQ(Request(whole.substr(0, size)).progress, Progress::more) << size;
  }
  expect_refused(head("", line(kMaxRequestLine + 1)), Code::uri_too_long);
  expect_refused("GET /" + std::string(20'000, 'a'), Code::uri_too_long);
  expect_refused(std::string(20'000, 'A'), Code::uri_too_long);
  expect_refused(line(kMaxRequestLine + 1) + "\r", Code::uri_too_long);
}

TEST(ParseHead, BoundsTheNumberOfFields) {
  std::string fields;
  for (std::size_t i = 1; i < kMaxFields; ++i) fields += "X-" + std::to_string(i) + ": b\r\n";
  expect_taken(head(fields));
  expect_refused(head(fields + "X: b\r\n"), Code::headers_too_large);
}

TEST(ParseHead, BoundsEachField) {
  const std::string most(kMaxFieldSize - 3, 'b');
  expect_taken(head("X-A: " + most + "\r\n"));
  expect_refused(head("X-A: " + most + "b\r\n"), Code::headers_too_large);
  expect_taken(head("X-A" + most + ":\r\n"));
  expect_refused(head("X-A" + most + ": b\r\n"), Code::headers_too_large);
}

TEST(ParseHead, BoundsTheHeadHoweverItComes) {
  std::string fields;
  for (int i = 0; i < 8; ++i) fields += "X-A: " + std::string(8000, 'b') + "\r\n";
  const std::size_t rest = kMaxHead - head(fields + "X-A: \r\n").size();
  const std::string largest = head(fields + "X-A: " + std::string(rest, 'b') + "\r\n");
  ASSERT_EQ(largest.size(), kMaxHead);
  expect_taken(largest);
  EXPECT_EQ(Request(largest.substr(0, kMaxHead - 1)).progress, Progress::more);
  const std::string larger = head(fields + "X-A: " + std::string(rest + 1, 'b') + "\r\n");
  expect_refused(larger, Code::headers_too_large);
  expect_refused(larger.substr(0, kMaxHead), Code::headers_too_large);
  expect_refused(head(fields + fields), Code::headers_too_large);
}

std::string publish(std::string_view length) {
  return head("X-API-Key: k\r\nContent-Length: " + std::string(length) + "\r\nX-Request-Id: 1\r\n", "POST /a HTTP/1.1");
}

TEST(Repeats, KnowsTheSameHeadWithAnotherLengthOfAsManyDigits) {
  Request request(publish("17"));
  const std::string first(request.http.head());
  for (const char* length : {"17", "99", "00"}) {
    const std::string next = publish(length) + "body";
    ASSERT_TRUE(request.http.repeats(first, next)) << length;
    EXPECT_EQ(request.http.content_length(), std::stoul(length));
    EXPECT_EQ(request.http.value(Field::api_key), "k");
    EXPECT_EQ(request.http.value(Field::content_length), length);
  }
  for (const char* length : {"1", "170", "-1", "+1", " 1", "1x", "\r\n"}) {
    EXPECT_FALSE(request.http.repeats(first, publish(length) + "body")) << length;
  }
}

TEST(Repeats, NeedsTheWholeHead) {
  Request request(publish("17"));
  const std::string first(request.http.head());
  for (std::size_t size = 0; size < first.size(); ++size) {
    EXPECT_FALSE(request.http.repeats(first, first.substr(0, size))) << size;
  }
}

// Whatever byte is another: what is taken for the same head means what it would have meant by itself.
TEST(Repeats, NeverTakesAHeadForAnother) {
  for (const std::string& known : {publish("17"), head("X-API-Key: k\r\n", "POST /a HTTP/1.1")}) {
    Request request(known);
    int taken = 0;
    for (std::size_t at = 0; at < known.size(); ++at) {
      for (int c = 0; c < 256; ++c) {
        std::string other = known;
        other[at] = static_cast<char>(c);
        if (!request.http.repeats(known, other)) continue;
        ++taken;
        const Request fresh(other);
        ASSERT_EQ(fresh.progress, Progress::done) << other;
        EXPECT_EQ(request.http.content_length(), fresh.http.content_length()) << other;
        for (std::size_t field = 0; field < kKnownFields; ++field) {
          EXPECT_EQ(request.http.value(static_cast<Field>(field)), fresh.http.value(static_cast<Field>(field)))
              << other;
        }
        EXPECT_EQ(request.http.target(), fresh.http.target()) << other;
      }
    }
    // Each byte as it was, and of two digits all others.
    EXPECT_EQ(taken, static_cast<int>(known.size()) + (request.http.has(Field::content_length) ? 2 * 9 : 0));
  }
}

}  // namespace
}  // namespace polyglot::server
