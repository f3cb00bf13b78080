// Record headers on their way to and from the log.
//
// A header goes as whole words, put together in registers: one written by fields and read back by words has to wait for
// each field to reach the cache.
//
// Thread safety: as shared_bytes.hpp.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "core/checksum.hpp"
#include "core/segment_layout.hpp"

namespace polyglot::core {

using RecordWords = std::array<std::uint64_t, sizeof(RecordHeader) / 8>;
static_assert(std::endian::native == std::endian::little, "the words below have the first field lowest");

inline RecordWords pack(const RecordHeader& header) {
  return {header.crc | std::uint64_t{static_cast<std::uint8_t>(header.kind)} << 32 |
              std::uint64_t{header.app_length} << 40 | std::uint64_t{header.channel_length} << 48 |
              std::uint64_t{header.unused} << 56,
          header.position,
          header.offset,
          header.epoch,
          static_cast<std::uint64_t>(header.time_us),
          header.channel | std::uint64_t{header.payload} << 32};
}

inline RecordHeader unpack(const RecordWords& words) {
  return {.crc = static_cast<std::uint32_t>(words[0]),
          .kind = static_cast<RecordKind>(words[0] >> 32),
          .app_length = static_cast<std::uint8_t>(words[0] >> 40),
          .channel_length = static_cast<std::uint8_t>(words[0] >> 48),
          .unused = static_cast<std::uint8_t>(words[0] >> 56),
          .position = words[1],
          .offset = words[2],
          .epoch = words[3],
          .time_us = static_cast<std::int64_t>(words[4]),
          .channel = static_cast<std::uint32_t>(words[5]),
          .payload = static_cast<std::uint32_t>(words[5] >> 32)};
}

inline void store_record(std::byte* shared, const RecordHeader& header) {
  auto* to = reinterpret_cast<std::uint64_t*>(shared);
  for (const std::uint64_t word : pack(header)) {
    std::atomic_ref<std::uint64_t>(*to++).store(word, std::memory_order_relaxed);
  }
}

inline RecordHeader load_record(const std::byte* shared) {
  auto* from = reinterpret_cast<std::uint64_t*>(const_cast<std::byte*>(shared));
  RecordWords words;
  for (std::uint64_t& word : words) word = std::atomic_ref<std::uint64_t>(*from++).load(std::memory_order_relaxed);
  return unpack(words);
}

// CRC of a record whose payload has the CRC `payload_crc`: of the payload, then of the header with a CRC of 0.
inline std::uint32_t record_crc(std::uint32_t payload_crc, const RecordHeader& header) {
  RecordWords words = pack(header);
  words[0] = words[0] >> 32 << 32;
  return crc32c(payload_crc, words.data(), sizeof(words));
}

}  // namespace polyglot::core
