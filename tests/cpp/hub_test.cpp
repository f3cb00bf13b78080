// The hub with subscribers that the test plays itself, one turn of the loop after the other.
#include "server/hub.hpp"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "temporary.hpp"

namespace polyglot::server {
namespace {

constexpr std::string_view kApp = "app";
constexpr std::string_view kChannel = "room:1";

// Takes at once all that it is given, or nothing while it sleeps.
class Reader final : public Subscriber {
 public:
  explicit Reader(Hub& hub, std::string_view channel = kChannel, std::optional<std::uint64_t> since = std::nullopt)
      : hub_(hub) {
    auto started = hub.subscribe(*this, kApp, channel, Encoding::websocket, since, {});
    if (!started.ok()) throw std::runtime_error(started.status().message());
    recovered = started->recovered;
    subscription_ = std::move(started->subscription);
    hub.begin(*subscription_);
  }

  void serve() override {
    if (sleeps) return;
    for (Subscription* subscription : std::exchange(pending_, {})) {
      std::uint64_t to = subscription->cursor();
      if (hub_.prepare(*subscription, alone)) {
        std::array<iovec, 64> parts;
        subscription->frames().gather(subscription->cursor(), parts.data(), parts.size(), to);
        bytes += to - subscription->cursor();
        hub_.advance(*subscription, to);
      }
      hub_.done(*subscription);
    }
  }
  void too_slow(Subscription&) override { cut = true; }
  void went_live(Subscription&) override {}

  bool sleeps = false;
  bool cut = false;
  bool recovered = false;
  std::uint64_t bytes = 0;  // of frames for all
  std::string alone;        // for it

 private:
  Hub& hub_;
  std::unique_ptr<Subscription> subscription_;
};

class HubTest : public ::testing::Test {
 protected:
  // Appends some 64 KiB for each round.
  void publish(int rounds) {
    const std::string event = R"({"channel":"room:1","type":"t","data":")" + std::string(4000, 'x') + "\"}\n";
    std::string batch;
    for (int i = 0; i < 16; ++i) batch += event;
    for (int i = 0; i < rounds; ++i) ASSERT_TRUE(gateway_->publish_batch(kApp, batch, true, {}).ok());
  }

  std::vector<std::unique_ptr<Reader>> make_readers(int count) {
    std::vector<std::unique_ptr<Reader>> readers;
    for (int i = 0; i < count; ++i) readers.push_back(std::make_unique<Reader>(hub_));
    return readers;
  }

  static std::unique_ptr<core::Gateway> open_large(const std::string& folder) {
    core::GatewayOptions options = core::testing::small_gateway(folder);
    options.segment.history_size = 2000;
    options.segment.history_bytes = std::uint64_t{16} << 20;
    return core::testing::open_gateway(options);
  }

  core::testing::TemporaryFolder folder_;
  std::unique_ptr<core::Gateway> gateway_ = open_large(folder_.path());
  boost::asio::io_context io_;
  Hub hub_{io_, *gateway_};
};

TEST_F(HubTest, WhoReadsIsNotCutOffForWaitingItsTurn) {
  const auto readers = make_readers(2000);
  publish(64);
  hub_.look();
  io_.poll();
  for (const auto& reader : readers) {
    ASSERT_FALSE(reader->cut);
    ASSERT_GT(reader->bytes, 4'000'000U);
    ASSERT_EQ(reader->bytes, readers.front()->bytes);
  }
}

TEST_F(HubTest, CountsWhatIsDeliveredByAppAndHowLongItTook) {
  const auto readers = make_readers(70);  // more than are served in a turn
  publish(2);
  hub_.look();
  io_.poll();
  const core::Counters& counters = gateway_->counters();
  const std::size_t place = gateway_->apps().place(kApp);
  EXPECT_EQ(counters.total_app(place, core::Counter::deliveries), 70U * 32U);
  EXPECT_EQ(counters.total_app(place, core::Counter::delivery_bytes), 70 * readers.front()->bytes);
  const auto lag = counters.total(core::Timer::delivery);
  std::uint64_t sends = 0;
  for (const std::uint64_t count : lag.counts) sends += count;
  EXPECT_GE(sends, 70U);
  EXPECT_GT(lag.sum_ns, 0U);
}

// A position without an epoch is one of the present epoch, also while those who are there have not heard of it.
TEST_F(HubTest, WhoNamesNoEpochIsToldOfNoGapWhenThePastIsGone) {
  const Reader before(hub_);
  publish(1);
  hub_.look();
  ASSERT_TRUE(gateway_->forget(kApp, kChannel).ok());
  publish(1);
  const Reader after(hub_, kChannel, 0);
  EXPECT_TRUE(after.recovered);
  io_.poll();
  EXPECT_EQ(after.alone.find("gap"), std::string::npos) << after.alone.substr(0, 200);
  EXPECT_NE(after.alone.find(R"("offset":1})"), std::string::npos);
  EXPECT_NE(after.alone.find(R"("offset":16})"), std::string::npos);
}

TEST_F(HubTest, KnowsWhoReadsAndWhatWaitsForThem) {
  const auto readers = make_readers(3);
  EXPECT_EQ(hub_.load().subscriptions, 3U);
  EXPECT_EQ(hub_.load().waiting_bytes, 0U);
  readers.front()->sleeps = true;
  publish(2);
  hub_.look();
  io_.poll();
  EXPECT_EQ(hub_.load().waiting_bytes, readers.back()->bytes);
}

TEST_F(HubTest, WhoDoesNotReadIsCutOffAndHoldsUpNobody) {
  const auto readers = make_readers(3);
  readers.front()->sleeps = true;
  publish(64);
  hub_.look();
  io_.poll();
  EXPECT_TRUE(readers[0]->cut);
  EXPECT_EQ(readers[0]->bytes, 0U);
  EXPECT_FALSE(readers[1]->cut);
  EXPECT_GT(readers[1]->bytes, 4'000'000U);
  EXPECT_EQ(readers[1]->bytes, readers[2]->bytes);
}

TEST_F(HubTest, AChannelWithoutEndDoesNotKeepTheOthersFromBeingRead) {
  const auto readers = make_readers(100);
  const Reader other(hub_, "room:2");
  publish(16);
  ASSERT_TRUE(gateway_->publish(kApp, "room:2", R"({"type":"t","data":1})", {}).ok());
  for (int turn = 0; turn < 20; ++turn) {
    publish(8);
    hub_.look();
    io_.poll_one();
  }
  EXPECT_LT(readers.back()->bytes, 100U * 65536U) << "of 176 times that much: there is a backlog all the time";
  EXPECT_GT(other.bytes, 0U);
}

}  // namespace
}  // namespace polyglot::server
