#include "core/wake.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "readable.hpp"
#include "temporary.hpp"

namespace polyglot::core {
namespace {

using testing::open_segment;
using testing::readable;
using testing::small_options;
using testing::taken;
using testing::TemporaryFolder;

class WakeTest : public ::testing::Test {
 protected:
  std::unique_ptr<Segment> open() { return open_segment(small_options(folder_.path())); }
  void sleep(const Segment& worker) { worker.map().header().sleeping.fetch_or(std::uint64_t{1} << worker.worker()); }
  static void watch(const Segment& worker, std::uint64_t hash) {
    const std::size_t bit = watched_bit(hash);
    worker.map().worker(worker.worker()).watched[bit / 64].fetch_or(std::uint64_t{1} << bit % 64);
  }
  unsigned wake(std::vector<std::uint64_t> channels) { return waker_.wake(channels); }
  std::uint64_t sleeping() { return writer_->map().header().sleeping.load(); }

  TemporaryFolder folder_;
  std::unique_ptr<Segment> writer_ = open();
  Waker waker_{*writer_};
};

TEST_F(WakeTest, WakesNobodyWhenNobodySleeps) {
  const auto worker = open();
  const WakePipe pipe = taken(WakePipe::open(*worker));
  EXPECT_EQ(waker_.wake_all(), 0U);
  EXPECT_FALSE(readable(pipe.fd()));
}

TEST_F(WakeTest, WakesASleeperOnce) {
  const auto worker = open();
  WakePipe pipe = taken(WakePipe::open(*worker));
  sleep(*worker);
  EXPECT_EQ(waker_.wake_all(), 1U);
  EXPECT_TRUE(readable(pipe.fd()));
  EXPECT_EQ(sleeping(), 0U);
  EXPECT_EQ(waker_.wake_all(), 0U);
  pipe.drain();
  EXPECT_FALSE(readable(pipe.fd()));
  sleep(*worker);
  EXPECT_EQ(waker_.wake_all(), 1U);
  EXPECT_TRUE(readable(pipe.fd()));
}

TEST_F(WakeTest, WakesAllWhoSleepAndOnlyThem) {
  std::vector<std::unique_ptr<Segment>> workers;
  std::vector<WakePipe> pipes;
  for (int i = 0; i < 6; ++i) {
    workers.push_back(open());
    pipes.push_back(taken(WakePipe::open(*workers.back())));
    if (i % 2 == 0) sleep(*workers.back());
  }
  EXPECT_EQ(waker_.wake_all(), 3U);
  for (std::size_t i = 0; i < pipes.size(); ++i) EXPECT_EQ(readable(pipes[i].fd()), i % 2 == 0) << i;
}

// Hashes may be any numbers.
TEST_F(WakeTest, OnlyWhoWatchesIsWokenAndTheOthersSleepOn) {
  const auto one = open(), other = open();
  WakePipe pipe_of_one = taken(WakePipe::open(*one));
  WakePipe pipe_of_other = taken(WakePipe::open(*other));
  constexpr std::uint64_t kFirst = 5, kSecond = 7'000'077, kThird = kWatchedBits - 1;
  watch(*one, kFirst);
  watch(*other, kSecond);
  watch(*other, kThird);
  sleep(*one);
  sleep(*other);
  EXPECT_EQ(wake({6, 5 + 64, kFirst + 1}), 0U);
  EXPECT_EQ(wake({kSecond}), 1U);
  EXPECT_FALSE(readable(pipe_of_one.fd()));
  EXPECT_TRUE(readable(pipe_of_other.fd()));
  EXPECT_EQ(sleeping(), std::uint64_t{1} << one->worker());
  EXPECT_EQ(wake({kSecond}), 0U);
  pipe_of_other.drain();
  sleep(*other);
  EXPECT_EQ(wake({1, kThird, 2, kFirst}), 2U);
  EXPECT_EQ(sleeping(), 0U);
}

TEST_F(WakeTest, WhoWatchesAllIsWokenByEach) {
  const auto worker = open();
  const WakePipe pipe = taken(WakePipe::open(*worker));
  worker->map().worker(worker->worker()).watches_all = 1;
  sleep(*worker);
  EXPECT_EQ(wake({77}), 1U);
  EXPECT_TRUE(readable(pipe.fd()));
}

TEST_F(WakeTest, OneDrainEmptiesHoweverManyWakes) {
  const auto worker = open();
  WakePipe pipe = taken(WakePipe::open(*worker));
  for (int i = 0; i < 1000; ++i) {
    sleep(*worker);
    ASSERT_EQ(waker_.wake_all(), 1U);
  }
  pipe.drain();
  EXPECT_FALSE(readable(pipe.fd()));
}

// A worker that died asleep leaves its bit and perhaps its pipe; nobody empties that.
TEST_F(WakeTest, DeadSleepersDoNotStopAWriter) {
  const auto without_pipe = open();
  sleep(*without_pipe);
  EXPECT_EQ(waker_.wake_all(), 0U);
  EXPECT_EQ(sleeping(), 0U);

  const auto dead = open();
  static_cast<void>(taken(WakePipe::open(*dead)));
  unsigned woken = 0;
  for (int i = 0; i < 100'000; ++i) {  // a pipe holds 64 KiB
    sleep(*dead);
    woken += waker_.wake_all();
  }
  EXPECT_LT(woken, 100'000U);
  // Its successor begins by emptying it.
  WakePipe pipe = taken(WakePipe::open(*dead));
  pipe.drain();
  sleep(*dead);
  EXPECT_EQ(waker_.wake_all(), 1U);
  EXPECT_TRUE(readable(pipe.fd()));
}

TEST_F(WakeTest, AFileInThePlaceOfThePipeIsReplaced) {
  const auto worker = open();
  std::filesystem::create_directory(folder_.path() + "/wake");
  std::ofstream(folder_.path() + "/wake/" + std::to_string(worker->worker())) << "not a pipe";
  const WakePipe pipe = taken(WakePipe::open(*worker));
  struct stat status{};
  ASSERT_EQ(fstat(pipe.fd(), &status), 0);
  EXPECT_TRUE(S_ISFIFO(status.st_mode));
  sleep(*worker);
  EXPECT_EQ(waker_.wake_all(), 1U);
  EXPECT_TRUE(readable(pipe.fd()));
}

TEST_F(WakeTest, SaysThatThePipeCanNotBeMade) {
  std::ofstream(folder_.path() + "/wake") << "not a folder";
  const auto pipe = WakePipe::open(*writer_);
  ASSERT_FALSE(pipe.ok());
  EXPECT_EQ(pipe.status().code(), Code::storage_unusable);
  EXPECT_NE(pipe.status().message().find(folder_.path() + "/wake/0"), std::string::npos);
}

TEST_F(WakeTest, PipesAreForTheOwnerAloneAndNotForChildren) {
  const WakePipe pipe = taken(WakePipe::open(*writer_));
  struct stat status{};
  ASSERT_EQ(fstat(pipe.fd(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_NE(fcntl(pipe.fd(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(WakeTest, OneSleepIsEndedByOneOfSeveralThreads) {
  const auto worker = open();
  WakePipe pipe = taken(WakePipe::open(*worker));
  for (int round = 0; round < 50; ++round) {
    sleep(*worker);
    std::atomic<unsigned> woken{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) threads.emplace_back([&] { woken += waker_.wake_all(); });
    for (std::thread& thread : threads) thread.join();
    ASSERT_EQ(woken, 1U);
    pipe.drain();
  }
}

}  // namespace
}  // namespace polyglot::core
