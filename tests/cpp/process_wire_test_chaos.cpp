// The server's thread and services over gRPC: whatever they do, an event that is acknowledged is kept once, and each
// request has an answer.
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <stdexcept>
#include <thread>

#include "process_wire_fixture.hpp"

namespace polyglot::server {
namespace {

using testing::Answer;
using testing::Client;
using testing::GrpcService;
using testing::offset_in;
using namespace std::chrono_literals;
using namespace std::string_literals;

constexpr int kClients = 6;
constexpr int kPublishes = 150;  // of each
constexpr auto kAnswerTime = 40ms;

class ProcessWireChaosTest : public testing::ProcessWireTest {
 protected:
  // Publishes one event after the other, and notes which offsets were acknowledged.
  void publish(int number) {
    std::mt19937 random(static_cast<unsigned>(number));
    Client client(port_);
    for (int i = 0; i < kPublishes; ++i) {
      const std::string channel(1, static_cast<char>('a' + random() % 4));
      const Answer answer = client.ask(publish_request(channel));
      ASSERT_TRUE(answer.status == 200 || answer.status == 503) << answer.body;
      if (answer.status != 200) continue;
      const std::lock_guard guard(mutex_);
      ASSERT_TRUE(offsets_[channel].insert(offset_in(answer.body)).second) << "twice";
    }
  }
  // Does to one call what services do, rightly or not.
  void treat(GrpcService& service, std::int32_t call) {
    ++treated_;
    switch (random_() % 40) {
      case 0:
        return service.reply(call, {"", {{"grpc-status", "13"}}});
      case 1:
        return service.reply(call, {testing::with_prefix("\xff")});
      case 2:
        return service.peer.reset(call, NGHTTP2_REFUSED_STREAM);
      case 3:
        return service.peer.reset(call, NGHTTP2_INTERNAL_ERROR);
      case 4:
        return service.peer.go_away(call);
      case 5:
        return service.peer.go_away(0);
      case 6:
        return service.say("\x01\x02 what"s);
      case 7:
        return service.close();
      case 8:
        return;
      case 9:
        return wire().revoke();
      default:
        service.reply(call, accepted(service.ids(call)));
    }
  }
  // As those who lend do; what may have been seen has failed.
  void bring_to_an_end(const std::shared_ptr<ProcessQueue::Batch>& batch) {
    const auto& answer = batch->answer;
    if (answer && !answer->answer.unseen && answer->answer.status != 0) return fail(batch);
    batch->call->finish();
    server_->processing().finish(batch);
  }

  std::mutex mutex_;
  std::map<std::string, std::set<std::uint64_t>> offsets_;
  std::mt19937 random_{17};
  int treated_ = 0;
};

TEST_F(ProcessWireChaosTest, WhatIsAcknowledgedIsKeptOnce) {
  std::atomic<int> publishing{kClients};
  std::vector<std::thread> clients;
  for (int number = 0; number < kClients; ++number) {
    clients.emplace_back([this, number, &publishing] {
      publish(number);
      --publishing;
    });
  }
  while (publishing > 0) {
    if (!wire().is_lent()) {
      lend(3, kAnswerTime, false);
      for (const auto& service : services_) service->peer.greet();
    }
    for (const auto& service : services_) {
      try {
        service->talk();
        for (const std::int32_t call : service->take_calls()) treat(*service, call);
      } catch (const std::runtime_error&) {
        service->close();
      }
    }
    while (const auto batch = server_->processing().take()) bring_to_an_end(batch);
    std::this_thread::yield();
  }
  for (std::thread& client : clients) client.join();
  for (const auto& [channel, offsets] : offsets_) {
    EXPECT_EQ(*offsets.begin(), 1U);
    const auto state = gateway_->channel("app", channel);
    ASSERT_TRUE(state.ok());
    EXPECT_EQ(state->last, offsets.size()) << "of " << channel << " one was kept that was not acknowledged";
    EXPECT_EQ(*offsets.rbegin(), offsets.size());
  }
  EXPECT_EQ(offsets_.size(), 4U);
  EXPECT_GT(treated_, 100) << "they did not go by the wire";
}

}  // namespace
}  // namespace polyglot::server
