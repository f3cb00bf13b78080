#include "core/replica.hpp"

#include <charconv>

namespace polyglot::core {
namespace {

// Takes a number and the character behind it off the front.
template <typename Number>
bool take_number(std::string_view& bytes, char end, Number& number) {
  const auto [stop, error] = std::from_chars(bytes.data(), bytes.data() + bytes.size(), number);
  const auto digits = static_cast<std::size_t>(stop - bytes.data());
  if (error != std::errc() || digits == bytes.size() || *stop != end || bytes.front() == '-') return false;
  bytes.remove_prefix(digits + 1);
  return true;
}

}  // namespace

std::optional<Replica> Replica::parse(std::string_view bytes) {
  constexpr std::string_view kOffset = "\"offset\":";
  constexpr std::size_t kSmallest = 4 + kOffset.size();  // of an event, with its two numbers
  Replica replica;
  std::size_t count = 0;
  if (!take_number(bytes, ' ', replica.epoch) || !take_number(bytes, ' ', replica.first) ||
      !take_number(bytes, '\n', count)) {
    return std::nullopt;
  }
  if (replica.epoch == 0 || replica.first == 0 || replica.first > kMaxReplicaOffset ||
      count > bytes.size() / kSmallest) {
    return std::nullopt;
  }
  replica.events.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    Event event{};
    std::size_t size = 0;
    if (!take_number(bytes, ' ', event.time) || !take_number(bytes, '\n', size) || size > bytes.size()) {
      return std::nullopt;
    }
    event.envelope = bytes.substr(0, size);
    if (!event.envelope.ends_with(kOffset)) return std::nullopt;
    replica.events.push_back(event);
    bytes.remove_prefix(size);
  }
  if (!bytes.empty()) return std::nullopt;
  return replica;
}

}  // namespace polyglot::core
