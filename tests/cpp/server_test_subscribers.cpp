// Subscribers while other threads, and another worker of the host, publish.
#include <atomic>
#include <future>

#include "server_fixture.hpp"

namespace polyglot::server {
namespace {

using testing::Client;
using testing::in_parallel;
using testing::offset_in;
using testing::PhoenixClient;
using testing::ServerTest;
using testing::wait_until;

class SubscribersTest : public ServerTest {
 protected:
  static constexpr std::uint64_t kEach = 300;

  SubscribersTest() { configure(*other_, 65536); }

  // Publishes kEach events by each of the two gateways and, from a socket, by the server's own thread.
  void publish_everywhere() {
    in_parallel(3, [this](int number) {
      if (number < 2) {
        for (std::uint64_t i = 0; i < kEach; ++i) publish(number == 0 ? *gateway_ : *other_, "room:1");
        return;
      }
      PhoenixClient socket(port_, "&app_id=app&token=valid_key_app");
      ASSERT_EQ(socket.opened(), 101);
      socket.join("room:1");
      for (std::uint64_t i = 0; i < kEach; ++i) {
        socket.send(R"(["1","p","room:1","publish",{"type":"test","data":1}])");
        ASSERT_NE(socket.next_with("[\"1\",\"p\"").find("\"status\":\"ok\""), std::string::npos);
      }
    });
  }
  static constexpr std::uint64_t kAll = 3 * kEach;

  std::unique_ptr<core::Gateway> other_ = open_gateway();
};

TEST_F(SubscribersTest, SocketsGetEveryEventInOrder) {
  std::atomic<int> joined{0};
  auto readers = std::async(std::launch::async, [&] {
    in_parallel(3, [&](int number) {
      PhoenixClient socket(port_, "&app_id=app&token=valid_key_app");
      ASSERT_EQ(socket.opened(), 101);
      socket.join("room:1", number == 0 ? R"({"presence":{"key":"bob","meta":{}}})" : "{}");
      socket.next_with("phx_reply");
      ++joined;
      for (std::uint64_t offset = 1; offset <= kAll; ++offset) {
        ASSERT_EQ(offset_in(socket.next_with("[null,null,\"room:1\",\"event\"")), offset);
      }
    });
  });
  wait_until([&] { return joined == 3; }, "the joins");
  publish_everywhere();
  readers.get();
}

TEST_F(SubscribersTest, StreamsGetEveryEventInOrder) {
  std::atomic<int> joined{0};
  auto readers = std::async(std::launch::async, [&] {
    in_parallel(3, [&](int) {
      Client client(port_);
      client.send(get("/apps/app/channels/room:1/events"));
      ASSERT_EQ(client.head().status, 200);
      client.take_to("\n\n");
      ++joined;
      for (std::uint64_t offset = 1; offset <= kAll; ++offset) {
        client.take_to("data: ");
        ASSERT_EQ(offset_in(client.take_to("\n")), offset);
      }
    });
  });
  wait_until([&] { return joined == 3; }, "the streams");
  publish_everywhere();
  readers.get();
}

// Each request on a connection of its own, to either of two workers.
TEST_F(SubscribersTest, LongPollsGetEveryEventInOrderByWayOfAnyWorker) {
  Server second(*other_, {});
  const testing::Listening listening;
  second.start({listening.fd()}, -1);
  std::atomic<int> joined{0};
  auto readers = std::async(std::launch::async, [&] {
    in_parallel(3, [&](int number) {
      int requests = number;
      std::string token;
      const auto ask = [&](std::string_view method, const std::string& body) {
        Client client(requests++ % 2 == 0 ? port_ : listening.port());
        return client
            .ask(std::string(method) + " /socket/longpoll?vsn=2.0.0&app_id=app" + token +
                 " HTTP/1.1\r\nHost: a\r\nX-API-Key: valid_key_app\r\nContent-Length: " + std::to_string(body.size()) +
                 "\r\n\r\n" + body)
            .body;
      };
      const std::string opened = ask("GET", {});
      const std::size_t at = opened.find("longpoll-");
      ASSERT_NE(at, std::string::npos) << opened;
      token = "&token=" + opened.substr(at, opened.find('"', at) - at);
      ASSERT_NE(ask("POST", R"(["1","1","room:1","phx_join",{}])").find("\"status\":200"), std::string::npos);
      ++joined;
      std::uint64_t offset = 1;
      while (offset <= kAll) {
        const std::string got = ask("GET", {});
        ASSERT_NE(got.find("\"status\":20"), std::string::npos) << got;
        const std::string_view head = R"(\"event\",)";
        for (std::size_t next = got.find(head); next != std::string::npos; next = got.find(head, next + 1)) {
          const std::size_t number_at = got.find(R"(\"offset\":)", next) + 11;
          ASSERT_EQ(std::stoull(got.substr(number_at, 20)), offset++) << got.substr(next, 400);
        }
      }
    });
  });
  wait_until([&] { return joined == 3; }, "the joins");
  publish_everywhere();
  readers.get();
}

TEST_F(SubscribersTest, CutsOffSocketsThatReadTooSlowly) {
  PhoenixClient slow(port_, "&app_id=app&token=valid_key_app", 4096);
  ASSERT_EQ(slow.opened(), 101);
  slow.join("room:1");
  slow.next_with("presence_state");
  const std::string large = event('"' + std::string(60'000, 'x') + '"');
  for (int i = 0; i < 200; ++i) publish(i % 2 == 0 ? *gateway_ : *other_, "room:1", large);
  std::string last = slow.next();
  std::uint64_t offset = 0;
  while (!last.starts_with("close ")) {
    if (last.find("\"event\"") != std::string::npos) {
      ASSERT_EQ(offset_in(last), offset + 1);
      ++offset;
    }
    last = slow.next();
  }
  EXPECT_EQ(last, "close 4008");
  EXPECT_LT(offset, 200U);
}

// A connection that ends while the hub has it in hand: in the middle of a burst, of many channels, in all ways.
TEST_F(SubscribersTest, ForgetsSubscribersThatGoAtAnyTime) {
  std::atomic<bool> ended{false};
  auto load = std::async(std::launch::async, [&] {
    const std::string large = event('"' + std::string(60'000, 'x') + '"');
    for (int i = 0; !ended; ++i) {
      for (int burst = 0; burst < 40; ++burst) publish(*other_, "room:" + std::to_string(burst % 3), large);
    }
  });
  in_parallel(3, [&](int number) {
    for (int i = 0; i < 60; ++i) {
      PhoenixClient socket(port_, "&app_id=app&token=valid_key_app", 4096);
      ASSERT_EQ(socket.opened(), 101);
      socket.send(R"(["1","1","room:0","phx_join",{"since":0}])");
      socket.send(R"(["2","2","room:1","phx_join",{"presence":{"key":"bob","meta":{}}}])");
      socket.send(R"(["3","3","room:2","phx_join",{}])");
      for (int frame = 0; frame < (i + number) % 12; ++frame) {
        if (socket.next().starts_with("close ")) break;
      }
      Client stream(port_, 4096);
      stream.send(get("/apps/app/channels/room:1/events?since=0"));
      ASSERT_EQ(stream.head().status, 200);
      if (i % 2 == 0) socket.client().reset();
      if (i % 3 == 0) stream.reset();
    }
  });
  ended = true;
  load.get();
  wait_until([&] { return server_->connections() == 0; }, "the connections' end");
}

}  // namespace
}  // namespace polyglot::server
