#include "core/submission.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/event_id.hpp"
#include "gateway_fixture.hpp"

namespace polyglot::core {
namespace {

using testing::GatewayTest;
using testing::taken;

class SubmissionTest : public GatewayTest {
 protected:
  std::string history_of(std::string_view channel) {
    HistoryPage page;
    return std::string(taken(gateway_->history("app", channel, {}, page)));
  }
};

TEST_F(SubmissionTest, PreparesWhatPublishWouldKeepAndKeepsNothing) {
  const std::string body = R"({"type":"t","data":1})";
  const auto submission = taken(gateway_->prepare("app", "room", body, {.source_ip = "::1", .user_id = "alice"}));
  ASSERT_EQ(submission->appends().size(), 1U);
  const Append& append = submission->appends().front();
  EXPECT_EQ(submission->app(), "app");
  EXPECT_EQ(append.channel, "room");
  EXPECT_EQ(append.key, nullptr);
  const std::string envelope(append.envelope.data(), append.envelope.size());
  EXPECT_EQ(envelope, R"({"id":")" + event_id_text(append.id) +
                          R"(","app_id":"app","channel":"room","type":"t","data":1,"meta":{"user_id":"alice","ts":")" +
                          timestamp_text(append.time) + R"(","source_ip":"::1"},"offset":)");
  EXPECT_NE(history_of("room").find(R"("count":0)"), std::string::npos);
}

TEST_F(SubmissionTest, RefusesWhatPublishRefuses) {
  EXPECT_EQ(gateway_->prepare("app", "no spaces", "{}", {}).status().code(), Code::invalid_channel);
  EXPECT_EQ(gateway_->prepare("app", "", "{}", {}).status().code(), Code::invalid_channel);
  EXPECT_EQ(gateway_->prepare("app", "room", "{", {}).status().code(), Code::invalid_json);
  EXPECT_EQ(gateway_->prepare("", "room", "{}", {}).status().code(), Code::invalid_app);
  EXPECT_EQ(gateway_->prepare_batch("app", "{}", false, {}).status().code(), Code::invalid_event);
  EXPECT_EQ(gateway_->prepare_broadcast("app", "[]", {}).status().code(), Code::invalid_event);
  const std::string key(kMaxIdempotencyKey + 1, 'k');
  EXPECT_EQ(gateway_->prepare("app", "room", R"({"type":"t","data":1})", {key}).status().code(),
            Code::invalid_parameter);
}

TEST_F(SubmissionTest, AnswersForEachItemInOrder) {
  const std::string body =
      R"({"events":[{"channel":"a","type":"t","data":1},{"channel":"no spaces","type":"t","data":1},)"
      R"({"channel":"b","type":"t","data":2},{"channel":"a","type":"t","data":3}]})";
  const auto submission = taken(gateway_->prepare_batch("app", body, false, {.idempotency_key = "k"}));
  ASSERT_EQ(submission->appends().size(), 3U);
  EXPECT_NE(submission->appends()[0].key->key, submission->appends()[2].key->key) << "a key counts for each event";
  submission->appends()[0].offset = 7;
  submission->appends()[0].epoch = 255;
  submission->appends()[1].status = Status(Code::engine_unavailable, "Not now.");
  submission->appends()[2].offset = 3;
  submission->appends()[2].replayed = true;
  const auto ack = [&](std::size_t i, const std::string& offset, const std::string& epoch) {
    const Append& append = submission->appends()[i];
    return R"("id":")" + event_id_text(append.id) + R"(","timestamp":")" + timestamp_text(append.time) +
           R"(","offset":)" + offset + R"(,"epoch":")" + epoch + '"';
  };
  const std::string results = submission->results();
  EXPECT_EQ(results.find(R"({"results":[{"channel":"a",)" + ack(0, "7", "00000000000000ff") +
                         R"(},{"channel":"no spaces","code":"invalid_channel","error":")"),
            0U)
      << results;
  EXPECT_NE(results.find(R"(},{"channel":"b","code":"engine_unavailable","error":"Not now.","status":503},)"
                         R"({"channel":"a",)" +
                         ack(2, "3", "0000000000000000") + R"(,"replayed":true}]})"),
            std::string::npos)
      << results;
  gateway_->count(*submission);
  const Counters& counters = gateway_->counters();
  EXPECT_EQ(counters.total(Counter::publishes), 1U);
  EXPECT_EQ(counters.total(Counter::replays), 1U);
  EXPECT_EQ(counters.total_refused(Code::invalid_channel), 1U);
  EXPECT_EQ(counters.total_refused(Code::engine_unavailable), 1U);
}

TEST_F(SubmissionTest, SaysWhichEventsWait) {
  const std::string body = R"({"channels":["a","b"],"type":"t","data":1})";
  const auto submission = taken(gateway_->prepare_broadcast("app", body, {}));
  for (Append& append : submission->appends()) append.spooled = true;
  submission->appends()[1].replayed = true;
  const auto ack = [&](std::size_t i) {
    const Append& append = submission->appends()[i];
    return R"("id":")" + event_id_text(append.id) + R"(","timestamp":")" + timestamp_text(append.time) +
           R"(","spooled":true)";
  };
  EXPECT_EQ(submission->results(),
            R"({"results":[{"channel":"a",)" + ack(0) + R"(},{"channel":"b",)" + ack(1) + R"(,"replayed":true}]})");
  gateway_->count(*submission);
  EXPECT_EQ(gateway_->counters().total(Counter::publishes), 1U);
  EXPECT_EQ(gateway_->counters().total(Counter::spooled), 1U);
}

TEST_F(SubmissionTest, StoredEventsAreAppendedAsTheyAre) {
  const std::string body = R"({"type":"t","data":1})";
  const auto first = taken(gateway_->prepare("app", "room", body, {.idempotency_key = "k"}));
  const Append& prepared = first->appends().front();
  const std::string envelope(prepared.envelope.data(), prepared.envelope.size());
  Submission stored({{"app", "room", prepared.id, prepared.time, *prepared.key, envelope}});
  ASSERT_EQ(stored.appends().size(), 1U);
  const Append& append = stored.appends().front();
  EXPECT_EQ(append.app, "app");
  EXPECT_EQ(append.channel, "room");
  EXPECT_EQ(append.id, prepared.id);
  EXPECT_EQ(append.time, prepared.time);
  EXPECT_EQ(append.key->key, prepared.key->key);
  EXPECT_EQ(append.key->event_hash, prepared.key->event_hash);
  EXPECT_EQ(std::string(append.envelope.data(), append.envelope.size()), envelope);
}

}  // namespace
}  // namespace polyglot::core
