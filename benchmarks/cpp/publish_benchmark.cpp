// What a publish costs inside the process: the budget is 500 ns, the aim 300 ns, with the key's check.
#include <benchmark/benchmark.h>

#include "core/gateway.hpp"
#include "data_folder.hpp"
#include "sample.hpp"

namespace polyglot::core {
namespace {

constexpr std::string_view kKey = "valid_key_demo-app";

class Publish : public benchmark::Fixture {
 public:
  void SetUp(const benchmark::State&) override {
    folder_ = std::make_unique<DataFolder>();
    gateway_ = value_or_exit(Gateway::open({.segment = folder_->options()}));
    Access access;
    access.add_key(kApp, sha256(kKey), kPublish);
    gateway_->configure(std::move(access), Rules());
    for (int i = 0; i < 100'000; ++i) publish();
  }
  void TearDown(const benchmark::State&) override {
    gateway_.reset();
    folder_.reset();
  }

 protected:
  Ack publish() { return value_or_exit(gateway_->publish(kApp, kChannel, kSampleBody, {.source_ip = "127.0.0.1"})); }

  std::unique_ptr<DataFolder> folder_;
  std::unique_ptr<Gateway> gateway_;
};

BENCHMARK_F(Publish, Event)(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(publish());
  state.SetItemsProcessed(state.iterations());
}

// All that the core does for a request: key, publish, the reply's body.
BENCHMARK_F(Publish, EventWithKeyAndReply)(benchmark::State& state) {
  std::string reply;
  for (auto _ : state) {
    if (!gateway_->authorize(kApp, kChannel, kKey, kPublish).ok()) state.SkipWithError("the key was refused");
    reply.clear();
    append_ack_json(reply, publish());
    benchmark::DoNotOptimize(reply.data());
  }
  state.SetItemsProcessed(state.iterations());
}

BENCHMARK_F(Publish, EventWithIdempotencyKeyReplayed)(benchmark::State& state) {
  const Sender sender{.idempotency_key = "3f0c1c9e-7f0b-4a57-9f39-2a1a64f3a5c1", .source_ip = "127.0.0.1"};
  for (auto _ : state) benchmark::DoNotOptimize(value_or_exit(gateway_->publish(kApp, kChannel, kSampleBody, sender)));
  state.SetItemsProcessed(state.iterations());
}

// Its items are events: the figure to compare is 1 / items_per_second.
BENCHMARK_F(Publish, BatchOf100)(benchmark::State& state) {
  std::string body = R"({"events":[)";
  for (int i = 0; i < 100; ++i) {
    body.append(i == 0 ? R"({"channel":")" : R"(,{"channel":")")
        .append(kChannel)
        .append("\",")
        .append(kSampleBody.substr(1));
  }
  body.append("]}");
  for (auto _ : state)
    benchmark::DoNotOptimize(value_or_exit(gateway_->publish_batch(kApp, body, false, {.source_ip = "127.0.0.1"})));
  state.SetItemsProcessed(state.iterations() * 100);
}

}  // namespace
}  // namespace polyglot::core
