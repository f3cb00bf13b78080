#include "core/gauges.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <set>

#include "temporary.hpp"

namespace polyglot::core {
namespace {

using testing::open_segment;
using testing::small_options;
using testing::TemporaryFolder;

class GaugesTest : public ::testing::Test {
 protected:
  std::unique_ptr<Segment> open() { return open_segment(small_options(folder_.path())); }
  static std::uint64_t sum(const Segment& segment, Gauge gauge) {
    return Gauges(segment).totals().sums[static_cast<std::size_t>(gauge)];
  }

  TemporaryFolder folder_;
  std::unique_ptr<Segment> segment_ = open();
};

TEST(GaugesNameTest, EveryGaugeHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < kNamedGauges; ++i) names.insert(gauge_name(static_cast<Gauge>(i)));
  EXPECT_EQ(names.size(), kNamedGauges);
  EXPECT_FALSE(names.contains(""));
  EXPECT_EQ(gauge_name(Gauge::queue_bytes), "queue_bytes");
  EXPECT_EQ(gauge_name(Gauge::started), "started");
}

TEST_F(GaugesTest, AreThoseOfAllWhoLive) {
  auto other = open();
  Gauges(*segment_).set(Gauge::websocket, 3);
  Gauges(*other).set(Gauge::websocket, 4);
  Gauges(*other).set(Gauge::sse, 1);
  EXPECT_EQ(sum(*segment_, Gauge::websocket), 7U);
  EXPECT_EQ(sum(*other, Gauge::sse), 1U);
  Gauges(*other).set(Gauge::websocket, 2);
  EXPECT_EQ(sum(*segment_, Gauge::websocket), 5U);
  other.reset();
  EXPECT_EQ(sum(*segment_, Gauge::websocket), 3U);
  EXPECT_EQ(sum(*segment_, Gauge::sse), 0U);
}

TEST_F(GaugesTest, BeginAtZeroInASlotThatAnotherHadBefore) {
  auto other = open();
  Gauges(*other).set(Gauge::http, 9);
  other.reset();
  other = open();
  EXPECT_EQ(sum(*segment_, Gauge::http), 0U);
}

TEST_F(GaugesTest, CountThoseThatServeAndKnowTheOldest) {
  EXPECT_EQ(Gauges(*segment_).totals().workers, 0U);
  const auto other = open();
  Gauges(*segment_).set(Gauge::started, 2000);
  EXPECT_EQ(Gauges(*segment_).totals().workers, 1U);
  Gauges(*other).set(Gauge::started, 1000);
  EXPECT_EQ(Gauges(*segment_).totals().workers, 2U);
  EXPECT_EQ(sum(*segment_, Gauge::started), 1000U);
}

TEST_F(GaugesTest, OfAWorkerThatWasKilledCountForNothing) {
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    const auto mine = open();
    Gauges(*mine).set(Gauge::websocket, 5);
    if (write(pipe_ends[1], "!", 1) != 1) _exit(1);
    pause();
    _exit(0);
  }
  char said = 0;
  ASSERT_EQ(read(pipe_ends[0], &said, 1), 1);
  EXPECT_EQ(sum(*segment_, Gauge::websocket), 5U);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_EQ(sum(*segment_, Gauge::websocket), 0U);
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

}  // namespace
}  // namespace polyglot::core
