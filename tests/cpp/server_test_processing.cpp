// The server before a processor, which here is a thread of this process.
#include <atomic>
#include <functional>
#include <map>
#include <mutex>

#include "server_fixture.hpp"

namespace polyglot::server {
namespace {

using core::Code;
using testing::Answer;
using testing::Client;
using testing::in_parallel;
using testing::offset_in;
using testing::PhoenixClient;
using testing::wait_until;

class ServerProcessingTest : public testing::ServerTest {
 protected:
  ServerProcessingTest() {
    core::Rules rules({.max_event_bytes = 65536});
    const auto add = [&rules](std::string_view pattern, const core::ChannelRule& rule) {
      rules.add("*", core::testing::taken(core::ChannelPattern::parse(pattern)), rule);
    };
    add("room:*", {.client_publish = true, .presence = true});
    add("plain:*", {.processor = false});
    add("bypass:*", {.bypass_processor = true});
    gateway_->configure(core::Access(true), std::move(rules));
    server_ = std::make_unique<Server>(*gateway_, ServerOptions{.processes = true, .most_processed = 3});
    server_->start({listening_.fd()}, -1);
    processor_ = std::thread([this] {
      pollfd waited{server_->processing().fd(), POLLIN, 0};
      while (!ends_) {
        if (::poll(&waited, 1, 10) <= 0) continue;
        while (auto batch = server_->processing().take()) take(std::move(batch));
      }
    });
  }
  ~ServerProcessingTest() override {
    ends_ = true;
    processor_.join();
    server_->stop();
  }

  void take(std::shared_ptr<ProcessQueue::Batch> batch) {
    const std::lock_guard guard(mutex_);
    ++batches_;
    if (holds_) return held_.push_back(std::move(batch));
    answer(std::move(batch));
  }
  void answer(std::shared_ptr<ProcessQueue::Batch> batch) {
    core::ProcessCall& call = *batch->call;
    if (fails_) call.fail({Code::processor_unavailable, "It does not answer."});
    for (std::size_t i = 0; i < call.events().size() && !fails_; ++i) {
      const std::string data(call.events()[i].item->event.data);
      if (data == "\"bad\"") call.reject(i, "it is bad");
      if (data.starts_with('1')) call.replace(i, "[" + data + "]");
    }
    call.finish();
    server_->processing().finish(std::move(batch));
  }
  std::size_t held() {
    const std::lock_guard guard(mutex_);
    return held_.size();
  }
  std::vector<std::string> channels_held() {
    const std::lock_guard guard(mutex_);
    std::vector<std::string> channels;
    for (const auto& batch : held_) {
      for (const auto& event : batch->call->events()) channels.emplace_back(event.item->channel);
    }
    return channels;
  }
  void release() {
    const std::lock_guard guard(mutex_);
    holds_ = false;
    for (auto& batch : std::exchange(held_, {})) answer(std::move(batch));
  }
  std::string history(Client& client, const std::string& channel) {
    return client.ask(get("/apps/app/channels/" + channel + "/history")).body;
  }

  std::atomic<bool> fails_{false};
  std::atomic<bool> holds_{false};
  std::atomic<int> batches_{0};

