// The server's thread and services over gRPC that say what a test wants.
#include "server/process_wire.hpp"

#include "grpc_service.hpp"
#include "server_fixture.hpp"

namespace polyglot::server {
namespace {

using testing::Answer;
using testing::Client;
using testing::GrpcPeer;
using testing::GrpcService;
using testing::offset_in;
using testing::wait_until;
using testing::with_prefix;
using namespace std::chrono_literals;
using namespace std::string_literals;

constexpr auto kLong = 60s;

std::string field(int number, const std::string& text) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(text.size())} + text;
}
std::string verdict(const std::string& id, int kind, const std::string& more = {}) {
  return field(1, field(1, id) + "\x10"s + static_cast<char>(kind) + more);
}

class ProcessWireTest : public testing::ServerTest {
 protected:
  ProcessWireTest() {
    server_ = std::make_unique<Server>(*gateway_, ServerOptions{.processes = true, .most_processed = 8});
    server_->start({listening_.fd()}, -1);
  }
  ~ProcessWireTest() override { server_->stop(); }

  ProcessWire& wire() { return server_->process_wire(); }
  // To so many services, which have said hello.
  void lend(std::size_t count = 1, std::chrono::milliseconds answer_time = kLong, bool greet = true) {
    services_.clear();
    std::vector<ProcessWire::Connection> connections;
    for (std::size_t i = 0; i < count; ++i) {
      int both[2];
      ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both), 0);
      services_.push_back(std::make_unique<GrpcService>(core::FileDescriptor(both[0])));
      if (greet) services_.back()->peer.greet();
      services_.back()->talk();
      connections.push_back({both[1], {"/a.B/C", "host", ""}, i, static_cast<std::int64_t>(40 + i)});
    }
    wire().lend(connections, answer_time);
    for (const auto& connection : connections) close(connection.fd);
    if (!greet) return;
    // Its acknowledgement comes once it has been heard.
    for (const auto& service : services_) heard(*service);
  }
  static void heard(GrpcService& service) {
    wait_until(
        [&] {
          service.talk();
          return service.peer.is_acknowledged();
        },
        "the settings to be heard");
  }
  GrpcService& service(std::size_t i = 0) { return *services_[i]; }
  std::shared_ptr<ProcessQueue::Batch> left() {
    std::shared_ptr<ProcessQueue::Batch> batch;
    wait_until([&] { return (batch = server_->processing().take()) != nullptr; }, "what is left");
    return batch;
  }
  void fail(const std::shared_ptr<ProcessQueue::Batch>& batch) {
    batch->call->fail({core::Code::processor_unavailable, "as an example"});
    batch->call->finish();
    server_->processing().finish(batch);
  }
  // What the client has sent was not sent on.
  void is_for_others(Client& client) {
    const auto batch = left();
    EXPECT_FALSE(batch->answer);
    fail(batch);
    EXPECT_EQ(client.answer().status, 503);
  }
  static GrpcPeer::Reply accepted(const std::vector<std::string>& ids) {
    std::string message;
    for (const std::string& id : ids) message += verdict(id, 1);
    return {with_prefix(message)};
  }
  void accept(GrpcService& service) {
    const auto id = service.asked();
    service.reply(id, accepted(service.ids(id)));
  }

  std::vector<std::unique_ptr<GrpcService>> services_;
};

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
  const auto [id] = std::array{service().ids(call).at(0)};
  const std::string begin =
      field(1, id) + field(2, "app") + field(3, "a") + field(4, "t\"\u00e9") + field(5, R"({"a" : 1.0})");
  EXPECT_NE(bytes.find(begin), std::string::npos);
  EXPECT_NE(bytes.find("127.0.0.1"), std::string::npos);
  service().reply(call, accepted({id}));
  EXPECT_NE(client.answer().body.find(id), std::string::npos);
}

TEST_F(ProcessWireTest, WhatIsNoVerdictOnEachEventIsLeftAndNothingIsDone) {
  for (const int wrong : {0, 1, 2, 3, 4}) {
    lend();
    Client client(port_);
    client.send(publish_request("a"));
    const auto call = service().asked();
    const std::string id = service().ids(call)[0];
    const std::string messages[] = {"", verdict(id, 1) + verdict(id, 1), verdict("evt_other", 1), verdict(id, 9),
                                    "\xff what"};
    service().reply(call, {with_prefix(messages[wrong])});
    const auto batch = left();
    ASSERT_TRUE(batch->answer);
    EXPECT_EQ(batch->answer->answer.status, 0);
    EXPECT_EQ(batch->answer->answer.text, messages[wrong]);
    EXPECT_FALSE(wire().is_lent());
    fail(batch);
    EXPECT_EQ(client.answer().status, 503);
  }
}

