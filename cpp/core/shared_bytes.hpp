// Copies between private memory and bytes of the segment that another process may be changing at the same time.
//
// Both directions go through relaxed atomic words, so that a reader racing with a writer reads some bytes, old or new,
// and never undefined behaviour. Whether what was read was whole is decided afterwards, by the tail and the generation
// (history.cpp).
//
// REQUIRES: the shared side is aligned to 8 bytes and may be touched up to the next multiple of 8.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace polyglot::core {

inline void load_shared(void* to, const std::byte* shared, std::size_t size) {
  auto* out = static_cast<std::byte*>(to);
  auto* words = reinterpret_cast<std::uint64_t*>(const_cast<std::byte*>(shared));
  for (; size >= 8; size -= 8, out += 8, ++words) {
    const std::uint64_t word = std::atomic_ref<std::uint64_t>(*words).load(std::memory_order_relaxed);
    std::memcpy(out, &word, 8);
  }
  if (size > 0) {
    const std::uint64_t word = std::atomic_ref<std::uint64_t>(*words).load(std::memory_order_relaxed);
    std::memcpy(out, &word, size);
  }
}

inline void store_shared(std::byte* shared, const void* from, std::size_t size) {
  auto* in = static_cast<const std::byte*>(from);
  auto* words = reinterpret_cast<std::uint64_t*>(shared);
  std::uint64_t word;
  for (; size >= 8; size -= 8, in += 8, ++words) {
    std::memcpy(&word, in, 8);
    std::atomic_ref<std::uint64_t>(*words).store(word, std::memory_order_relaxed);
  }
  if (size > 0) {
    word = 0;
    std::memcpy(&word, in, size);
    std::atomic_ref<std::uint64_t>(*words).store(word, std::memory_order_relaxed);
  }
}

}  // namespace polyglot::core