 private:
  std::mutex mutex_;
  std::vector<std::shared_ptr<ProcessQueue::Batch>> held_;
  std::atomic<bool> ends_{false};
  std::thread processor_;
};

TEST_F(ServerProcessingTest, WhatIsKeptIsWhatTheProcessorSays) {
  PhoenixClient subscriber(port_, "&app_id=app&token=valid_key_app");
  ASSERT_EQ(subscriber.opened(), 101);
  subscriber.join("room:1");
  subscriber.next_with("phx_reply");
  Client client(port_);
  EXPECT_EQ(client.ask(publish_request("room:1", event("17"))).status, 200);
  const Answer refused = client.ask(publish_request("room:1", event("\"bad\"")));
  EXPECT_EQ(refused.status, 422);
  EXPECT_NE(refused.body.find(R"("code":"event_rejected")"), std::string::npos) << refused.body;
  EXPECT_NE(refused.body.find("The processor refused the event: it is bad"), std::string::npos);
  const Answer kept = client.ask(publish_request("room:1", event("\"good\"")));
  EXPECT_EQ(kept.status, 200);
  EXPECT_EQ(offset_in(kept.body), 2U) << "a refused event leaves no trace";
  EXPECT_NE(subscriber.next_with(R"("event",{)").find(R"("data":[17])"), std::string::npos);
  EXPECT_NE(subscriber.next_with(R"("event",{)").find(R"("data":"good")"), std::string::npos);
  EXPECT_NE(history(client, "room:1").find(R"("data":[17])"), std::string::npos);
}

TEST_F(ServerProcessingTest, RequestsThatComeTogetherAreAnsweredInOrder) {
  Client client(port_);
  std::string requests;
  for (int i = 0; i < 20; ++i) requests += publish_request("news") + publish_request("plain:1") + get("/alive");
  client.send(requests);
  for (std::uint64_t offset = 1; offset <= 20; ++offset) {
    for (int i = 0; i < 2; ++i) {
      const Answer answer = client.answer();
      ASSERT_EQ(answer.status, 200) << answer.body;
      ASSERT_EQ(offset_in(answer.body), offset);
    }
    ASSERT_EQ(client.answer().body, R"({"status":"alive"})");
  }
}

TEST_F(ServerProcessingTest, OfABatchEachEventIsOnItsOwn) {
  Client client(port_);
  const Answer answer = client.ask(
      batch_request(R"({"events":[{"channel":"a","type":"t","data":1},{"channel":"plain:1","type":"t","data":1},)"
                    R"({"channel":"b","type":"t","data":"bad"},{"channel":"no spaces","type":"t","data":1}]})"));
  EXPECT_EQ(answer.status, 200);
  EXPECT_NE(answer.body.find(R"({"channel":"b","code":"event_rejected")"), std::string::npos) << answer.body;
  EXPECT_NE(answer.body.find(R"("code":"invalid_channel")"), std::string::npos);
  EXPECT_NE(history(client, "a").find(R"("data":[1])"), std::string::npos);
  EXPECT_NE(history(client, "plain:1").find(R"("data":1)"), std::string::npos);
  for (const char* none : {R"({"events":[{"channel":"plain:1","type":"t","data":1}]})",
                           R"({"events":[{"channel":"no spaces","type":"t","data":1}]})",
                           R"({"events":[{"channel":"b","type":"t","data":"bad"}]})"}) {
    EXPECT_EQ(client.ask(batch_request(none)).status, 200) << none;
  }
}

TEST_F(ServerProcessingTest, SocketsPublishByItToo) {
  PhoenixClient socket(port_, "&app_id=app&token=valid_key_app");
  ASSERT_EQ(socket.opened(), 101);
  socket.join("room:1");
  socket.next_with("phx_reply");
  socket.send(R"(["1","2","room:1","publish",{"type":"t","data":1}])");
  EXPECT_EQ(offset_in(socket.next_with(R"("2","room:1","phx_reply",{"status":"ok")")), 1U);
  socket.send(R"(["1","3","room:1","publish",{"type":"t","data":"bad"}])");
  EXPECT_NE(socket.next_with(R"("3","room:1","phx_reply")").find("event_rejected"), std::string::npos);
}

TEST_F(ServerProcessingTest, ItsFailureIsToldUnlessTheRuleLetsEventsPass) {
  fails_ = true;
  Client client(port_);
  const Answer answer = client.ask(publish_request("news"));
  EXPECT_EQ(answer.status, 503);
  EXPECT_NE(answer.head.find("Retry-After: 1"), std::string::npos);
  EXPECT_NE(answer.body.find(R"("code":"processor_unavailable")"), std::string::npos);
  EXPECT_EQ(client.ask(publish_request("bypass:1")).status, 200);
  EXPECT_EQ(client.ask(publish_request("plain:1")).status, 200);
  fails_ = false;
  EXPECT_EQ(offset_in(client.ask(publish_request("news")).body), 1U);
}

TEST_F(ServerProcessingTest, WhatComesMeanwhileGoesTogether) {
  holds_ = true;
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<Client>(port_));
    clients.back()->send(publish_request("news", event(std::to_string(i))));
  }
  wait_until([this] { return held() == 1 && server_->requests() == 20; }, "the first");
  release();
  for (const auto& client : clients) EXPECT_EQ(client->answer().status, 200);
  EXPECT_LE(batches_, 3);
}

