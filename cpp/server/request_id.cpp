#include "server/request_id.hpp"

#include <sys/random.h>

#include <algorithm>
#include <bit>
#include <chrono>

#include "core/hex.hpp"

namespace polyglot::server {
namespace {

constexpr std::size_t kMaxGiven = 128;

bool is_fit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

}  // namespace

RequestIds::RequestIds() : state_{}, text_{} {
  if (getrandom(static_cast<void*>(state_), sizeof(state_), 0) != static_cast<ssize_t>(sizeof(state_))) {
    state_[0] = static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  }
  state_[1] |= 1;  // all zeros would stay so
}

std::string_view RequestIds::choose(std::string_view given) {
  if (!given.empty() && given.size() <= kMaxGiven && std::all_of(given.begin(), given.end(), is_fit)) return given;
  for (char* at = text_; at < text_ + kLength; at += core::kHexLength) {
    // xoroshiro128+ (Blackman and Vigna): ids tell requests apart, they keep no secret.
    const std::uint64_t first = state_[0];
    std::uint64_t second = state_[1];
    core::write_hex(first + second, at);
    second ^= first;
    state_[0] = std::rotl(first, 24) ^ second ^ (second << 16);
    state_[1] = std::rotl(second, 37);
  }
  return {text_, kLength};
}

}  // namespace polyglot::server
