// TokenBucket: so much per second, and so much at once, for any number of threads and processes together.
//
// The state is one number, the time at which the bucket will be full again (GCRA's theoretical arrival time). Taking
// moves it on by what is taken, in one compare-and-swap, and is refused when it would then lie further ahead than a
// full bucket reaches.
//
// A state from before a reboot, or of a bucket that was larger, may lie further ahead than any taking can have left it.
// It says nothing, and the bucket counts as full: so no jump of a clock keeps it shut.
//
// Thread safety: a bucket is constant; its state is shared by all who take.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/segment_layout.hpp"

namespace polyglot::core {

// Nanoseconds of the clock that only goes forward, the same for all processes until the next boot.
std::int64_t monotonic_time_ns();

class TokenBucket {
 public:
  using Clock = std::int64_t (*)();

  // REQUIRES: 1 <= rate <= kMaxRate, and 1 <= burst <= rate * kMaxBurstSeconds.
  TokenBucket(std::uint64_t rate, std::uint64_t burst)
      : rate_(rate),
        burst_(burst),
        unit_(static_cast<std::int64_t>((kSecond + rate / 2) / rate)),
        window_(unit_ * static_cast<std::int64_t>(burst)) {}

  std::uint64_t rate() const { return rate_; }    // per second
  std::uint64_t burst() const { return burst_; }  // at once, when nothing was taken for a while

  // 0: taken. Else nothing was, and so many nanoseconds have to pass before `n` can be. REQUIRES: n <= burst().
  std::int64_t take(SharedU64& state, std::uint64_t n, Clock clock) const {
    std::uint64_t seen = state.load(std::memory_order_acquire);
    for (;;) {
      // The state before the clock: what others wrote with a later look at it must not seem to lie too far ahead.
      const std::int64_t now = ticks(clock());
      const std::int64_t next = full_at(seen, now) + unit_ * static_cast<std::int64_t>(n);
      if (next - now > window_) return (next - now - window_ + kTicks - 1) / kTicks;
      if (state.compare_exchange_weak(seen, static_cast<std::uint64_t>(next))) return 0;
    }
  }
  // Gives back what was taken.
  void give_back(SharedU64& state, std::uint64_t n) const {
    state.fetch_sub(static_cast<std::uint64_t>(unit_) * n, std::memory_order_acq_rel);
  }

  // Whether nothing is missing in a bucket of this state, whatever its size.
  static bool is_full(const SharedU64& state, Clock clock) {
    const auto at = static_cast<std::int64_t>(state.load());
    return at <= ticks(clock());
  }

  struct Level {
    std::uint64_t remaining;  // what could be taken now
    std::int64_t full_in_ns;  // until it is burst() again
  };
  Level level(const SharedU64& state, Clock clock) const {
    const std::uint64_t seen = state.load(std::memory_order_acquire);
    const std::int64_t now = ticks(clock());
    const std::int64_t ahead = full_at(seen, now) - now;
    return {static_cast<std::uint64_t>((window_ - ahead) / unit_), (ahead + kTicks - 1) / kTicks};
  }

  static constexpr std::uint64_t kMaxRate = 1'000'000'000;
  static constexpr std::uint64_t kMaxBurstSeconds = 86'400;

 private:
  static constexpr std::int64_t kTicks = 32;  // in a nanosecond; 64 bits hold nine years of them
  static constexpr std::uint64_t kSecond = std::uint64_t{1'000'000'000} * kTicks;

  static std::int64_t ticks(std::int64_t ns) { return ns * kTicks; }
  std::int64_t full_at(std::uint64_t state, std::int64_t now) const {
    const auto at = static_cast<std::int64_t>(state);
    return at > now + window_ ? now : std::max(at, now);
  }

  std::uint64_t rate_;
  std::uint64_t burst_;
  std::int64_t unit_;    // ticks in which one comes back
  std::int64_t window_;  // ticks in which an empty bucket fills
};

}  // namespace polyglot::core