TEST_F(ProcessWireTest, AStatusIsLeftWithWhereItCameFrom) {
  lend(2);
  Client client(port_);
  client.send(publish_request("a"));
  accept(service(0));
  EXPECT_EQ(client.answer().status, 200);
  client.send(publish_request("a"));
  service(1).reply(service(1).asked(), {"", {{"grpc-status", "13"}, {"grpc-message", "secret"}}});
  const auto batch = left();
  ASSERT_TRUE(batch->answer);
  EXPECT_EQ(batch->answer->way, 1U);
  EXPECT_EQ(batch->answer->admission, 41);
  EXPECT_EQ(batch->answer->answer.status, 13);
  EXPECT_EQ(batch->answer->answer.text, "secret");
  EXPECT_FALSE(batch->answer->answer.unseen);
  EXPECT_GT(batch->answer->time.count(), 0);
  fail(batch);
  EXPECT_EQ(client.answer().status, 503);
  wait_until([this] { return service(0).is_closed() && service(1).is_closed(); }, "both to be let go");
}

TEST_F(ProcessWireTest, AnEndLeavesWhatMayHaveBeenSeen) {
  for (const std::string& last : {""s, "HTTP/1.1 400 Bad Request\r\n\r\n"s, "\0\0\1\0"s}) {
    lend();
    Client client(port_);
    client.send(publish_request("a"));
    service().asked();
    service().say(last);
    service().close();
    const auto batch = left();
    ASSERT_TRUE(batch->answer);
    EXPECT_EQ(batch->answer->answer.status, kGrpcUnavailable);
    EXPECT_FALSE(batch->answer->answer.unseen);
    EXPECT_FALSE(wire().is_lent());
    fail(batch);
    EXPECT_EQ(client.answer().status, 503);
  }
}

TEST_F(ProcessWireTest, AnEndWhileNothingIsAwayLeavesTheNextForOthers) {
  for (const bool goes_away : {false, true}) {
    lend(2);
    if (goes_away) {
      service(1).peer.go_away(0);
      service(1).talk();
    } else {
      service(1).close();
    }
    wait_until([this] { return !wire().is_lent(); }, "the end to be seen");
    Client client(port_);
    client.send(publish_request("a"));
    is_for_others(client);
  }
}

TEST_F(ProcessWireTest, WhoGoesAwayAnswersWhatItHas) {
  lend();
  Client client(port_);
  client.send(publish_request("a"));
  const auto call = service().asked();
  service().peer.go_away(call);
  service().talk();
  wait_until([this] { return !wire().is_lent(); }, "the end to be seen");
  service().reply(call, accepted(service().ids(call)));
  EXPECT_EQ(client.answer().status, 200);
}

TEST_F(ProcessWireTest, WhatIsRefusedUnseenIsSaidToBe) {
  lend();
  Client client(port_);
  client.send(publish_request("a"));
  service().asked();
  service().peer.go_away(0);
  service().talk();
  const auto batch = left();
  ASSERT_TRUE(batch->answer);
  EXPECT_TRUE(batch->answer->answer.unseen);
  fail(batch);
  EXPECT_EQ(client.answer().status, 503);
}

TEST_F(ProcessWireTest, SilenceIsAnEndToo) {
  lend(1, 50ms);
  Client client(port_);
  client.send(publish_request("a"));
  const auto batch = left();
  ASSERT_TRUE(batch->answer);
  EXPECT_EQ(batch->answer->answer.status, kGrpcDeadlineExceeded);
  EXPECT_GE(batch->answer->time, 50ms);
  EXPECT_FALSE(wire().is_lent());
  fail(batch);
  EXPECT_EQ(client.answer().status, 503);
}

TEST_F(ProcessWireTest, WhoHasNotSaidThatItSpeaksHttp2IsNotAsked) {
  lend(1, 200ms, false);
  Client client(port_);
  client.send(publish_request("a"));
  is_for_others(client);
  wait_until([this] { return !wire().is_lent(); }, "the patience to end");
  wait_until(
      [this] {
        service().talk();
        return service().is_closed();
      },
      "it to be let go");
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
  EXPECT_EQ(first.answer().status, 200);
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
  const auto call = service().asked();
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
  EXPECT_GT(call, 0);
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