// A batch that is slow holds up its own channels alone.
TEST_F(ServerProcessingTest, AChannelWaitsForItsOwnEventsAndForNoOthers) {
  holds_ = true;
  const auto send = [this](Client& client, std::string_view channel, std::size_t held_then) {
    client.send(publish_request(channel));
    wait_until([&] { return held() == held_then; }, "a batch");
  };
  Client first(port_), second(port_), third(port_), fourth(port_), fifth(port_);
  send(first, "a", 1);
  second.send(publish_request("a"));
  send(third, "b", 2);
  send(fourth, "c", 3);
  EXPECT_EQ(channels_held(), (std::vector<std::string>{"a", "b", "c"})) << "the second of a waits";
  fifth.send(publish_request("d"));
  EXPECT_EQ(Client(port_).ask(publish_request("plain:1")).status, 200);
  EXPECT_EQ(held(), 3U) << "there are no more at a time";
  release();
  for (Client* client : {&first, &second, &third, &fourth, &fifth}) EXPECT_EQ(client->answer().status, 200);
}

TEST_F(ServerProcessingTest, ManyEventsGoWithoutWaiting) {
  holds_ = true;
  std::string many = R"({"events":[)";
  for (std::size_t i = 0; i < kManyToProcess; ++i) many += R"({"channel":"b","type":"t","data":2},)";
  many.back() = ']';
  Client first(port_), second(port_);
  first.send(publish_request("a"));
  wait_until([this] { return held() == 1; }, "the first");
  second.send(batch_request(many + '}'));
  wait_until([this] { return held() == 2; }, "the second");
  release();
  EXPECT_EQ(first.answer().status, 200);
  EXPECT_EQ(second.answer().status, 200);
}

TEST_F(ServerProcessingTest, TheOrderOfAChannelHolds) {
  constexpr int kClients = 8;
  constexpr int kEvents = 50;
  in_parallel(kClients, [&](int client_number) {
    Client client(port_);
    std::string requests;
    for (int i = 0; i < kEvents; ++i) {
      requests += publish_request("c" + std::to_string(client_number % 3), event(std::to_string(2000 + i)));
    }
    client.send(requests);
    std::uint64_t last = 0;
    for (int i = 0; i < kEvents; ++i) {
      const std::uint64_t offset = offset_in(client.answer().body);
      EXPECT_GT(offset, last);
      last = offset;
    }
  });
}

TEST_F(ServerProcessingTest, AClientThatLeavesBeforeTheAnswerHurtsNobody) {
  holds_ = true;
  Client stays(port_);
  {
    Client gone(port_);
    gone.send(publish_request("news"));
    wait_until([this] { return held() == 1; }, "its event");
    gone.reset();
  }
  stays.send(publish_request("news"));
  wait_until([this] { return server_->requests() == 2; }, "the other");
  release();
  EXPECT_EQ(offset_in(stays.answer().body), 2U) << "what was sent is kept";
}

TEST_F(ServerProcessingTest, AStopWithEventsAwayHurtsNobody) {
  holds_ = true;
  Client client(port_);
  client.send(publish_request("news"));
  wait_until([this] { return held() == 1; }, "the event");
  server_->stop();
  EXPECT_EQ(client.rest(), "");
  release();
}

}  // namespace
}  // namespace polyglot::server
