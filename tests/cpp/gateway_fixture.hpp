// What the tests of the gateway share: one in a folder of its own, whose clock the test sets.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/gateway.hpp"
#include "temporary.hpp"

namespace polyglot::core::testing {

inline constexpr TimeUs kSecond = 1'000'000;
inline constexpr TimeUs kStart = 1'700'000'000 * kSecond;

inline std::atomic<TimeUs> clock_us{kStart};
inline std::int64_t clock_ns() {
  return clock_us.load() * 1000;
}

inline ChannelPattern pattern(std::string_view text) {
  return taken(ChannelPattern::parse(text));
}

class GatewayTest : public ::testing::Test {
 protected:
  GatewayTest() { clock_us = kStart; }

  std::unique_ptr<Gateway> open(Durability durability = Durability::process) {
    GatewayOptions options = small_gateway(folder_.path());
    options.durability = durability;
    options.clock = clock_ns;
    return open_gateway(options);
  }
  const Header& header() const { return gateway_->segment().map().header(); }
  std::uint64_t total(Counter counter) { return gateway_->counters().total(counter); }

  static std::string event(std::string_view data) { return "{\"type\":\"test\",\"data\":" + std::string(data) + "}"; }
  Ack publish(std::string_view channel, std::string_view data = "1", std::string_view key = {}) {
    return taken(gateway_->publish("app", channel, event(data), {.idempotency_key = key}));
  }
  std::string history(std::string_view channel, const HistoryRequest& request = {}) {
    HistoryPage page;
    return std::string(taken(gateway_->history("app", channel, request, page)));
  }
  // The envelopes that are kept, oldest first.
  std::vector<std::string> envelopes(std::string_view channel) {
    HistoryPage page;
    const Status status = gateway_->read("app", channel, {.limit = kMaxHistoryLimit, .since = 0}, page);
    EXPECT_TRUE(status.ok()) << status.message();
    std::vector<std::string> texts;
    for (const HistoryItem& item : page.items)
      texts.push_back(std::string(page.bytes.text().substr(item.begin, item.size)));
    return texts;
  }
  // Everything by which an event could be noticed.
  std::string trace() {
    std::string text = std::to_string(header().head.load()) + " " + std::to_string(header().void_epoch.load());
    for (const ChannelState& state : taken(gateway_->channels("app", "", 100))) {
      text += "\n" + state.channel + " " + std::to_string(state.last) + " " + std::to_string(state.epoch);
      for (const std::string& envelope : envelopes(state.channel)) text += "\n  " + envelope;
    }
    return text + "\n" + std::to_string(gateway_->stored().channels());
  }

  TemporaryFolder folder_;
  std::unique_ptr<Gateway> gateway_ = open();
};

}  // namespace polyglot::core::testing
