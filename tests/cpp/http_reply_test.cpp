#include "server/http_reply.hpp"

#include <gtest/gtest.h>

#include <ctime>
#include <string>
#include <vector>

#include "core/json.hpp"

namespace polyglot::server {
namespace {

using core::Code;
using core::Status;

constexpr std::size_t kDateLength = 29;  // Sun, 06 Nov 1994 08:49:37 GMT
constexpr Recipient kSomebody{.request_id = "r-1"};

// The bytes with a D for the date, which is checked.
std::string without_date(std::string bytes) {
  const std::size_t at = bytes.find("\r\nDate: ") + 8;
  const std::string date = bytes.substr(at, kDateLength);
  std::tm parts{};
  const char* const end = strptime(date.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  EXPECT_TRUE(end != nullptr && *end == '\0') << date;
  EXPECT_NEAR(static_cast<double>(timegm(&parts)), static_cast<double>(std::time(nullptr)), 30);
  char text[kDateLength + 1];
  std::strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  EXPECT_EQ(date, text) << "the day of the week is the date's";
  return bytes.replace(at, kDateLength, "D");
}

std::string written(const Reply& reply, const Recipient& recipient, const std::vector<std::string>& origins = {}) {
  ReplyWriter writer(origins);
  std::string out;
  writer.append(out, reply, recipient);
  return without_date(out);
}

TEST(ReplyWriter, WritesStatusFieldsAndBody) {
  EXPECT_EQ(written({.body = "{}"}, kSomebody),
            "HTTP/1.1 200 OK\r\nServer: polyglot-gateway\r\nDate: D\r\nContent-Type: application/json\r\n"
            "X-Request-ID: r-1\r\nContent-Length: 2\r\n\r\n{}");
  EXPECT_EQ(written({404, "text/plain", "none\n", "Allow: GET\r\nX-A: b\r\n"}, kSomebody),
            "HTTP/1.1 404 Not Found\r\nServer: polyglot-gateway\r\nDate: D\r\nContent-Type: text/plain\r\n"
            "X-Request-ID: r-1\r\nAllow: GET\r\nX-A: b\r\nContent-Length: 5\r\n\r\nnone\n");
}

TEST(ReplyWriter, WritesTheLengthOfAnyBody) {
  for (const std::size_t size : {0U, 9U, 10U, 99U, 100U, 65536U, 1234567U}) {
    const std::string body(size, 'b');
    const std::string bytes = written({.body = body}, kSomebody);
    EXPECT_TRUE(bytes.ends_with("\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n" + body)) << size;
  }
}

TEST(ReplyWriter, LeavesOutTheContentTypeWhenThereIsNone) {
  EXPECT_EQ(written({.content_type = ""}, kSomebody).find("Content-Type"), std::string::npos);
}

TEST(ReplyWriter, LeavesOutTheBodyForHeadButSaysItsLength) {
  const std::string bytes = written({.body = "{}"}, {.request_id = "r", .head = true});
  EXPECT_TRUE(bytes.ends_with("\r\nContent-Length: 2\r\n\r\n"));
}

TEST(ReplyWriter, SaysWhatBecomesOfTheConnectionWhereItIsNeeded) {
  EXPECT_EQ(written({}, {.keep_alive = true, .version = 11}).find("Connection"), std::string::npos);
  for (const int version : {10, 11}) {
    EXPECT_NE(written({}, {.keep_alive = false, .version = version}).find("\r\nConnection: close\r\n"),
              std::string::npos);
  }
  EXPECT_NE(written({}, {.keep_alive = true, .version = 10}).find("\r\nConnection: keep-alive\r\n"), std::string::npos);
}

TEST(ReplyWriter, AppendsOneReplyBehindAnother) {
  ReplyWriter writer({});
  std::string once;
  writer.append(once, {.body = "1"}, kSomebody);
  std::string twice = "before";
  writer.append(twice, {.body = "1"}, kSomebody);
  writer.append(twice, {.body = "1"}, kSomebody);
  ASSERT_EQ(twice.size(), 6 + 2 * once.size());
  EXPECT_EQ(twice.substr(0, 6), "before");
  EXPECT_EQ(without_date(twice.substr(6, once.size())), without_date(once));
  EXPECT_EQ(without_date(twice.substr(6 + once.size())), without_date(once));
}

TEST(ReplyWriter, SaysNothingOfOriginsWhenNoneMayRead) {
  const std::string bytes = written({}, {.origin = "https://a.example"});
  EXPECT_EQ(bytes.find("Access-Control"), std::string::npos);
  EXPECT_EQ(bytes.find("Vary"), std::string::npos);
}

TEST(ReplyWriter, AllowsTheOriginsThatMayRead) {
  const std::vector<std::string> origins = {"https://a.example", "https://b.example"};
  const std::string allowed =
      "Vary: Origin\r\nAccess-Control-Allow-Origin: https://B.example\r\n"
      "Access-Control-Expose-Headers: X-Request-ID, Idempotency-Replayed, Retry-After\r\nContent-Length: ";
  EXPECT_NE(written({}, {.origin = "https://B.example"}, origins).find(allowed), std::string::npos);
  // Another origin, or none, is told that the reply would differ, so that no cache mixes them up.
  for (const std::string_view other : {"", "https://c.example", "https://a.example.org", "https://a.exampl"}) {
    const std::string bytes = written({}, {.origin = other}, origins);
    EXPECT_EQ(bytes.find("Access-Control"), std::string::npos) << other;
    EXPECT_NE(bytes.find("\r\nVary: Origin\r\n"), std::string::npos) << other;
  }
}

TEST(ReplyWriter, AllowsAnyOriginForAStar) {
  const std::vector<std::string> origins = {"https://a.example", "*"};
  EXPECT_NE(written({}, {.origin = "https://c.example"}, origins).find("\r\nAccess-Control-Allow-Origin: *\r\n"),
            std::string::npos);
  EXPECT_EQ(written({}, {}, origins).find("Access-Control"), std::string::npos) << "who has no origin needs nothing";
}

std::string problem(const Status& status, const Recipient& recipient) {
  ReplyWriter writer({});
  std::string out;
  writer.append_problem(out, status, recipient);
  return without_date(out);
}

TEST(ReplyWriter, WritesProblemsAsTheCoreWritesThem) {
  const Status status(Code::invalid_json, "There is no value.", 7);
  const std::string body = core::problem_json(status, "r-1");
  EXPECT_EQ(problem(status, kSomebody),
            "HTTP/1.1 400 Bad Request\r\nServer: polyglot-gateway\r\nDate: D\r\n"
            "Content-Type: application/problem+json\r\nX-Request-ID: r-1\r\nContent-Length: " +
                std::to_string(body.size()) + "\r\n\r\n" + body);
}

TEST(ReplyWriter, TellsWhenToComeAgainAndWhatElseAProblemHas) {
  Status status(Code::rate_limited, "Later.");
  ReplyWriter writer({});
  std::string bytes;
  writer.append_problem(bytes, status.retry_after(42), kSomebody, "RateLimit: \"events\";r=0;t=42\r\n");
  EXPECT_NE(bytes.find("\r\nX-Request-ID: r-1\r\nRateLimit: \"events\";r=0;t=42\r\nRetry-After: 42\r\n"),
            std::string::npos)
      << bytes;
}

TEST(ReplyWriter, HasAWordForTheStatusOfEveryCode) {
  for (int code = 1; code < core::kCodeCount; ++code) {
    const core::CodeInfo& info = core::code_info(static_cast<Code>(code));
    const std::string bytes = problem({static_cast<Code>(code), "Something."}, kSomebody);
    const std::string status = "HTTP/1.1 " + std::to_string(info.http_status) + " ";
    ASSERT_TRUE(bytes.starts_with(status)) << bytes;
    EXPECT_NE(std::string("ABCDEFGHIJKLMNOPQRSTUVWXYZ").find(bytes[status.size()]), std::string::npos) << bytes;
    const std::string retry = "\r\nRetry-After: " + std::to_string(info.retry_after) + "\r\n";
    EXPECT_EQ(bytes.find(retry) != std::string::npos, info.retry_after != 0) << info.name;
    EXPECT_EQ(bytes.find("\r\nWWW-Authenticate: ApiKey realm=\"polyglot-gateway\"") != std::string::npos,
              info.http_status == 401)
        << info.name;
    EXPECT_TRUE(core::check_json(bytes.substr(bytes.find("\r\n\r\n") + 4)).ok()) << info.name;
  }
}

TEST(ReplyWriter, WritesTheHeadOfAReplyWithoutEnd) {
  ReplyWriter writer({"*"});
  std::string out;
  writer.append_stream_head(out, {.content_type = "text/event-stream", .fields = "Transfer-Encoding: chunked\r\n"},
                            {.request_id = "r-1", .origin = "https://a.example"});
  EXPECT_EQ(without_date(out),
            "HTTP/1.1 200 OK\r\nServer: polyglot-gateway\r\nDate: D\r\nContent-Type: text/event-stream\r\n"
            "X-Request-ID: r-1\r\nTransfer-Encoding: chunked\r\nVary: Origin\r\nAccess-Control-Allow-Origin: *\r\n"
            "Access-Control-Expose-Headers: X-Request-ID, Idempotency-Replayed, Retry-After\r\n\r\n");
}

TEST(ReplyWriter, WritesTheBeginningOfAHeadWithAnyStatus) {
  ReplyWriter writer({"*"});
  std::string out;
  writer.append_head(out, "299 Quite Fine", {.keep_alive = false});
  EXPECT_EQ(without_date(out),
            "HTTP/1.1 299 Quite Fine\r\nServer: polyglot-gateway\r\nDate: D\r\nConnection: close\r\n");
}

}  // namespace
}  // namespace polyglot::server
