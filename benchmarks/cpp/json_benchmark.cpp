// The strict check of one event and of one large body.
#include <benchmark/benchmark.h>

#include <string>

#include "core/json.hpp"
#include "sample.hpp"

namespace polyglot::core {
namespace {

void check(benchmark::State& state, const std::string& text) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(check_json(text));
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
}

void CheckUtf8Event(benchmark::State& state) {
  const std::string text(kSampleBody);
  for (auto _ : state) {
    benchmark::DoNotOptimize(check_utf8(text));
  }
}
BENCHMARK(CheckUtf8Event);

void CheckJsonEvent(benchmark::State& state) {
  check(state, std::string(kSampleBody));
}
BENCHMARK(CheckJsonEvent);

void CheckJson64KiB(benchmark::State& state) {
  std::string text = "[";
  while (text.size() + kSampleBody.size() + 2 < 65536) {
    text.append(kSampleBody).append(",");
  }
  check(state, text.append("0]"));
}
BENCHMARK(CheckJson64KiB);

}  // namespace
}  // namespace polyglot::core
