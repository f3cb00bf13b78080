#include "core/process_call.hpp"

#include <gtest/gtest.h>

#include "gateway_fixture.hpp"

namespace polyglot::core {
namespace {

using testing::GatewayTest;
using testing::taken;

class ProcessCallTest : public GatewayTest {
 protected:
  Submission& submit(std::string_view channel, std::string_view body = R"({"type":"t","data":{"a":1}})") {
    submissions_.push_back(taken(gateway_->prepare("app", channel, body, {"", "10.0.0.1", "alice"})));
    return *submissions_.back();
  }
  Submission& submit_batch(std::string_view body) {
    submissions_.push_back(taken(gateway_->prepare_batch("app", body, false, {})));
    return *submissions_.back();
  }
  ProcessCall call() {
    std::vector<Submission*> all;
    for (const auto& one : submissions_) all.push_back(one.get());
    return {all, [this](std::string_view, std::string_view channel) -> const ChannelRule& {
              return channel.starts_with("plain") ? plain_ : channel.starts_with("bypass") ? bypass_ : rule_;
            }};
  }
  static std::string envelope(const Append& append) { return {append.envelope.data(), append.envelope.size()}; }

  ChannelRule rule_{.max_event_bytes = 100};
  ChannelRule plain_{.processor = false};
  ChannelRule bypass_{.bypass_processor = true};
  std::vector<std::unique_ptr<Submission>> submissions_;
};

TEST_F(ProcessCallTest, HasTheEventsThatTheRulesWantProcessed) {
  submit("a");
  submit("plain");
  submit_batch(R"({"events":[{"channel":"no spaces","type":"t","data":1},{"channel":"plain","type":"t","data":1},)"
               R"({"channel":"b","type":"u","data":[2]}]})");
  const ProcessCall made = call();
  ASSERT_EQ(made.events().size(), 2U);
  EXPECT_EQ(made.events()[0].item->channel, "a");
  EXPECT_EQ(made.events()[0].submission->user_id(), "alice");
  EXPECT_EQ(made.events()[0].submission->source_ip(), "10.0.0.1");
  EXPECT_EQ(made.events()[1].item->event.data, "[2]");
  EXPECT_EQ(made.events()[1].append().channel, "b");
}

TEST_F(ProcessCallTest, WhatIsAcceptedIsKeptAsItIs) {
  const Submission& submission = submit("a");
  const std::string before = envelope(submission.appends()[0]);
  call().finish();
  EXPECT_EQ(envelope(submission.appends()[0]), before);
}

TEST_F(ProcessCallTest, OtherDataTakeTheirPlaceAndNothingElseChanges) {
  for (const std::string_view type : {R"("t")", R"("\u00e9\"\\")", R"("data\":")"}) {
    Submission& submission = submit("a", R"({"type":)" + std::string(type) + R"(,"data":{"a":1}})");
    const std::string before = envelope(submission.appends()[0]);
    ProcessCall made = call();
    made.replace(made.events().size() - 1, " [\"\u00fc\", 123456789012345678901234567890] \n");
    made.finish();
    std::string expected = before;
    expected.replace(expected.find(R"({"a":1})"), 7, "[\"\u00fc\", 123456789012345678901234567890]");
    EXPECT_EQ(envelope(submission.appends()[0]), expected);
    ASSERT_TRUE(gateway_->append(submission).ok());
    EXPECT_EQ(submission.outcome().code(), Code::ok);
    HistoryPage page;
    EXPECT_NE(taken(gateway_->history("app", "a", {}, page)).find(expected), std::string::npos);
  }
}

TEST_F(ProcessCallTest, DataThatCouldNotHaveBeenSentRefuseTheirEventAlone) {
  for (const char* wrong : {"", "{", "1 2", "1},{\"x\":2", "NaN", "\"\xff\"",
                            "\xef\xbb\xbf"
                            "1"}) {
    submissions_.clear();
    const Submission& bad = submit("a");
    const Submission& good = submit("a");
    ProcessCall made = call();
    made.replace(0, wrong);
    made.replace(1, "2");
    made.finish();
    EXPECT_TRUE(bad.appends().empty());
    EXPECT_EQ(bad.outcome().code(), Code::event_rejected) << wrong;
    EXPECT_NE(bad.outcome().message().find("strict JSON"), std::string::npos);
    EXPECT_TRUE(good.outcome().ok());
  }
  submissions_.clear();
  const Submission& fits = submit("a");
  const Submission& large = submit("a");
  ProcessCall made = call();
  const std::string most(100 - kEventWrapping - 3, '1');  // beside the type, which has three bytes
  made.replace(0, most);
  made.replace(1, most + "1");
  made.finish();
  EXPECT_TRUE(fits.outcome().ok());
  EXPECT_EQ(large.outcome().code(), Code::payload_too_large);
  EXPECT_NE(large.outcome().message().find("processor"), std::string::npos);
}

TEST_F(ProcessCallTest, OfABatchTheRestIsKeptAndToldInOrder) {
  Submission& batch =
      submit_batch(R"({"events":[{"channel":"no spaces","type":"t","data":1},{"channel":"a","type":"t","data":2},)"
                   R"({"channel":"b","type":"t","data":3},{"channel":"plain","type":"t","data":4}]})");
  ProcessCall made = call();
  ASSERT_EQ(made.events().size(), 2U);
  made.reject(0, "it is a test");
  made.replace(1, "33");
  made.finish();
  ASSERT_EQ(batch.appends().size(), 2U);
  ASSERT_TRUE(gateway_->append(batch).ok());
  const std::string results = batch.results();
  const std::size_t first = results.find("invalid_channel");
  const std::size_t second = results.find(
      R"({"channel":"a","code":"event_rejected","error":"The processor refused the event: it is a test","status":422})");
  const std::size_t third = results.find(R"({"channel":"b","id":)");
  const std::size_t fourth = results.find(R"({"channel":"plain","id":)");
  EXPECT_LT(first, second);
  EXPECT_LT(second, third);
  EXPECT_LT(third, fourth);
  EXPECT_NE(fourth, std::string::npos);
  gateway_->count(batch);
  EXPECT_EQ(gateway_->counters().total(Counter::publishes), 2U);
}

TEST_F(ProcessCallTest, AFailureSparesThoseThatMayBypass) {
  const Submission& refused = submit("a");
  const Submission& bypasses = submit("bypass");
  const Submission& plain = submit("plain");
  ProcessCall made = call();
  made.fail({Code::processor_unavailable, "It does not answer."});
  made.finish();
  EXPECT_EQ(refused.outcome().code(), Code::processor_unavailable);
  EXPECT_EQ(bypasses.appends().size(), 1U);
  EXPECT_EQ(plain.appends().size(), 1U);
}

TEST_F(ProcessCallTest, AKeyIsOfWhatWasSent) {
  const auto send = [this](std::string_view data) {
    submissions_.clear();
    submissions_.push_back(taken(gateway_->prepare("app", "a", R"({"type":"t","data":)" + std::string(data) + "}",
                                                   Sender{.idempotency_key = "k"})));
    ProcessCall made = call();
    made.replace(0, "0");
    made.finish();
    EXPECT_TRUE(gateway_->append(*submissions_.back()).ok());
    return submissions_.back()->appends()[0];
  };
  EXPECT_FALSE(send("1").replayed);
  EXPECT_TRUE(send("1").replayed);
  EXPECT_EQ(send("2").status.code(), Code::idempotency_mismatch);
}

}  // namespace
}  // namespace polyglot::core
