// Latencies, counted in buckets that are at most 1.6 % wide: constant memory and a few nanoseconds however many come.
//
// Thread safety: a value for one thread.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

namespace polyglot::load {

class Histogram {
 public:
  void add(std::uint64_t nanoseconds) {
    ++counts_[bucket(nanoseconds)];
    ++total_;
  }

  std::uint64_t total() const { return total_; }

  // The upper end, in nanoseconds, of the bucket below which `share` (0 to 1) of all latencies lie; 0 when there is
  // none.
  std::uint64_t quantile(double share) const {
    const auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(total_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen > 0 && seen >= wanted) return upper_end(i);
    }
    return 0;
  }

 private:
  // Each power of two is cut into 64 parts; below 64 every number has its own.
  static constexpr unsigned kBits = 6;
  static constexpr std::size_t kParts = std::size_t{1} << kBits;

  static std::size_t bucket(std::uint64_t value) {
    if (value < kParts) return static_cast<std::size_t>(value);
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - kBits - 1;
    return (shift + 1) * kParts + static_cast<std::size_t>((value >> shift) - kParts);
  }
  static std::uint64_t upper_end(std::size_t bucket) {
    if (bucket < kParts) return bucket;
    const std::size_t shift = bucket / kParts - 1;
    return ((std::uint64_t{bucket % kParts} + kParts + 1) << shift) - 1;
  }

  std::array<std::uint64_t, (64 - kBits + 1) * kParts> counts_{};
  std::uint64_t total_ = 0;
};

}  // namespace polyglot::load
