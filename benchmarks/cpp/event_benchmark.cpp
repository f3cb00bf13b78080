// What a publish does to an event before history has it.
#include <benchmark/benchmark.h>

#include <string>

#include "core/event.hpp"
#include "sample.hpp"

namespace polyglot::core {
namespace {

constexpr TimeUs kNow = 1763404796107549;

void ParseEvent(benchmark::State& state) {
  const std::string body(kSampleBody);
  for (auto _ : state) {
    benchmark::DoNotOptimize(parse_event(body));
  }
}
BENCHMARK(ParseEvent);

void ParseBatchOf100(benchmark::State& state) {
  std::string body = R"({"events":[)";
  for (int i = 0; i < 100; ++i) {
    body.append(i == 0 ? R"({"channel":"room:test",)" : R"(,{"channel":"room:test",)").append(kSampleBody.substr(1));
  }
  body.append("]}");
  for (auto _ : state) {
    benchmark::DoNotOptimize(parse_batch(body));
  }
  state.SetItemsProcessed(state.iterations() * 100);
}
BENCHMARK(ParseBatchOf100);

void AppendEnvelope(benchmark::State& state) {
  EventIds ids;
  const EventMeta meta{.app = "demo-app",
                       .channel = "room:test",
                       .id = ids.next(kNow),
                       .time = kNow,
                       .user_id = "",
                       .source_ip = "127.0.0.1"};
  const std::string body(kSampleBody);
  const SentEvent event = parse_event(body).value();
  std::string out;
  for (auto _ : state) {
    out.clear();
    append_envelope(out, meta, event);
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(AppendEnvelope);

void NextEventId(benchmark::State& state) {
  EventIds ids;
  TimeUs now = kNow;
  for (auto _ : state) {
    benchmark::DoNotOptimize(ids.next(now++));
  }
}
BENCHMARK(NextEventId);

void WriteTimestamp(benchmark::State& state) {
  char out[kTimestampLength];
  TimeUs now = kNow;
  for (auto _ : state) {
    write_timestamp(now++, out);
    benchmark::DoNotOptimize(out);
  }
}
BENCHMARK(WriteTimestamp);

}  // namespace
}  // namespace polyglot::core
