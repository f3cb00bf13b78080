// What it costs to append a record of 250 bytes to the shared log: alone the budget is 60 ns and the aim 40 ns, with
// two processes at full tilt on one channel 250 and 180 ns.
#include <benchmark/benchmark.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>

#include "core/history.hpp"
#include "data_folder.hpp"

namespace polyglot::core {
namespace {

constexpr std::size_t kEnvelope = 250 - 3;  // its end, such as `42}`, comes with the offset

class Appender {
 public:
  explicit Appender(const DataFolder& folder)
      : segment_(value_or_exit(Segment::open(folder.options()))), history_(*segment_) {
    bytes_.fill('x');
    for (int i = 0; i < 100'000; ++i) append();
  }
  void append() {
    append_.envelope = {bytes_.data(), kEnvelope};  // an append adds the end
    history_.append({&append_, 1});
    benchmark::DoNotOptimize(append_.offset);
  }

 private:
  std::unique_ptr<Segment> segment_;
  History history_;
  std::array<char, kEnvelope + kMaxOffsetLength> bytes_;
  Append append_{.app = kApp, .channel = kChannel, .id = {}, .time = 1};
};

void BM_AppendAlone(benchmark::State& state) {
  const DataFolder folder;
  Appender appender(folder);
  for (auto _ : state) appender.append();
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_AppendAlone);

// What the other process shares with this one besides the segment.
struct Contest {
  std::atomic<std::uint64_t> appended{0};
};

// The child appends as fast as it can for as long as the parent measures; the counter says that it did.
void BM_AppendWithAnotherProcess(benchmark::State& state) {
  const DataFolder folder;
  void* shared = mmap(nullptr, sizeof(Contest), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return state.SkipWithError("mmap");
  auto* contest = new (shared) Contest;
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) return state.SkipWithError("fork");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    Appender appender(folder);
    for (;;) {
      appender.append();
      contest->appended.fetch_add(1, std::memory_order_relaxed);
    }
  }
  Appender appender(folder);
  while (contest->appended.load(std::memory_order_relaxed) == 0) {
    if (waitpid(child, nullptr, WNOHANG) != 0) return state.SkipWithError("the other process ended");
  }
  const std::uint64_t before = contest->appended.load(std::memory_order_relaxed);
  for (auto _ : state) appender.append();
  const std::uint64_t others = contest->appended.load(std::memory_order_relaxed) - before;
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  munmap(shared, sizeof(Contest));
  state.SetItemsProcessed(state.iterations());
  state.counters["others"] = static_cast<double>(others) / static_cast<double>(state.iterations());
}
// Real time: what counts is how long a worker is held up, waiting included.
BENCHMARK(BM_AppendWithAnotherProcess)->UseRealTime();

}  // namespace
}  // namespace polyglot::core
