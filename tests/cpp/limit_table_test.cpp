#include "core/limit_table.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "temporary.hpp"

namespace polyglot::core {
namespace {

using testing::open_segment;
using testing::small_options;
using testing::taken;
using testing::TemporaryFolder;

constexpr std::int64_t kSecond = 1'000'000'000;

std::atomic<std::int64_t> now_ns{kSecond};
std::int64_t clock_ns() {
  return now_ns.load();
}

// What a worker has of it.
struct Worker {
  explicit Worker(const std::string& folder)
      : segment(open_segment(small_options(folder))), table(taken(LimitTable::open(*segment, clock_ns))) {}

  std::uint32_t count(std::string_view app, Quota quota = Quota::connections) const {
    const auto place = table->find(app);
    return place ? table->count(place->slot(), quota) : 0;
  }
  bool is_full(std::string_view app, std::uint32_t most) const {
    const auto hold = table->hold(app, Quota::connections, most);
    return !hold.ok() && hold.status().code() == Code::rate_limited;
  }

  std::unique_ptr<Segment> segment;
  std::unique_ptr<LimitTable> table;
};

class LimitTableTest : public ::testing::Test {
 protected:
  std::string file() const { return folder_.path() + "/limits.pgs"; }

  // What `act` returns in another process with a worker of its own, which is killed then.
  template <typename Act>
  int in_killed_worker(Act act) {
    int pipe_ends[2];
    EXPECT_EQ(pipe(pipe_ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      const Worker worker(folder_.path());
      const int answer = act(worker);
      if (write(pipe_ends[1], &answer, sizeof(answer)) != sizeof(answer)) _exit(1);
      for (;;) pause();
    }
    int answer = -1;
    EXPECT_EQ(read(pipe_ends[0], &answer, sizeof(answer)), static_cast<ssize_t>(sizeof(answer)));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    return answer;
  }

  TemporaryFolder folder_;
};

TEST_F(LimitTableTest, WorkersCountTogether) {
  const Worker one(folder_.path()), two(folder_.path());
  const Hold first = taken(one.table->hold("app", Quota::connections, 2));
  const Hold second = taken(two.table->hold("app", Quota::connections, 2));
  for (const Worker* worker : {&one, &two}) {
    EXPECT_EQ(worker->count("app"), 2U);
    EXPECT_TRUE(worker->is_full("app", 2));
    EXPECT_EQ(worker->count("app"), 2U);
    EXPECT_EQ(worker->count("app", Quota::subscriptions), 0U);
    EXPECT_EQ(worker->count("other"), 0U);
    EXPECT_FALSE(worker->is_full("other", 1));
  }
}

TEST_F(LimitTableTest, WhatEndsIsFree) {
  const Worker worker(folder_.path());
  Hold kept = taken(worker.table->hold("app", Quota::connections, 1));
  {
    const Hold moved = std::move(kept);
    EXPECT_TRUE(worker.is_full("app", 1));
  }
  EXPECT_EQ(worker.count("app"), 0U);
  EXPECT_FALSE(worker.is_full("app", 1));
}

TEST_F(LimitTableTest, AnyNumberIsCountedWhereThereIsNoMost) {
  const Worker worker(folder_.path());
  std::vector<Hold> holds;
  for (int i = 0; i < 100; ++i) holds.push_back(taken(worker.table->hold("app", Quota::subscriptions, 0)));
  EXPECT_EQ(worker.count("app", Quota::subscriptions), 100U);
  EXPECT_FALSE(worker.table->hold("app", Quota::subscriptions, 100).ok());  // a limit that comes with a reload
}

TEST_F(LimitTableTest, WhatAKilledWorkerHadIsFree) {
  const Worker worker(folder_.path());
  const Hold own = taken(worker.table->hold("app", Quota::connections, 0));
  const int counted = in_killed_worker([](const Worker& other) {
    for (int i = 0; i < 4; ++i) new Hold(taken(other.table->hold("app", Quota::connections, 5)));
    return other.is_full("app", 5) ? 1 : 0;
  });
  EXPECT_EQ(counted, 1);
  EXPECT_EQ(worker.count("app"), 1U);
  const Worker next(folder_.path());  // it gets the dead one's number
  EXPECT_EQ(next.count("app"), 1U);
  EXPECT_FALSE(next.is_full("app", 2));
}

TEST_F(LimitTableTest, WhatADeadWorkerHadDoesNotCountForOneThatCountsElsewhere) {
  const Worker worker(folder_.path());
  in_killed_worker([](const Worker& other) {
    new Hold(taken(other.table->hold("app", Quota::connections, 5)));
    return 0;
  });
  const auto segment = open_segment(small_options(folder_.path()));  // of a version that has no limits
  EXPECT_EQ(worker.count("app"), 0U);
}

TEST_F(LimitTableTest, SeveralThreadsAndProcessesGetExactlyTheMost) {
  const Worker worker(folder_.path());
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const pid_t child = fork();
  const auto fill = [](const Worker& own) {
    std::vector<Hold> held;
    std::mutex mutex;
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&] {
        for (auto hold = own.table->hold("app", Quota::connections, 300); hold.ok();
             hold = own.table->hold("app", Quota::connections, 300)) {
          const std::lock_guard guard(mutex);
          held.push_back(std::move(hold).value());
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    return held;
  };
  if (child == 0) {
    const Worker other(folder_.path());
    const std::vector<Hold> held = fill(other);
    const std::uint64_t got = held.size();
    if (write(pipe_ends[1], &got, sizeof(got)) != sizeof(got)) _exit(1);
    for (;;) pause();
  }
  const std::vector<Hold> held = fill(worker);
  const std::uint64_t own = held.size();
  std::uint64_t others = 0;
  ASSERT_EQ(read(pipe_ends[0], &others, sizeof(others)), static_cast<ssize_t>(sizeof(others)));
  EXPECT_EQ(own + others, 300U);
  EXPECT_EQ(worker.count("app"), 300U);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_EQ(worker.count("app"), own);
}

TEST_F(LimitTableTest, OfThoseWhoComeAtOnceForTheLastPlaceOneGetsIt) {
  const Worker one(folder_.path()), two(folder_.path());
  for (int round = 0; round < 500; ++round) {
    const std::string app = "app" + std::to_string(round);
    std::barrier begin(4);
    std::atomic<int> got{0};
    std::vector<Hold> holds(4);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < holds.size(); ++i) {
      threads.emplace_back([&, i] {
        begin.arrive_and_wait();
        auto hold = (i % 2 == 0 ? one : two).table->hold(app, Quota::connections, 1);
        if (!hold.ok()) return;
        holds[i] = std::move(hold).value();
        ++got;
      });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_EQ(got, 1) << round;
  }
}

TEST_F(LimitTableTest, TwoProcessesTakeExactlyWhatABucketHas) {
  const Worker worker(folder_.path());
  const TokenBucket bucket(100'000, 60'000);
  const auto drain = [&](const Worker& own) {
    SharedU64& state = taken(own.table->claim("app")).slot().events;
    int taken_here = 0;
    while (bucket.take(state, 1, clock_ns) == 0) ++taken_here;
    return taken_here;
  };
  int others = 0;
  int own = 0;
  std::thread other([&] { others = in_killed_worker(drain); });
  own = drain(worker);
  other.join();
  own += drain(worker);
  EXPECT_EQ(own + others, 60'000);
}

TEST_F(LimitTableTest, AppsWhoseNamesBeginAlikeAreApart) {
  const Worker worker(folder_.path());
  std::vector<LimitSlot*> slots;
  for (std::size_t length = 1; length <= kMaxAppLength; ++length) {
    slots.push_back(&taken(worker.table->claim(std::string(length, 'a'))).slot());
  }
  for (std::size_t length = 1; length <= kMaxAppLength; ++length) {
    EXPECT_EQ(&worker.table->find(std::string(length, 'a'))->slot(), slots[length - 1]);
  }
  std::sort(slots.begin(), slots.end());
  EXPECT_EQ(std::unique(slots.begin(), slots.end()), slots.end());
  EXPECT_FALSE(worker.table->find(std::string(kMaxAppLength + 1, 'a')));
}

TEST_F(LimitTableTest, AnAppThatUsesNothingMakesRoomForAnother) {
  const Worker worker(folder_.path());
  const TokenBucket bucket(1, 10);
  const Hold kept = taken(worker.table->hold("app0", Quota::connections, 1));
  for (std::uint32_t i = 0; i < kLimitSlots; ++i) {
    const auto place = taken(worker.table->claim("app" + std::to_string(i)));
    if (i == 0) continue;
    ASSERT_EQ(bucket.take(place.slot().events, 10, clock_ns), 0);
  }
  const auto refused = worker.table->claim("one-more");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), Code::overloaded);
  EXPECT_TRUE(worker.is_full("app0", 1));

  const auto before = worker.table->find("app7");
  ASSERT_TRUE(before && before->holds());
  now_ns += 10 * kSecond;
  for (std::uint32_t i = 1; i < kLimitSlots; ++i) {
    const auto place = taken(worker.table->claim("new" + std::to_string(i)));
    EXPECT_EQ(bucket.level(place.slot().events, clock_ns).remaining, 10U);
    ASSERT_EQ(bucket.take(place.slot().events, 10, clock_ns), 0);
  }
  EXPECT_FALSE(before->holds());
  EXPECT_FALSE(worker.table->find("app7"));
  EXPECT_TRUE(worker.is_full("app0", 1));  // what has something open keeps its place
}

TEST_F(LimitTableTest, WhoIsAloneBeginsAnew) {
  const TokenBucket bucket(1, 1);
  {
    const Worker worker(folder_.path());
    ASSERT_EQ(bucket.take(taken(worker.table->claim("app")).slot().events, 1, clock_ns), 0);
    const Worker second(folder_.path());
    EXPECT_GT(bucket.take(taken(second.table->claim("app")).slot().events, 1, clock_ns), 0);
  }
  const Worker worker(folder_.path());
  EXPECT_FALSE(worker.table->find("app"));
}

TEST_F(LimitTableTest, AFileOfAnotherVersionIsReplacedAndItsUsersGoOnWithIt) {
  const Worker old(folder_.path());
  const Hold held = taken(old.table->hold("app", Quota::connections, 1));
  {
    std::fstream bytes(file(), std::ios::in | std::ios::out | std::ios::binary);
    const std::uint32_t version = kLimitVersion + 1;
    bytes.seekp(8).write(reinterpret_cast<const char*>(&version), sizeof(version));
  }
  const Worker fresh(folder_.path());
  EXPECT_EQ(fresh.count("app"), 0U);
  EXPECT_TRUE(old.is_full("app", 1));
  const Worker another(folder_.path());
  const Hold second = taken(fresh.table->hold("app", Quota::connections, 1));
  EXPECT_TRUE(another.is_full("app", 1));
}

TEST_F(LimitTableTest, ADamagedFileIsReplaced) {
  for (const std::uintmax_t size : {0U, 10U, 5000U}) {
    const Worker first(folder_.path());
    std::filesystem::copy_file(file(), file() + ".cut");
    std::filesystem::resize_file(file() + ".cut", size);
    std::filesystem::rename(file() + ".cut", file());  // so that the one who has it mapped keeps it whole
    const Worker second(folder_.path());
    EXPECT_FALSE(second.is_full("app", 1)) << size;
    std::filesystem::remove(file());
    std::ofstream(file()) << std::string(size, 'x');
    const Worker worker(folder_.path());
    EXPECT_FALSE(worker.is_full("app", 1)) << size;
  }
  const Worker first(folder_.path());
  std::filesystem::remove(file());
  const Worker worker(folder_.path());
  EXPECT_FALSE(worker.is_full("app", 1));
}

TEST_F(LimitTableTest, ItIsForNobodyElse) {
  const Worker worker(folder_.path());
  EXPECT_EQ(std::filesystem::status(file()).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  EXPECT_FALSE(std::filesystem::exists(file() + ".new"));
}

}  // namespace
}  // namespace polyglot::core
