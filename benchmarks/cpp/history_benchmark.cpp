// What reading costs: a history reply of 100 events, a follower's read of the newest event, and a look at the feed.
#include <benchmark/benchmark.h>

#include "core/gateway.hpp"
#include "data_folder.hpp"
#include "sample.hpp"

namespace polyglot::core {
namespace {

class Reading : public benchmark::Fixture {
 public:
  void SetUp(const benchmark::State&) override {
    folder_ = std::make_unique<DataFolder>();
    gateway_ = value_or_exit(Gateway::open({.segment = folder_->options()}));
    for (int i = 0; i < 100'000; ++i) publish();
  }
  void TearDown(const benchmark::State&) override {
    gateway_.reset();
    folder_.reset();
  }

 protected:
  std::uint64_t publish() {
    return value_or_exit(gateway_->publish(kApp, kChannel, kSampleBody, {.source_ip = "127.0.0.1"})).offset;
  }

  std::unique_ptr<DataFolder> folder_;
  std::unique_ptr<Gateway> gateway_;
};

// Its items are events.
BENCHMARK_F(Reading, HistoryOf100)(benchmark::State& state) {
  HistoryPage page;
  for (auto _ : state) benchmark::DoNotOptimize(value_or_exit(gateway_->history(kApp, kChannel, {}, page)));
  state.SetItemsProcessed(state.iterations() * 100);
}

BENCHMARK_F(Reading, ReadOfOneEvent)(benchmark::State& state) {
  const std::uint64_t last = publish();
  HistoryPage page;
  for (auto _ : state) {
    if (!gateway_->read(kApp, kChannel, {.since = last - 1}, page).ok()) state.SkipWithError("not read");
    benchmark::DoNotOptimize(page.bytes.data());
  }
  if (page.items.size() != 1) state.SkipWithError("one event was wanted");
  state.SetItemsProcessed(state.iterations());
}

BENCHMARK_F(Reading, PollWithoutNews)(benchmark::State& state) {
  const auto feed = value_or_exit(gateway_->follow());
  for (auto _ : state) benchmark::DoNotOptimize(feed->poll());
  state.SetItemsProcessed(state.iterations());
}

// Publishes and polls in turn, as a worker does that is kept busy by others; the publish is part of the figure.
BENCHMARK_F(Reading, PublishAndPoll)(benchmark::State& state) {
  const auto feed = value_or_exit(gateway_->follow());
  for (auto _ : state) {
    publish();
    const FeedNews news = feed->poll();
    if (news.channels.size() != 1) state.SkipWithError("one channel was wanted");
  }
  state.SetItemsProcessed(state.iterations());
}

}  // namespace
}  // namespace polyglot::core
