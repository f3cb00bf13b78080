// Copies between private memory and bytes of the segment that another process may be changing at the same time.
//
// Both are what the C++ proposal P1478 (byte-wise atomic memcpy) asks for: a reader that races with a writer reads some
// bytes, old or new, each read once. Whether what was read was whole is decided afterwards, by the tail and the
// generation (history.cpp). Until the language has it, this is memcpy between two barriers for the compiler, which
// processors carry out just so; under ThreadSanitizer, which would call it a race, it goes through relaxed atomic
// words.
//
// REQUIRES: the shared side is aligned to 8 bytes and may be touched up to the next multiple of 8.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace polyglot::core {

#if defined(__SANITIZE_THREAD__)

inline void load_shared(void* to, const std::byte* shared, std::size_t size) {
  auto* out = static_cast<std::byte*>(to);
  auto* words = reinterpret_cast<std::uint64_t*>(const_cast<std::byte*>(shared));
  for (; size > 0; ++words) {
    const std::uint64_t word = std::atomic_ref<std::uint64_t>(*words).load(std::memory_order_relaxed);
    const std::size_t part = size < 8 ? size : 8;
    std::memcpy(out, &word, part);
    out += part;
    size -= part;
  }
}

inline void store_shared(std::byte* shared, const void* from, std::size_t size) {
  auto* in = static_cast<const std::byte*>(from);
  auto* words = reinterpret_cast<std::uint64_t*>(shared);
  for (; size > 0; ++words) {
    std::uint64_t word = std::atomic_ref<std::uint64_t>(*words).load(std::memory_order_relaxed);
    const std::size_t part = size < 8 ? size : 8;
    std::memcpy(&word, in, part);
    std::atomic_ref<std::uint64_t>(*words).store(word, std::memory_order_relaxed);
    in += part;
    size -= part;
  }
}

#else

inline void load_shared(void* to, const std::byte* shared, std::size_t size) {
  asm volatile("" ::: "memory");
  if (size != 0) std::memcpy(to, shared, size);
  asm volatile("" ::: "memory");
}

inline void store_shared(std::byte* shared, const void* from, std::size_t size) {
  asm volatile("" ::: "memory");
  if (size != 0) std::memcpy(shared, from, size);
  asm volatile("" ::: "memory");
}

#endif

}  // namespace polyglot::core
