#include "core/timestamp.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace polyglot::core {
namespace {

constexpr std::int64_t kSecondUs = 1'000'000;

void write_digits(std::uint32_t value, int digits, char* out) {
  for (int i = digits - 1; i >= 0; --i) {
    out[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
}

// "2025-11-17T18:39:56"
constexpr std::size_t kSecondLength = 19;
void write_second(std::int64_t second, char* out) {
  const std::chrono::sys_seconds time{std::chrono::seconds{second}};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{time - day};
  std::memcpy(out, "0000-00-00T00:00:00", kSecondLength);
  write_digits(static_cast<std::uint32_t>(static_cast<int>(date.year())), 4, out);
  write_digits(static_cast<unsigned>(date.month()), 2, out + 5);
  write_digits(static_cast<unsigned>(date.day()), 2, out + 8);
  write_digits(static_cast<std::uint32_t>(clock.hours().count()), 2, out + 11);
  write_digits(static_cast<std::uint32_t>(clock.minutes().count()), 2, out + 14);
  write_digits(static_cast<std::uint32_t>(clock.seconds().count()), 2, out + 17);
}

}  // namespace

void write_timestamp(TimeUs time, char* out) {
  constexpr TimeUs kLast = 253'402'300'799'999'999;  // the end of the year 9999
  time = std::clamp<TimeUs>(time, 0, kLast);
  // Most calls fall into the second of the one before, and every other is for the same time, of an acknowledgement.
  struct Last {
    TimeUs time = -1;
    std::int64_t second = -1;
    char text[kTimestampLength] = {};
  };
  thread_local constinit Last last;
  if (last.second != time / kSecondUs) {
    last.second = time / kSecondUs;
    write_second(last.second, last.text);
    last.text[kSecondLength] = '.';
    last.text[kTimestampLength - 1] = 'Z';
  }
  if (last.time != time) {
    last.time = time;
    write_digits(static_cast<std::uint32_t>(time % kSecondUs), 6, last.text + kSecondLength + 1);
  }
  std::memcpy(out, last.text, kTimestampLength);
}

std::string timestamp_text(TimeUs time) {
  std::string text(kTimestampLength, '\0');
  write_timestamp(time, text.data());
  return text;
}

}  // namespace polyglot::core
