// The server's thread and services over gRPC: what goes well, and what is lent and taken back.
#include "server/process_wire.hpp"

#include "process_wire_fixture.hpp"

namespace polyglot::server {
namespace {

using testing::Answer;
using testing::Client;
using testing::field;
using testing::length;
using testing::offset_in;
using testing::verdict;
using testing::wait_until;
using testing::with_prefix;
using namespace std::string_literals;

using ProcessWireTest = testing::ProcessWireTest;

TEST_F(ProcessWireTest, VerdictsDecide) {
  lend();
  Client client(port_);
  for (std::uint64_t offset = 1; offset < 4; ++offset) {
    client.send(publish_request("a"));
    accept(service());
    const Answer answer = client.answer();
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(offset_in(answer.body), offset);
  }
  client.send(publish_request("a"));
  auto call = service().asked();
  service().reply(call, {with_prefix(verdict(service().ids(call)[0], 3, field(4, "it is bad")))});
  const Answer refused = client.answer();
  EXPECT_EQ(refused.status, 422);
  EXPECT_NE(refused.body.find("The processor refused the event: it is bad"), std::string::npos) << refused.body;
  client.send(publish_request("a"));
  call = service().asked();
  service().reply(call, {with_prefix(verdict(service().ids(call)[0], 2, field(3, "[ 17 ]")))});
  EXPECT_EQ(offset_in(client.answer().body), 4U);
  EXPECT_NE(client.ask(get("/apps/app/channels/a/history")).body.find(R"("data":[ 17 ])"), std::string::npos);
  EXPECT_TRUE(wire().is_lent());
}

TEST_F(ProcessWireTest, AnEventIsSentAsItCame) {
  lend();
  Client client(port_);
  client.send(publish_request("a", R"({"type":"t\"\u00e9","data": {"a" : 1.0} })"));
  const auto call = service().asked();
  const std::string& bytes = service().peer.calls.at(call).bytes;
  const std::string id = service().ids(call).at(0);
  const std::string begin =
      field(1, id) + field(2, "app") + field(3, "a") + field(4, "t\"\u00e9") + field(5, R"({"a" : 1.0})");
  EXPECT_NE(bytes.find(begin), std::string::npos);
  EXPECT_NE(bytes.find("127.0.0.1"), std::string::npos);
  service().reply(call, accepted({id}));
  EXPECT_NE(client.answer().body.find(id), std::string::npos);
}

TEST_F(ProcessWireTest, TheOneWithTheFewestCallsIsAsked) {
  lend(2);
  std::vector<std::unique_ptr<Client>> clients;
  const auto publish = [&](const std::string& channel) {
    clients.push_back(std::make_unique<Client>(port_));
    clients.back()->send(publish_request(channel));
  };
  publish("a");
  const auto slow = service(0).asked();
  for (int i = 0; i < 3; ++i) {  // while the first is away, all go to the other
    publish("b" + std::to_string(i));
    accept(service(1));
    EXPECT_EQ(clients.back()->answer().status, 200);
  }
  service(0).reply(slow, accepted(service(0).ids(slow)));
  EXPECT_EQ(clients.front()->answer().status, 200);
}

TEST_F(ProcessWireTest, WhatIsRevokedIsNotUsedAndWhatIsAwayIsWaitedFor) {
  lend();
  Client first(port_), second(port_);
  first.send(publish_request("a"));
  const auto call = service().asked();
  wire().revoke();
  EXPECT_FALSE(wire().is_lent());
  second.send(publish_request("b"));
  is_for_others(second);
  service().reply(call, accepted(service().ids(call)));
  is_well(first);
  wait_until(
      [this] {
        service().talk();
        return service().is_closed();
      },
      "it to be let go");
}

TEST_F(ProcessWireTest, ALoanMayFollowAnotherWhoseAnswersAreAway) {
  lend();
  Client first(port_), second(port_);
  first.send(publish_request("a"));
  service().asked();
  wire().revoke();
  auto before = std::move(services_);
  lend();
  second.send(publish_request("b"));
  accept(service());
  EXPECT_EQ(second.answer().status, 200);
  before[0]->close();
  const auto batch = left();
  ASSERT_TRUE(batch->answer);
  EXPECT_EQ(batch->answer->answer.status, kGrpcUnavailable);
  fail(batch);
  EXPECT_EQ(first.answer().status, 503);
  EXPECT_TRUE(wire().is_lent()) << "the other loan is no concern of this one's";
}

TEST_F(ProcessWireTest, ABatchThatIsTooLargeForAMessageIsLeftUnsent) {
  gateway_->configure(core::Access(true), core::Rules({.max_event_bytes = 8 << 20}));
  server_->stop();
  server_ = std::make_unique<Server>(*gateway_, ServerOptions{.max_batch_bytes = 16 << 20, .processes = true});
  server_->start({listening_.fd()}, -1);
  lend();
  Client client(port_);
  client.send(publish_request("a", event('"' + std::string(kMostBatchBytes, 'x') + '"')));
  is_for_others(client);
  EXPECT_TRUE(wire().is_lent());
}

TEST_F(ProcessWireTest, AnAnswerOfManyPiecesIsRead) {
  lend();
  Client client(port_);
  client.send(publish_request("a"));
  const auto call = service().asked();
  // An event's largest size is exceeded; the data are a field whose length has several bytes.
  const std::string data = '"' + std::string(2'000'000, 'x') + '"';
  const std::string replaced = field(1, service().ids(call)[0]) + "\x10\x02\x1a"s + length(data) + data;
  service().reply(call, {with_prefix("\x0a"s + length(replaced) + replaced)});
  std::thread answers([this] {
    while (!ends_) service().talk(), std::this_thread::yield();
  });
  EXPECT_EQ(client.answer().status, 413);
  ends_ = true;
  answers.join();
  EXPECT_TRUE(wire().is_lent());
}

// The service is slower than the clients: what it does not take yet waits.
TEST_F(ProcessWireTest, LargeEventsAreSentInPieces) {
  lend();
  const std::string data = '"' + std::string(50'000, 'x') + '"';
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<Client>(port_));
    clients.back()->send(publish_request("a", event(data)));
  }
  for (std::size_t answered = 0; answered < clients.size();) {
    const auto call = service().asked();
    const auto ids = service().ids(call);
    answered += ids.size();
    service().reply(call, accepted(ids));
  }
  for (const auto& client : clients) EXPECT_EQ(client->answer().status, 200);
}

}  // namespace
}  // namespace polyglot::server
