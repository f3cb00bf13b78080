// The queue alone; the test is the server's thread, and the processor. server_test_processing.cpp has it between two.
#include "server/process_queue.hpp"

#include <optional>

#include "gateway_fixture.hpp"

namespace polyglot::server {
namespace {

using core::testing::taken;

class ProcessQueueTest : public core::testing::GatewayTest {
 protected:
  void SetUp() override { stopped_.reset(); }
  // A request with so many events for the channel.
  void push(std::string_view channel, std::size_t events = 1, std::shared_ptr<void> kept = nullptr) {
    const std::string event = R"({"type":"t","data":1,"channel":")" + std::string(channel) + "\"}";
    std::string body = R"({"events":[)" + event;
    for (std::size_t i = 1; i < events; ++i) body.append(",").append(event);
    auto texts = std::make_unique<const std::string>(body + "]}");
    auto submission = taken(gateway_->prepare_batch("app", *texts, false, {}));
    auto places = queue_.places_of(*submission);
    const core::Status pushed = queue_.push(
        {std::move(texts), std::move(submission)}, std::move(places),
        [this, kept = std::move(kept)](const OwnedSubmission& back) { done_ += back.submission->appends().size(); });
    ASSERT_TRUE(pushed.ok()) << pushed.message();
  }
  // What is given out now; finished, but not given back.
  std::vector<std::shared_ptr<ProcessQueue::Batch>> take() {
    std::vector<std::shared_ptr<ProcessQueue::Batch>> batches;
    while (auto batch = queue_.take()) batches.push_back(std::move(batch));
    for (const auto& batch : batches) batch->call->finish();
    return batches;
  }
  void finish(const std::shared_ptr<ProcessQueue::Batch>& batch) {
    queue_.finish(batch);
    io_.restart();
    io_.poll();
  }

  // Its time does not go on, however long what follows takes. It is one that no timer of the loop reaches.
  void stop_clock() { stopped_ = ProcessQueue::Clock::now() + std::chrono::hours(1); }

  inline static std::optional<ProcessQueue::Clock::time_point> stopped_;
  boost::asio::io_context io_;
  ProcessQueue queue_{io_, *gateway_, 3, [] { return stopped_.value_or(ProcessQueue::Clock::now()); }};
  std::size_t done_ = 0;
};

TEST_F(ProcessQueueTest, ABatchHasNoMoreEventsThanAProcessorTakes) {
  for (const char* channel : {"a", "b", "c"}) push(channel, kManyToProcess);
  const auto away = take();
  ASSERT_EQ(away.size(), 3U);
  for (const char* channel : {"d", "e"}) push(channel, 600);
  finish(away.front());
  const auto next = take();
  ASSERT_EQ(next.size(), 1U);
  EXPECT_EQ(next.front()->call->events().size(), 600U);
}

TEST_F(ProcessQueueTest, WhoeverHoldsABatchThatIsBackHoldsNothingOfTheServers) {
  std::weak_ptr<int> kept;
  {
    auto connection = std::make_shared<int>();
    kept = connection;
    push("a", 1, std::move(connection));
  }
  const auto batches = take();
  ASSERT_EQ(batches.size(), 1U);
  finish(batches.front());
  EXPECT_EQ(done_, 1U);
  EXPECT_TRUE(kept.expired()) << "it would end on a thread of the processor's";
}

TEST_F(ProcessQueueTest, WhatWaitsForItsChannelLeavesTheOthersTheirGathering) {
  stop_clock();
  push("a");
  const auto first = take();
  push("a", kManyToProcess);
  EXPECT_TRUE(take().empty());
  push("b");
  EXPECT_TRUE(take().empty()) << "it alone is not much";
  finish(first.front());
  const auto second = take();
  ASSERT_EQ(second.size(), 1U);
  EXPECT_EQ(second.front()->call->events().size(), kManyToProcess + 1);
}

TEST_F(ProcessQueueTest, NobodyOvertakesWhoWaitsForAnother) {
  push("a");
  const auto first = take();
  push("b", kManyToProcess);
  const auto second = take();
  const std::string both = R"({"events":[{"channel":"a","type":"t","data":1},{"channel":"c","type":"t","data":1}]})";
  auto texts = std::make_unique<const std::string>(both);
  auto submission = taken(gateway_->prepare_batch("app", *texts, false, {}));
  auto places = queue_.places_of(*submission);
  ASSERT_TRUE(
      queue_.push({std::move(texts), std::move(submission)}, std::move(places), [](const OwnedSubmission&) {}).ok());
  push("c", kManyToProcess);
  EXPECT_TRUE(take().empty()) << "the one before it waits for a";
  finish(second.front());
  EXPECT_TRUE(take().empty());
  finish(first.front());
  const auto third = take();
  ASSERT_EQ(third.size(), 1U);
  ASSERT_EQ(third.front()->call->events().size(), kManyToProcess + 2);
  EXPECT_EQ(third.front()->call->events().front().item->channel, "a");
}

// To look at all of them for each that comes would take minutes.
TEST_F(ProcessQueueTest, AsManyAsMayWaitForOneChannelAreNoBurden) {
  push("a");
  auto batches = take();
  for (std::size_t i = 1; i < kMaxProcessWaiting && !HasFatalFailure(); ++i) push("a");
  while (!batches.empty()) {
    finish(batches.front());
    batches = take();
  }
  EXPECT_EQ(done_, kMaxProcessWaiting);
}

}  // namespace
}  // namespace polyglot::server
