// The times that a round is measured with, in nanoseconds. Pure calls of the kernel, for any thread.
#pragma once

#include <sys/types.h>
#include <time.h>

#include <cstdint>

namespace polyglot::load {

inline constexpr std::uint64_t kSecond = 1'000'000'000;

inline std::uint64_t read_clock(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * kSecond + static_cast<std::uint64_t>(time.tv_nsec);
}

// Time since some moment; never goes back.
inline std::uint64_t now() {
  return read_clock(CLOCK_MONOTONIC);
}

// CPU time of a process, user and system, all threads; 0 for a process that does not exist.
inline std::uint64_t cpu_time(pid_t process) {
  clockid_t clock{};
  return clock_getcpuclockid(process, &clock) == 0 ? read_clock(clock) : 0;
}

}  // namespace polyglot::load
