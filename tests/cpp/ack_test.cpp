#include "core/ack.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace polyglot::core {
namespace {

constexpr Ulid kId = {0x01, 0x93, 0x38, 0x5f, 0x86, 0xb1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
constexpr TimeUs kTime = 1'763'404'796'107'549;

TEST(Ack, IsAnObjectOfJson) {
  std::string text = "before ";
  append_ack_json(text, {kId, kTime, 42, 0xabc, false});
  EXPECT_EQ(text, R"(before {"id":")" + event_id_text(kId) +
                      R"(","timestamp":"2025-11-17T18:39:56.107549Z","offset":42,"epoch":"0000000000000abc"})");
}

TEST(Ack, SaysOfWhatWaitsThatItsPlaceIsNotKnown) {
  std::string text;
  append_ack_json(text, {kId, kTime, 0, 0, true, true});
  EXPECT_EQ(text, R"({"id":")" + event_id_text(kId) + R"(","timestamp":"2025-11-17T18:39:56.107549Z","spooled":true})");
}

TEST(Ack, HasRoomForTheLargestNumbers) {
  constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();
  std::string text;
  append_ack_members(text, {kId, std::numeric_limits<TimeUs>::max(), kMost, kMost, true});
  EXPECT_EQ(text, R"("id":")" + event_id_text(kId) +
                      R"(","timestamp":"9999-12-31T23:59:59.999999Z","offset":18446744073709551615,)" +
                      R"("epoch":"ffffffffffffffff")");
}

}  // namespace
}  // namespace polyglot::core
