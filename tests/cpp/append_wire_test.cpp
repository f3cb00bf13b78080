// The server's thread and a Redis that says what a test wants.
#include "server/append_wire.hpp"

#include <atomic>
#include <cstdlib>
#include <new>

#include "core/resp.hpp"
#include "server_fixture.hpp"

namespace {

// More bytes at a time are not to be had.
std::atomic<std::size_t> most_bytes{SIZE_MAX};

}  // namespace

// Not inlined, or GCC 12 takes a new that it sees and a free that it sees for no pair.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  void* place = bytes > most_bytes ? nullptr : std::malloc(bytes);
  if (place == nullptr) throw std::bad_alloc();
  return place;
}
[[gnu::noinline]] void operator delete(void* place) noexcept {
  std::free(place);
}
[[gnu::noinline]] void operator delete(void* place, std::size_t) noexcept {
  std::free(place);
}

namespace polyglot::server {
namespace {

using testing::Answer;
using testing::Client;
using testing::offset_in;
using testing::wait_until;
using namespace std::chrono_literals;

constexpr auto kLong = 60s;

class AppendWireTest : public testing::ServerTest {
 protected:
  AppendWireTest() {
    server_ = std::make_unique<Server>(*gateway_, ServerOptions{.engine_elsewhere = true});
    server_->start({listening_.fd()}, -1);
    wire().listed("app", "a", kLong);
    wire().listed("app", "b", kLong);
  }
  ~AppendWireTest() override { server_->stop(); }

