// A server whose thread is lent connections to services over gRPC.
#pragma once

#include "grpc_service.hpp"
#include "server/process_wire.hpp"
#include "server_fixture.hpp"

namespace polyglot::server::testing {

using namespace std::chrono_literals;
using namespace std::string_literals;

inline constexpr auto kLong = 60s;

inline std::string field(int number, const std::string& text) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(text.size())} + text;
}
// As a varint.
inline std::string length(const std::string& text) {
  std::string bytes;
  for (std::size_t left = text.size(); bytes.empty() || left > 0; left >>= 7) {
    bytes.push_back(static_cast<char>((left & 0x7F) | (left > 0x7F ? 0x80 : 0)));
  }
  return bytes;
}
inline std::string verdict(const std::string& id, int kind, const std::string& more = {}) {
  return field(1, field(1, id) + "\x10"s + static_cast<char>(kind) + more);
}

class ProcessWireTest : public ServerTest {
 protected:
  ProcessWireTest() {
    server_ = std::make_unique<Server>(*gateway_, ServerOptions{.processes = true, .most_processed = 8});
    server_->start({listening_.fd()}, -1);
  }
  ~ProcessWireTest() override { server_->stop(); }

  ProcessWire& wire() { return server_->process_wire(); }
  // To so many services, which have said hello.
  void lend(std::size_t count = 1, std::chrono::milliseconds answer_time = kLong, bool greet = true,
            std::uint32_t most_calls = 100) {
    services_.clear();
    std::vector<ProcessWire::Connection> connections;
    for (std::size_t i = 0; i < count; ++i) {
      int both[2];
      ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both), 0);
      services_.push_back(std::make_unique<GrpcService>(core::FileDescriptor(both[0])));
      if (greet) services_.back()->peer.greet(most_calls);
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
  // The loan was over before the answer, which is left as it came.
  void is_well(Client& client) {
    const auto batch = left();
    ASSERT_TRUE(batch->answer);
    EXPECT_EQ(batch->answer->answer.status, 0);
    EXPECT_NE(batch->answer->answer.text, "");
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
  std::atomic<bool> ends_{false};
};

}  // namespace polyglot::server::testing
