// kill -9 of one writer or of all, at random instants under load: nothing acknowledged is lost, nothing torn is read,
// no offset is repeated or skipped, no lock stays held. Not the test of one header but of the promise.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <random>
#include <thread>

#include "core/gateway.hpp"
#include "core/recovery.hpp"
#include "temporary.hpp"

namespace polyglot::core::testing {
namespace {

constexpr int kWriters = 3;
constexpr int kChannels = 4;
constexpr std::size_t kAcks = 200000;

int rounds() {
  const char* wanted = std::getenv("CRASH_ROUNDS");
  return wanted == nullptr ? 200 : std::atoi(wanted);
}

// What writers tell the parent, in memory that outlives them.
struct Shared {
  struct Acknowledged {
    std::uint32_t channel;
    std::uint32_t number;  // the writer's own count, also in the event's data
    std::uint64_t offset;
    std::uint64_t epoch;
  };
  struct Writer {
    std::atomic<std::size_t> count;
    std::array<Acknowledged, kAcks> acks;
  };
  std::array<Writer, kWriters> writers;
  std::atomic<std::uint64_t> reads;
  std::atomic<std::uint64_t> bad_reads;
};

std::string channel_name(std::uint32_t channel) {
  return "room:" + std::to_string(channel);
}

// Data that shows a tear: the number at both ends and a run of one letter between.
std::string data_of(int writer, std::uint32_t number) {
  const std::string mark = std::to_string(writer) + "." + std::to_string(number);
  return mark + ":" + std::string(number % 700, static_cast<char>('a' + number % 26)) + ":" + mark;
}

bool data_is_whole(std::string_view data) {
  const std::size_t first = data.find(':'), second = data.rfind(':');
  if (first == std::string_view::npos || second <= first) return false;
  if (data.substr(0, first) != data.substr(second + 1)) return false;
  const std::string_view run = data.substr(first + 1, second - first - 1);
  return run.find_first_not_of(run.empty() ? ' ' : run.front()) == std::string_view::npos;
}

std::string_view data_in(std::string_view event) {
  const std::size_t begin = event.find("\"data\":\"") + 8;
  return event.substr(begin, event.find("\",\"meta\"") - begin);
}

GatewayOptions options_for(const TemporaryFolder& folder) {
  GatewayOptions options;
  options.segment = small_options(folder.path());
  options.segment.history_size = 16383;
  options.segment.history_bytes = std::uint64_t{8} << 20;
  return options;
}

[[noreturn]] void write_until_killed(const GatewayOptions& options, Shared::Writer& told, int writer, unsigned seed) {
  auto gateway = Gateway::open(options);
  if (!gateway.ok()) _exit(1);
  std::mt19937 random(seed);
  for (std::uint32_t number = 0; told.count < kAcks; ++number) {
    const std::uint32_t channel = random() % kChannels;
    const std::string body = R"({"type":"t","data":")" + data_of(writer, number) + "\"}";
    const auto ack = gateway.value()->publish("app", channel_name(channel), body, {});
    if (!ack.ok()) _exit(2);
    told.acks[told.count] = {channel, number, ack->offset, ack->epoch};
    told.count.fetch_add(1, std::memory_order_release);
  }
  _exit(0);
}

[[noreturn]] void read_until_killed(const GatewayOptions& options, Shared& shared) {
  auto gateway = Gateway::open(options);
  if (!gateway.ok()) _exit(1);
  HistoryPage page;
  for (std::uint32_t turn = 0;; ++turn) {
    const std::string channel = channel_name(turn / 2 % kChannels);
    // The newest, where writers die, and the oldest, which they overwrite.
    const auto last = gateway.value()->channel("app", channel)->last;
    const std::uint64_t since = turn % 2 == 0 || last < 20 ? 0 : last - 20;
    const Status status = gateway.value()->read("app", channel, {.limit = 50, .since = since}, page);
    bool good = status.ok();
    for (std::size_t i = 0; i < page.items.size(); ++i) {
      const HistoryItem& item = page.items[i];
      const std::string_view event(page.bytes.data() + item.begin, item.size);
      good = good && (i == 0 || item.offset == page.items[i - 1].offset + 1) && data_is_whole(data_in(event)) &&
             event.ends_with("\"offset\":" + std::to_string(item.offset) + "}");
      shared.reads.fetch_add(1, std::memory_order_relaxed);
    }
    if (!good) shared.bad_reads.fetch_add(1, std::memory_order_relaxed);
  }
}

TEST(CrashTest, NothingAcknowledgedIsLostWhenWritersAreKilled) {
  const TemporaryFolder folder;
  const GatewayOptions options = options_for(folder);
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto& shared = *new (memory) Shared();
  std::mt19937 random(std::random_device{}());
  std::uint64_t acknowledged = 0, checked = 0, repairs = 0;

  for (int round = 0; round < rounds(); ++round) {
    const bool kill_all = round % 5 == 4;  // then the next opener is the first, and verifies
    std::unique_ptr<Gateway> survivor;
    if (!kill_all) survivor = std::move(Gateway::open(options)).value();
    for (auto& writer : shared.writers) writer.count = 0;
    std::array<pid_t, kWriters + 1> children{};
    for (int i = 0; i <= kWriters; ++i) {
      const unsigned seed = random();
      children[static_cast<std::size_t>(i)] = fork();
      if (children[static_cast<std::size_t>(i)] != 0) continue;
      if (i == kWriters) read_until_killed(options, shared);
      write_until_killed(options, shared.writers[static_cast<std::size_t>(i)], i, seed);
    }
    // Kill at a random instant after every writer has begun.
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < deadline &&
           std::any_of(shared.writers.begin(), shared.writers.end(), [](const auto& w) { return w.count < 20; })) {
      std::this_thread::yield();
    }
    const auto instant = std::chrono::steady_clock::now() + std::chrono::microseconds(random() % 3000);
    while (std::chrono::steady_clock::now() < instant) {
    }
    kill(children[0], SIGKILL);
    if (survivor) {
      // No lock stays held: the next append goes through at once.
      const auto began = std::chrono::steady_clock::now();
      ASSERT_TRUE(survivor->publish("app", channel_name(0), R"({"type":"t","data":"9.9::9.9"})", {}).ok());
      ASSERT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(1));
    }
    for (std::size_t i = 1; i < children.size(); ++i) kill(children[i], SIGKILL);
    for (const pid_t child : children) {
      int status = 0;
      waitpid(child, &status, 0);
      ASSERT_TRUE(WIFSIGNALED(status)) << "a writer or reader ended by itself, with " << WEXITSTATUS(status);
    }

