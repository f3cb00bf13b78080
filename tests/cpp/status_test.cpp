#include "core/status.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "core/json.hpp"

namespace polyglot::core {
namespace {

TEST(Status, IsOkUntilItSaysOtherwise) {
  const Status fine;
  EXPECT_TRUE(fine.ok());
  EXPECT_EQ(fine.code(), Code::ok);
  EXPECT_EQ(fine.message(), "");
  EXPECT_EQ(fine.position(), -1);

  const Status wrong(Code::invalid_json, "Byte 3: wrong.", 3);
  EXPECT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.code(), Code::invalid_json);
  EXPECT_EQ(wrong.message(), "Byte 3: wrong.");
  EXPECT_EQ(wrong.position(), 3);
}

TEST(Result, IsAValueOrTheReasonForNone) {
  Result<std::string> some(std::string("value"));
  ASSERT_TRUE(some.ok());
  EXPECT_EQ(some.value(), "value");
  EXPECT_EQ(some->size(), 5U);
  EXPECT_EQ(std::move(some).value(), "value");

  const Result<std::string> none(Status(Code::not_found, "Nothing there."));
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.status().code(), Code::not_found);
}

struct Published {
  Code code;
  const char* name;
  int http_status;
  int retry_after;
};
// The public interface: a change here is a change for every client.
constexpr Published kPublished[] = {
    {Code::invalid_json, "invalid_json", 400, 0},
    {Code::invalid_event, "invalid_event", 400, 0},
    {Code::invalid_app, "invalid_app", 400, 0},
    {Code::invalid_channel, "invalid_channel", 400, 0},
    {Code::invalid_parameter, "invalid_parameter", 400, 0},
    {Code::invalid_request, "invalid_request", 400, 0},
    {Code::unauthorized, "unauthorized", 401, 0},
    {Code::token_expired, "token_expired", 401, 0},
    {Code::forbidden, "forbidden", 403, 0},
    {Code::not_found, "not_found", 404, 0},
    {Code::method_not_allowed, "method_not_allowed", 405, 0},
    {Code::request_timeout, "request_timeout", 408, 0},
    {Code::payload_too_large, "payload_too_large", 413, 0},
    {Code::uri_too_long, "uri_too_long", 414, 0},
    {Code::unsupported_media_type, "unsupported_media_type", 415, 0},
    {Code::idempotency_mismatch, "idempotency_mismatch", 422, 0},
    {Code::event_rejected, "event_rejected", 422, 0},
    {Code::rate_limited, "rate_limited", 429, 1},
    {Code::headers_too_large, "headers_too_large", 431, 0},
    {Code::overloaded, "overloaded", 503, 1},
    {Code::engine_unavailable, "engine_unavailable", 503, 1},
    {Code::processor_unavailable, "processor_unavailable", 503, 1},
    {Code::internal_error, "internal_error", 500, 0},
    {Code::storage_busy, "storage_busy", 500, 0},
    {Code::storage_damaged, "storage_damaged", 500, 0},
    {Code::storage_full, "storage_full", 500, 0},
    {Code::storage_unusable, "storage_unusable", 500, 0},
    {Code::storage_version, "storage_version", 500, 0},
};

TEST(CodeInfo, IsWhatIsPublished) {
  ASSERT_EQ(std::size(kPublished), static_cast<std::size_t>(kCodeCount - 1));
  for (const Published& published : kPublished) {
    const CodeInfo& info = code_info(published.code);
    EXPECT_EQ(info.name, published.name);
    EXPECT_EQ(info.http_status, published.http_status) << info.name;
    EXPECT_EQ(info.retry_after, published.retry_after) << info.name;
  }
  EXPECT_EQ(code_info(Code::ok).name, "ok");
}

TEST(CodeInfo, HasANameOfItsOwnAndSentencesForEveryCode) {
  std::set<std::string_view> names;
  for (int code = 0; code < kCodeCount; ++code) {
    const CodeInfo& info = code_info(static_cast<Code>(code));
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_FALSE(info.title.empty()) << info.name;
    EXPECT_TRUE(info.mend.ends_with('.')) << info.name;
  }
}

TEST(ProblemJson, HasTheMembersInOrder) {
  const std::string mend(code_info(Code::not_found).mend);
  EXPECT_EQ(problem_json(Status(Code::not_found, "There is no such route.")),
            R"({"type":"urn:polyglot-gateway:not_found","title":"Not found","status":404,"detail":")" + mend +
                R"(","code":"not_found","error":"There is no such route."})");
}

TEST(ProblemJson, AddsPositionAndRequestIdWhenThereAreAny) {
  const std::string both = problem_json(Status(Code::invalid_json, "Byte 0: wrong.", 0), "req-1");
  EXPECT_TRUE(both.ends_with(R"("error":"Byte 0: wrong.","position":0,"request_id":"req-1"})")) << both;
  const std::string id = problem_json(Status(Code::not_found, "Gone."), "req-1");
  EXPECT_TRUE(id.ends_with(R"("error":"Gone.","request_id":"req-1"})")) << id;
}

TEST(StatusTest, SaysWhenToTryAgain) {
  EXPECT_EQ(Status(Code::not_found, "Gone.").retry_after(), 0);
  Status status(Code::rate_limited, "Later.");
  EXPECT_EQ(status.retry_after(), code_info(Code::rate_limited).retry_after);
  EXPECT_EQ(status.retry_after(42).retry_after(), 42);
}

TEST(ProblemJson, IsJsonForEveryCodeAndMessage) {
  const std::string_view messages[] = {"",
                                       "plain.",
                                       "\"quoted\" \\ and \x01\n",
                                       "gr\xC3\xBC\xC3\x9F",
                                       "\xF0\x9F\x8E\x89",
                                       "cut off \xF0\x9F",
                                       "\xFF\xFE\x80",
                                       "\xED\xA0\x80 surrogate"};
  for (int code = 0; code < kCodeCount; ++code) {
    for (const std::string_view message : messages) {
      const std::string problem = problem_json(Status(static_cast<Code>(code), std::string(message)), message);
      EXPECT_TRUE(check_json(problem).ok()) << problem;
    }
  }
}

TEST(ProblemJson, ReplacesWhatIsNotUtf8) {
  const std::string problem = problem_json(Status(Code::not_found, "a\xFFz\xC3"));
  EXPECT_TRUE(problem.ends_with("\"error\":\"a\xEF\xBF\xBDz\xEF\xBF\xBD\"}")) << problem;
}

}  // namespace
}  // namespace polyglot::core
