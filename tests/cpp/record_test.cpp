#include "core/record.hpp"

#include <gtest/gtest.h>

#include <cstring>

namespace polyglot::core::testing {
namespace {

constexpr RecordHeader kHeader = {.crc = 0x01020304,
                                  .kind = RecordKind::forgotten,
                                  .app_length = 0x63,
                                  .channel_length = 0xC8,
                                  .unused = 0x77,
                                  .position = 0x1122334455667788,
                                  .offset = 0x99AABBCCDDEEFF00,
                                  .epoch = 0x0F1E2D3C4B5A6978,
                                  .time_us = -5,
                                  .channel = 0xCAFEBABE,
                                  .payload = 0xDEADBEEF};

TEST(RecordTest, WordsAreTheBytesOfTheLayout) {
  EXPECT_EQ(std::memcmp(pack(kHeader).data(), &kHeader, sizeof(kHeader)), 0);
}

TEST(RecordTest, ComesBackAsItWasStored) {
  alignas(8) std::array<std::byte, sizeof(RecordHeader)> shared;
  store_record(shared.data(), kHeader);
  const RecordHeader back = load_record(shared.data());
  EXPECT_EQ(std::memcmp(&back, &kHeader, sizeof(kHeader)), 0);
}

TEST(RecordTest, CrcCoversThePayloadAndAllOfTheHeaderButItself) {
  const std::uint32_t crc = record_crc(7, kHeader);
  RecordHeader cleared = kHeader;
  cleared.crc = 0;
  EXPECT_EQ(crc, crc32c(7, &cleared, sizeof(cleared)));
  EXPECT_NE(crc, record_crc(8, kHeader));
  EXPECT_EQ(crc, record_crc(7, cleared));
}

}  // namespace
}  // namespace polyglot::core::testing