    auto gateway = survivor ? std::move(survivor) : std::move(Gateway::open(options)).value();
    ASSERT_TRUE(gateway->segment().notices().empty()) << gateway->segment().notices().front();
    std::array<HistoryPage, kChannels> pages;
    for (std::uint32_t channel = 0; channel < kChannels; ++channel) {
      const auto state = gateway->channel("app", channel_name(channel));
      HistoryPage& page = pages[channel];
      // All that the channel still holds, 1000 at a time.
      for (std::uint64_t since = state->first - 1; since < state->last;) {
        HistoryPage part;
        ASSERT_TRUE(gateway->read("app", channel_name(channel), {.limit = 1000, .since = since}, part).ok());
        ASSERT_FALSE(part.items.empty());
        for (const HistoryItem& item : part.items) {
          ASSERT_EQ(item.offset, ++since);
          page.items.push_back({item.offset, item.time, page.bytes.size(), item.size});
          page.bytes.append(part.bytes.text().substr(item.begin, item.size));
        }
        page.epoch = part.epoch;
        page.first = page.items.front().offset;
      }
    }
    for (int writer = 0; writer < kWriters; ++writer) {
      const Shared::Writer& told = shared.writers[static_cast<std::size_t>(writer)];
      acknowledged += told.count;
      for (std::size_t i = 0; i < told.count; ++i) {
        const Shared::Acknowledged& ack = told.acks[i];
        const HistoryPage& page = pages[ack.channel];
        ASSERT_EQ(ack.epoch, page.epoch);
        ASSERT_LE(ack.offset, page.items.back().offset) << "an acknowledged event is lost";
        if (ack.offset < page.first) continue;  // overwritten by newer ones, and said so
        const HistoryItem& item = page.items[ack.offset - page.first];
        const std::string_view event(page.bytes.data() + item.begin, item.size);
        ASSERT_EQ(data_in(event), data_of(writer, ack.number));
        ++checked;
      }
    }
    repairs = gateway->counters().total(Counter::repairs);
  }
  EXPECT_EQ(shared.bad_reads, 0U);
  EXPECT_GT(shared.reads, 0U);
  std::printf(
      "%d rounds: %llu acknowledged, %llu of them still in history and right, %llu events read beside, %llu repairs\n",
      rounds(), static_cast<unsigned long long>(acknowledged), static_cast<unsigned long long>(checked),
      static_cast<unsigned long long>(shared.reads.load()), static_cast<unsigned long long>(repairs));
  munmap(memory, sizeof(Shared));
}

}  // namespace
}  // namespace polyglot::core::testing
