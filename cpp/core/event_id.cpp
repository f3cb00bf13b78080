#include "core/event_id.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace polyglot::core {
namespace {

constexpr std::uint64_t kMaxMilliseconds = (std::uint64_t{1} << 48) - 1;

// The big-endian number of some bytes.
std::uint64_t number(const Ulid& id, std::size_t at, std::size_t bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) {
    value = value << 8 | id[at + i];
  }
  return value;
}

}  // namespace

EventIds::EventIds() {
  std::random_device device;
  std::seed_seq seed{device(), device(), device(), device(), device(), device(), device(), device()};
  random_.seed(seed);
}

EventIds::EventIds(const Ulid& last) : EventIds() {
  milliseconds_ = number(last, 0, 6);
  high_ = number(last, 6, 2);
  low_ = number(last, 8, 8);
}

Ulid EventIds::next(TimeUs now) {
  const std::uint64_t milliseconds = now < 0 ? 0 : std::min(static_cast<std::uint64_t>(now) / 1000, kMaxMilliseconds);
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  std::uint64_t time = 0;
  {
    const std::lock_guard lock(mutex_);
    if (milliseconds > milliseconds_) {
      milliseconds_ = milliseconds;
      high_ = random_() & 0xFFFF;
      low_ = random_();
    } else if (++low_ == 0 && ++high_ == 0x10000) {
      high_ = 0;
      ++milliseconds_;
    }
    time = milliseconds_;
    high = high_;
    low = low_;
  }
  Ulid id;
  const auto put = [&id](std::size_t at, std::uint64_t value, int bytes) {
    for (int i = bytes - 1; i >= 0; --i) {
      id[at++] = static_cast<std::uint8_t>(value >> (8 * i));
    }
  };
  put(0, time, 6);
  put(6, high, 2);
  put(8, low, 8);
  return id;
}

void write_event_id(const Ulid& id, char* out) {
  // Crockford's base 32; 128 bits in 26 digits, so that the first stands for three bits only.
  static constexpr std::string_view kDigits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  const auto put = [&out](std::uint64_t value, int digits) {
    for (int shift = 5 * (digits - 1); shift >= 0; shift -= 5) {
      *out++ = kDigits[value >> shift & 31];
    }
  };
  std::memcpy(out, "evt_", 4);
  out += 4;
  put(number(id, 0, 6), 10);
  put(number(id, 6, 5), 8);
  put(number(id, 11, 5), 8);
}

std::string event_id_text(const Ulid& id) {
  std::string text(kEventIdLength, '\0');
  write_event_id(id, text.data());
  return text;
}

}  // namespace polyglot::core
