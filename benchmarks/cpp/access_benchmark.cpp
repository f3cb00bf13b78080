// The check of a 20-byte API key.
#include <benchmark/benchmark.h>

#include <string>

#include "core/access.hpp"

namespace polyglot::core {
namespace {

constexpr std::string_view kKey = "pk_0123456789abcdefg";
static_assert(kKey.size() == 20);

void Sha256(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(sha256(kKey));
  }
}
BENCHMARK(Sha256);

void Sha256Portable(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(sha256_portable(kKey));
  }
}
BENCHMARK(Sha256Portable);

void CheckKey(benchmark::State& state) {
  Access access;
  for (std::int64_t i = 1; i < state.range(0); ++i) {
    access.add_key("demo-app", sha256(std::to_string(i)), kPublish);
  }
  access.add_key("demo-app", sha256(kKey), kPublish);
  for (auto _ : state) {
    benchmark::DoNotOptimize(access.check("demo-app", kKey, kPublish, 0));
  }
}
BENCHMARK(CheckKey)->ArgName("keys")->Arg(1)->Arg(10);

void CheckKeyOfTheRequestBefore(benchmark::State& state) {
  Access access;
  access.add_key("demo-app", sha256(kKey), kPublish);
  ApiKey key;
  for (auto _ : state) {
    key.set(kKey);
    benchmark::DoNotOptimize(access.check("demo-app", key, kPublish, 0));
  }
}
BENCHMARK(CheckKeyOfTheRequestBefore);

void CheckDevelopmentKey(benchmark::State& state) {
  Access access(true);
  for (auto _ : state) {
    benchmark::DoNotOptimize(access.check("demo-app", "valid_key_demo-app", kPublish, 0));
  }
}
BENCHMARK(CheckDevelopmentKey);

}  // namespace
}  // namespace polyglot::core
