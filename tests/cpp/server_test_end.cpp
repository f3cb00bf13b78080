// How the server ends: drained, or stopped with everything open.
#include <atomic>
#include <future>

#include "server_fixture.hpp"

namespace polyglot::server {
namespace {

using testing::Application;
using testing::Client;
using testing::in_parallel;
using testing::PhoenixClient;
using testing::reply_part;
using testing::ServerTest;
using testing::wait_until;

constexpr std::string_view kPoll = "/socket/longpoll?vsn=2.0.0&app_id=app";

// One client of each kind.
struct Everyone {
  Everyone(std::uint16_t port, const std::function<std::string(std::string_view)>& get)
      : idle(port), waiting(port), polling(port), stream(port), socket(port, "&app_id=app&token=valid_key_app") {
    EXPECT_EQ(idle.ask(get("/alive")).status, 200);
    waiting.send(get("/application"));
    const std::string opened = polling.ask(get(kPoll)).body;
    const std::size_t at = opened.find("longpoll-");
    polling.send(get(std::string(kPoll) + "&token=" + opened.substr(at, opened.find('"', at) - at)));
    stream.send(get("/apps/app/channels/room:1/events"));
    EXPECT_EQ(stream.head().status, 200);
    stream.take_to("\n\n");
    EXPECT_EQ(socket.opened(), 101);
    socket.join("room:1", R"({"presence":{"key":"bob","meta":{}}})");
    socket.next_with("presence_state");
  }
  Client idle;     // between two requests
  Client waiting;  // for the application
  Client polling;
  Client stream;
  PhoenixClient socket;
};

TEST_F(ServerTest, DrainsEveryKindOfClient) {
  std::atomic<std::uint64_t> request{0};
  const Application application(*server_, [&](const HandoffJob& job) {
    if (std::holds_alternative<ApplicationRequest>(job.what)) request = job.id;
  });
  Everyone clients(port_, get);
  wait_until([&] { return request != 0; }, "the application to be asked");
  EXPECT_FALSE(server_->drained());
  server_->drain(2);
  EXPECT_EQ(clients.polling.answer().body, R"({"status":410,"token":null,"messages":[]})");
  EXPECT_EQ(clients.socket.next_with("close 1012"), "close 1012");
  EXPECT_TRUE(clients.stream.rest().ends_with("0\r\n\r\n"));
  EXPECT_FALSE(server_->drained());
  server_->handoff().reply(request, reply_part(Part::whole, "answered"));
  const testing::Answer answer = clients.waiting.answer();
  EXPECT_EQ(answer.body, "answered");
  EXPECT_NE(answer.head.find("Connection: close\r\n"), std::string::npos);
  EXPECT_EQ(clients.idle.ask(get("/alive")).status, 200);  // the last request of this connection
  for (Client* each : {&clients.idle, &clients.waiting, &clients.polling, &clients.socket.client()}) {
    EXPECT_EQ(each->rest(), "");
    each->close();
  }
  clients.stream.close();
  wait_until([&] { return server_->drained(); }, "the end of the drain");
}

TEST_F(ServerTest, StopsWithEverythingOpen) {
  std::atomic<std::uint64_t> request{0};
  std::atomic<int> questions{0};
  const Application application(*server_, [&](const HandoffJob& job) {
    if (std::holds_alternative<ApplicationRequest>(job.what)) request = job.id;
    if (std::holds_alternative<Question>(job.what)) ++questions;
  });
  Everyone clients(port_, get);
  Client half(port_);
  half.send(publish_request("room:1").substr(0, 100));
  PhoenixClient undecided(port_, "&app_id=app&token=a.b.c");
  clients.socket.join("room:2", R"({"access_token":"a.b.c"})");
  Client late(port_);
  late.send("GET " + std::string(kPoll) + " HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a.b.c\r\n\r\n");
  wait_until([&] { return request != 0 && questions == 3; }, "the application to be asked");
  server_->stop();
  server_->handoff().reply(request, reply_part(Part::whole, "too late"));
  server_->handoff().decide(request + 1, {});
  server_->stop();
  for (Client* each : {&clients.idle, &clients.waiting, &clients.polling, &clients.socket.client(), &half,
                       &undecided.client(), &late}) {
    EXPECT_EQ(each->rest(), "");
  }
  EXPECT_EQ(clients.stream.rest().find("0\r\n\r\n"), std::string::npos);
}

TEST_F(ServerTest, StopsWhileEveryoneIsBusy) {
  const Application application(*server_, [&](const HandoffJob& job) {
    if (std::holds_alternative<ApplicationRequest>(job.what)) {
      server_->handoff().reply(job.id, reply_part(Part::whole, "answered"));
    }
  });
  std::atomic<int> answered{0};
  auto load = std::async(std::launch::async, [&] {
    in_parallel(4, [&](int number) {
      Client client(port_);
      try {
        while (true) {
          client.ask(number % 2 == 0 ? get("/application") : publish_request("room:1"));
          ++answered;
        }
      } catch (const std::runtime_error&) {
        // The server is gone; what it acknowledged is counted.
      }
    });
  });
  wait_until([&] { return answered > 100; }, "some load");
  server_->stop();
  load.get();
}

}  // namespace
}  // namespace polyglot::server
