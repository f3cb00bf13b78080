#include "server/subscriber_connection.hpp"

#include <array>
#include <utility>

#include "server/loop.hpp"

namespace polyglot::server {
namespace {

constexpr std::size_t kParts = 64;

struct Taken {
  Subscription* subscription;
  std::uint64_t to;
};

// Moves the cursors over what was sent; returns the rest of the frame that was cut.
std::string settle(Hub& hub, const Taken* taken, std::size_t count, std::size_t sent) {
  std::string rest;
  for (std::size_t i = 0; i < count && sent > 0; ++i) {
    Subscription& subscription = *taken[i].subscription;
    const std::uint64_t wanted = taken[i].to - subscription.cursor();
    if (sent >= wanted) {
      sent -= wanted;
      if (wanted != 0) hub.advance(subscription, taken[i].to);
      continue;
    }
    const std::uint64_t position = subscription.cursor() + sent;
    rest = subscription.frames().rest_of_frame(position);
    hub.advance(subscription, position + rest.size());
    sent = 0;
  }
  return rest;
}

}  // namespace

void SubscriberConnection::serve() {
  if (!is_open() || is_sending() || is_lingering()) return;
  served_at_ = clock_ms();
  Hub& hub = loop().hub;
  std::vector<Subscription*>& todo = loop().to_serve;  // whose memory goes round instead of being made anew
  todo.clear();
  todo.swap(pending_);
  std::size_t next = 0;
  bool blocked = false;
  while (next < todo.size() && !blocked && !is_lingering()) {
    std::string& alone = loop().output;
    alone.clear();
    std::array<iovec, kParts> parts;
    std::array<Taken, kParts> taken;
    std::size_t parts_used = 1;  // the first is for what this subscriber gets alone
    std::size_t taken_count = 0;
    std::size_t size = 0;
    while (next < todo.size() && parts_used < kParts && taken_count < kParts && alone.size() < kMaxBehind) {
      Subscription& subscription = *todo[next++];
      std::uint64_t to = subscription.cursor();
      if (hub.prepare(subscription, alone)) {
        parts_used += subscription.frames().gather(subscription.cursor(), &parts[parts_used], kParts - parts_used, to);
        size += to - subscription.cursor();
      } else {
        to = subscription.cursor();
      }
      taken[taken_count++] = {&subscription, to};
    }
    size += alone.size();
    std::size_t sent = 0;
    std::string rest;
    if (size != 0) {
      parts[0] = {alone.data(), alone.size()};
      const std::size_t skipped = alone.empty() ? 1 : 0;
      const std::ptrdiff_t went = send_now(parts.data() + skipped, parts_used - skipped);
      if (went < 0) return;  // closed, and the subscriptions are gone
      sent = static_cast<std::size_t>(went);
      blocked = sent < size;
      if (sent < alone.size()) {
        rest = alone.substr(sent);
      } else {
        rest = settle(hub, taken.data(), taken_count, sent - alone.size());
      }
    }
    for (std::size_t i = 0; i < taken_count; ++i) hub.done(*taken[i].subscription);
    if (blocked) send_later(rest);
  }
  pending_.insert(pending_.end(), todo.begin() + static_cast<std::ptrdiff_t>(next), todo.end());
  if (!pending_.empty() && !is_sending()) hub.ready(*this);
}

void SubscriberConnection::on_sent() {
  if (!pending_.empty()) loop().hub.ready(*this);
}

}  // namespace polyglot::server
