#include "core/timestamp.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <ctime>
#include <limits>
#include <random>
#include <string>
#include <thread>

namespace polyglot::core {
namespace {

constexpr TimeUs kLast = 253402300799999999;

TEST(Timestamp, IsRfc3339WithSixDecimals) {
  const std::pair<TimeUs, std::string_view> cases[] = {
      {0, "1970-01-01T00:00:00.000000Z"},
      {1, "1970-01-01T00:00:00.000001Z"},
      {999999, "1970-01-01T00:00:00.999999Z"},
      {1000000, "1970-01-01T00:00:01.000000Z"},
      {951782399999999, "2000-02-28T23:59:59.999999Z"},
      {951782400000000, "2000-02-29T00:00:00.000000Z"},
      {951868800000000, "2000-03-01T00:00:00.000000Z"},
      {1709164800000000, "2024-02-29T00:00:00.000000Z"},
      {1763404796107549, "2025-11-17T18:39:56.107549Z"},
      {4107542399000000, "2100-02-28T23:59:59.000000Z"},
      {4107542400000000, "2100-03-01T00:00:00.000000Z"},
      {kLast, "9999-12-31T23:59:59.999999Z"},
  };
  for (const auto& [time, text] : cases) {
    EXPECT_EQ(timestamp_text(time), text);
  }
}

TEST(Timestamp, StaysWithinTheYearsItCanWrite) {
  EXPECT_EQ(timestamp_text(-1), timestamp_text(0));
  EXPECT_EQ(timestamp_text(std::numeric_limits<TimeUs>::min()), timestamp_text(0));
  EXPECT_EQ(timestamp_text(kLast + 1), timestamp_text(kLast));
  EXPECT_EQ(timestamp_text(std::numeric_limits<TimeUs>::max()), timestamp_text(kLast));
}

// By the C library, which counts days in its own way.
std::string by_the_c_library(TimeUs time) {
  const std::time_t second = time / 1000000;
  std::tm parts{};
  gmtime_r(&second, &parts);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", parts.tm_year + 1900, parts.tm_mon + 1,
                parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, static_cast<int>(time % 1000000));
  return text;
}

TEST(Timestamp, AgreesWithTheCLibrary) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 20000; ++round) {
    const TimeUs time = static_cast<TimeUs>(random() % static_cast<std::uint64_t>(kLast + 1));
    ASSERT_EQ(timestamp_text(time), by_the_c_library(time));
  }
}

TEST(Timestamp, MayJumpAboutInSeveralThreads) {
  const auto run = [](unsigned seed) {
    std::mt19937_64 random(seed);
    for (int round = 0; round < 2000; ++round) {
      const TimeUs time = 1763404796000000 + static_cast<TimeUs>(random() % 5000000);
      ASSERT_EQ(timestamp_text(time), by_the_c_library(time));
    }
  };
  std::thread other(run, 1);
  run(2);
  other.join();
}

}  // namespace
}  // namespace polyglot::core