  AppendWire& wire() { return server_->append_wire(); }
  void lend(std::chrono::milliseconds answer_time = kLong) {
    int both[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both), 0);
    redis_ = core::FileDescriptor(both[0]);
    wire().lend(both[1], {.prefix = "p", .function = "append"}, answer_time);
    close(both[1]);
  }
  // What the wire has sent, up to `end`.
  std::string asked(std::string_view end) {
    std::string bytes;
    while (bytes.find(end) == std::string::npos) {
      pollfd waited{redis_.get(), POLLIN, 0};
      if (poll(&waited, 1, 10'000) != 1) throw std::runtime_error("nothing was sent behind " + bytes);
      char some[4096];
      const ssize_t count = read(redis_.get(), some, sizeof(some));
      if (count <= 0) throw std::runtime_error("the connection was closed");
      bytes.append(some, static_cast<std::size_t>(count));
    }
    return bytes;
  }
  void say(std::string_view bytes) {
    ASSERT_EQ(::send(redis_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  static std::string kept(std::uint64_t offset) { return "*2\r\n$2\r\n77\r\n:" + std::to_string(offset) + "\r\n"; }
  AppendWire::Left left() {
    std::optional<AppendWire::Left> found;
    wait_until([&] { return (found = wire().take()).has_value(); }, "what is left");
    return std::move(*found);
  }
  void finish(AppendWire::Left left, const core::Status& status) {
    server_->appends().finish(std::move(left.waiting), status);
  }

  // What the client has sent waits in the queue.
  void is_for_others(Client& client) {
    std::vector<AppendQueue::Waiting> waiting;
    wait_until([&] { return !(waiting = server_->appends().take()).empty(); }, "the event");
    server_->appends().finish(std::move(waiting), {core::Code::engine_unavailable, "as an example"});
    EXPECT_EQ(client.answer().status, 503);
  }

  core::FileDescriptor redis_;
};

TEST_F(AppendWireTest, AnAnswerIsAnAcknowledgement) {
  lend();
  Client client(port_);
  for (std::uint64_t offset = 5; offset < 8; ++offset) {
    client.send(publish_request("a"));
    EXPECT_NE(asked("\"offset\":").find("p:{app:a}"), std::string::npos);
    say(kept(offset));
    const Answer answer = client.answer();
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(offset_in(answer.body), offset);
  }
  EXPECT_FALSE(wire().take());
}

TEST_F(AppendWireTest, AnswersInPiecesAreWaitedFor) {
  lend();
  Client client(port_);
  client.send(publish_request("a"));
  asked("\"offset\":");
  for (const char byte : kept(9)) say({&byte, 1});
  EXPECT_EQ(offset_in(client.answer().body), 9U);
}

TEST_F(AppendWireTest, WhileSomethingIsAwayTheRestGathers) {
  lend();
  Client first(port_);
  first.send(publish_request("a"));
  asked("\"offset\":");
  Client second(port_);
  Client third(port_);
  second.send(publish_request("a") + get("/alive"));
  third.send(publish_request("b") + get("/alive"));
  wait_until([this] { return server_->requests() == 3; }, "the others");
  pollfd waited{redis_.get(), POLLIN, 0};
  EXPECT_EQ(poll(&waited, 1, 0), 0);
  say(kept(2));
  EXPECT_EQ(first.answer().status, 200);
  const std::string together = asked("p:{app:b}");
  EXPECT_NE(together.find("p:{app:a}"), std::string::npos);
  say(kept(3) + kept(4));
  EXPECT_EQ(second.answer().status, 200);
  EXPECT_EQ(third.answer().status, 200);
}

TEST_F(AppendWireTest, WhatThereIsNoMemoryToPackIsRefusedAndTheRestGoesOn) {
  lend();
  Client first(port_);
  first.send(publish_request("a"));
  asked("\"offset\":");
  Client second(port_);
  const std::string large = R"({"type":"t","data":")" + std::string(50'000, 'x') + R"("})";
  second.send(publish_request("a", large) + get("/alive"));
  wait_until([this] { return server_->requests() == 2; }, "the other");
  most_bytes = 40'000;
  say(kept(2));
  EXPECT_EQ(first.answer().status, 200);
  const Answer refused = second.answer();
  most_bytes = SIZE_MAX;
  EXPECT_EQ(refused.status, 503);
  EXPECT_NE(refused.body.find("\"overloaded\""), std::string::npos) << refused.body;
  EXPECT_EQ(second.answer().status, 200);
  first.send(publish_request("a"));
  asked("\"offset\":");
  say(kept(3));
  EXPECT_EQ(first.answer().status, 200);
}

TEST_F(AppendWireTest, AChannelThatIsNotListedIsLeftUnsent) {
  lend();
  Client client(port_);
  client.send(publish_request("new"));
  AppendWire::Left unsent = left();
  EXPECT_FALSE(unsent.sent);
  EXPECT_EQ(unsent.calls->channel(0), "new");
  finish(std::move(unsent), {core::Code::engine_unavailable, "as an example"});
  EXPECT_EQ(client.answer().status, 503);
  EXPECT_TRUE(wire().is_lent());
}

TEST_F(AppendWireTest, WhatIsListedNoLongerIsNot) {
  lend();
  wire().listed("app", "a", 0ms);
  Client client(port_);
  client.send(publish_request("a"));
  EXPECT_FALSE(left().sent);
}

TEST_F(AppendWireTest, ARefusalAndABeginningAreLeftWithTheAnswers) {
  lend();
  for (const std::string& answer : {std::string("-OOM no room\r\n"), kept(1)}) {
    Client client(port_);
    client.send(publish_request("a"));
    asked("\"offset\":");
    say(answer);
    AppendWire::Left found = left();
    EXPECT_TRUE(found.sent);
    EXPECT_EQ(found.answers, answer);
    EXPECT_EQ(found.trouble, "");
    finish(std::move(found), {core::Code::engine_unavailable, "as an example"});
    EXPECT_EQ(client.answer().status, 503);
  }
  EXPECT_TRUE(wire().is_lent());
}

TEST_F(AppendWireTest, AnEndLeavesWhatMayHaveBeenDone) {
  for (const std::string& last :
       {std::string(), std::string("*2\r\n$2\r\n77"), std::string("HTTP/1.1 400\r\n"), kept(2) + kept(3)}) {
    lend();
    Client client(port_);
    client.send(publish_request("a"));
    asked("\"offset\":");
    say(last);
    redis_ = core::FileDescriptor();
    AppendWire::Left found = left();
    EXPECT_TRUE(found.sent);
    EXPECT_NE(found.trouble, "");
    EXPECT_FALSE(wire().is_lent());
    finish(std::move(found), {core::Code::engine_unavailable, "as an example"});
    EXPECT_EQ(client.answer().status, 503);
  }
}

TEST_F(AppendWireTest, SilenceIsAnEndToo) {
  lend(50ms);
  Client client(port_);
  client.send(publish_request("a"));
  asked("\"offset\":");
  AppendWire::Left found = left();
  EXPECT_EQ(found.trouble, "no answer");
  EXPECT_FALSE(wire().is_lent());
}

TEST_F(AppendWireTest, AnEndWhileNothingIsAwayLeavesTheNextForOthers) {
  for (const bool says : {false, true}) {
    lend();
    if (says) say("+what\r\n");
    redis_ = core::FileDescriptor();
    wait_until([this] { return !wire().is_lent(); }, "the end to be seen");
    Client client(port_);
    client.send(publish_request("a"));
    is_for_others(client);
  }
}

TEST_F(AppendWireTest, WhatIsRevokedIsNotUsed) {
  lend();
  wire().revoke();
  EXPECT_FALSE(wire().is_lent());
  Client client(port_);
  client.send(publish_request("a"));
  is_for_others(client);
}

TEST_F(AppendWireTest, WhatIsAwayWhenItIsRevokedIsWaitedFor) {
  lend();
  Client first(port_);
  first.send(publish_request("a"));
  asked("\"offset\":");
  wire().revoke();
  Client second(port_);
  second.send(publish_request("a") + get("/alive"));
  wait_until([this] { return server_->requests() == 2; }, "the second");
  say(kept(2));
  EXPECT_EQ(offset_in(first.answer().body), 2U);
  std::vector<AppendQueue::Waiting> waiting;
  wait_until([&] { return !(waiting = server_->appends().take()).empty(); }, "the second event");
  EXPECT_FALSE(wire().take());
  char byte = 0;
  EXPECT_EQ(read(redis_.get(), &byte, 1), 0) << "the connection is let go";
  server_->appends().finish(std::move(waiting), {core::Code::engine_unavailable, "as an example"});
  EXPECT_EQ(second.answer().status, 503);
}

// Redis is slower than the clients: what it does not take yet waits.
TEST_F(AppendWireTest, LargeEventsAreSentInPieces) {
  lend();
  const std::string data = '"' + std::string(50'000, 'x') + '"';
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<Client>(port_));
    clients.back()->send(publish_request("a", event(data)));
  }
  std::uint64_t answered = 0;
  while (answered < clients.size()) {
    std::string bytes = asked("\"offset\":");
    // The number of entries is an argument of its own; each event is counted by its end.
    const auto count = [&bytes] {
      std::uint64_t ends = 0;
      for (std::size_t at = 0; (at = bytes.find("\"offset\":", at)) != std::string::npos; ++at) ++ends;
      return ends;
    };
    const auto whole = [&bytes] { return core::resp_size(bytes) == bytes.size(); };
    while (!whole()) bytes += asked("\r\n");
    say(kept(2 + answered));
    answered += count();
  }
  for (const auto& client : clients) EXPECT_EQ(client->answer().status, 200);
}

}  // namespace
}  // namespace polyglot::server
