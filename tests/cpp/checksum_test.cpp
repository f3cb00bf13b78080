#include "core/checksum.hpp"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace polyglot::core {
namespace {

std::string bytes_from(std::initializer_list<int> values) {
  return {values.begin(), values.end()};
}

std::uint32_t crc_of(std::string_view bytes) {
  return crc32c(0, bytes.data(), bytes.size());
}

std::string random_bytes(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

TEST(Crc32cTest, GivesTheValuesOfRfc3720) {
  std::string rising(32, '\0');
  std::iota(rising.begin(), rising.end(), '\0');
  const std::string falling(rising.rbegin(), rising.rend());
  const std::string read_command =
      bytes_from({0x01, 0xC0, 0, 0,    0, 0, 0, 0,    0,    0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0,
                  0,    0,    0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0,    0});
  ASSERT_EQ(read_command.size(), 48U);
  EXPECT_EQ(crc_of(std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(crc_of(std::string(32, '\xFF')), 0x62A8AB43U);
  EXPECT_EQ(crc_of(rising), 0x46DD794EU);
  EXPECT_EQ(crc_of(falling), 0x113FDB5CU);
  EXPECT_EQ(crc_of(read_command), 0xD9963A56U);
  EXPECT_EQ(crc_of("123456789"), 0xE3069283U);
  EXPECT_EQ(crc_of(""), 0U);
}

TEST(Crc32cTest, IsTheSameByInstructionAndByTableAtEveryLengthAndAlignment) {
  const std::string bytes = random_bytes(700, 1);
  for (std::size_t from = 0; from < 8; ++from) {
    for (std::size_t size = 0; size + from <= bytes.size(); ++size) {
      const auto start = static_cast<std::uint32_t>(size * 0x9E3779B9U);
      ASSERT_EQ(crc32c(start, bytes.data() + from, size), crc32c_portable(start, bytes.data() + from, size))
          << size << " bytes from " << from;
    }
  }
}

TEST(Crc32cTest, GoesOnFromWhereItStopped) {
  const std::string bytes = random_bytes(100, 2);
  const std::uint32_t whole = crc_of(bytes);
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    const std::uint32_t first = crc32c(0, bytes.data(), cut);
    ASSERT_EQ(crc32c(first, bytes.data() + cut, bytes.size() - cut), whole) << "cut at " << cut;
  }
}

TEST(Crc32cTest, SeesEveryFlippedBit) {
  std::string bytes = random_bytes(64, 3);
  const std::uint32_t whole = crc_of(bytes);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    ASSERT_NE(crc_of(bytes), whole) << "bit " << bit;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
  }
}

// The hash is part of the file: another one would have to raise kSegmentVersion.
TEST(Hash64Test, StaysTheSame) {
  EXPECT_EQ(hash64(0, ""), 0xC9D874CA57D9E055U);
  EXPECT_EQ(hash64(0, "a"), 0x2CDF687780F0AEFDU);
  EXPECT_EQ(hash64(1, "a"), 0x1FB5FF085B9B9E73U);
  EXPECT_EQ(hash64(0, "room:test, and more than two words"), 0x8076967DBFB48158U);
}

TEST(Hash64Test, TellsApartWhatDiffersOnlyInZerosOrSeed) {
  std::set<std::uint64_t> seen;
  for (std::size_t size = 0; size <= 40; ++size) seen.insert(hash64(7, std::string(size, '\0')));
  for (std::uint64_t seed = 0; seed < 41; ++seed) seen.insert(hash64(seed, "x"));
  EXPECT_EQ(seen.size(), 82U);
}

TEST(Hash64Test, SpreadsLikeNamesOverBucketsEvenly) {
  constexpr std::size_t kBucketCount = 1024, kNames = 102400;
  std::array<int, kBucketCount> low{}, high{};
  for (std::size_t i = 0; i < kNames; ++i) {
    const std::uint64_t hash = hash64(42, "room:" + std::to_string(i));
    ++low[hash % kBucketCount];
    ++high[hash >> 54];
  }
  // Chi squared with 1023 degrees of freedom: mean 1023, standard deviation 45.
  for (const auto& counts : {low, high}) {
    double chi = 0;
    for (const int count : counts) chi += (count - 100.0) * (count - 100.0) / 100.0;
    EXPECT_GT(chi, 1023 - 6 * 45);
    EXPECT_LT(chi, 1023 + 6 * 45);
  }
}

TEST(Hash64Test, ChangesHalfOfTheBitsWithAnyOneBit) {
  for (const std::size_t size : {1U, 7U, 8U, 20U}) {
    double flipped = 0;
    int tries = 0;
    for (std::uint64_t seed = 0; seed < 40; ++seed) {
      std::string bytes = random_bytes(size, seed);
      const std::uint64_t before = hash64(seed, bytes);
      for (std::size_t bit = 0; bit < size * 8; ++bit, ++tries) {
        bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
        flipped += std::popcount(before ^ hash64(seed, bytes));
        bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
      }
    }
    EXPECT_NEAR(flipped / tries, 32.0, 2.0) << size << " bytes";
  }
}

}  // namespace
}  // namespace polyglot::core
