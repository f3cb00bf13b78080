// The server's thread and a Redis that tells what a test wants.
#include "server/news.hpp"

#include "server_fixture.hpp"

namespace polyglot::server {
namespace {

using testing::offset_in;
using testing::PhoenixClient;
using testing::wait_until;

std::string text(std::string_view bytes) {
  return '$' + std::to_string(bytes.size()) + "\r\n" + std::string(bytes) + "\r\n";
}

class NewsTest : public testing::ServerTest {
 protected:
  NewsTest() {
    int both[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both) != 0) throw std::runtime_error("no sockets");
    redis_ = core::FileDescriptor(both[0]);
    news_ = server_->listen(both[1]);
    close(both[1]);
    // The channel is here, up to its second event.
    core::testing::taken(gateway_->replace("app", "room:1", state().epoch, replica(1, 2)));
  }
  ~NewsTest() override {
    server_->stop();
    news_.reset();
  }

  core::ChannelState state() { return core::testing::taken(gateway_->replicated("app", "room:1")); }
  core::Replica replica(std::uint64_t first, std::size_t count) {
    core::Replica replica{.epoch = 77, .first = first};
    for (std::size_t i = 0; i < count; ++i) {
      std::string& envelope = envelopes_.emplace_back();
      const auto time = static_cast<core::TimeUs>(first + i);
      core::append_envelope(envelope, {"app", "room:1", core::Ulid{}, time, {}, {}},
                            core::testing::taken(core::parse_event(R"({"type":"t","data":1})")));
      replica.events.push_back({envelope, time});
    }
    return replica;
  }
  // As Redis tells it.
  std::string message(std::uint64_t first, std::size_t count, std::string_view stream = "p:{app:room:1}") {
    const core::Replica told = replica(first, count);
    std::string bytes = "77 " + std::to_string(first) + ' ' + std::to_string(count) + '\n';
    for (const auto& event : told.events) {
      bytes += std::to_string(event.time) + ' ' + std::to_string(event.envelope.size()) + '\n';
      bytes += event.envelope;
    }
    return "*3\r\n" + text("smessage") + text(stream) + text(bytes);
  }
  void tell(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(redis_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      ASSERT_GT(count, 0);
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
  }
  News::Left left() {
    pollfd waited{news_->fd(), POLLIN, 0};
    if (poll(&waited, 1, 60'000) != 1) throw std::runtime_error("nothing was left");
    return news_->take();
  }

  std::deque<std::string> envelopes_;
  core::FileDescriptor redis_;
  std::shared_ptr<News> news_;
};

TEST_F(NewsTest, WhatFollowsIsInTheHistoryBeforeALaterAnswerIsRead) {
  tell(message(3, 2) + message(5, 1) + "+PONG\r\n");
  const News::Left found = left();
  EXPECT_EQ(found.bytes, "+PONG\r\n");
  EXPECT_FALSE(found.ended);
  EXPECT_EQ(state().last, 5U);
}

TEST_F(NewsTest, SubscribersGetIt) {
  PhoenixClient subscriber(port_, "&app_id=app&token=valid_key_app");
  ASSERT_EQ(subscriber.opened(), 101);
  subscriber.join("room:1");
  subscriber.next_with("phx_reply");
  tell(message(3, 2));
  EXPECT_EQ(offset_in(subscriber.next_with(R"("event",{)")), 3U);
  EXPECT_EQ(offset_in(subscriber.next_with(R"("event",{)")), 4U);
}

// Else nobody would wake it, and it would find what comes by its look at the clock, once a second.
TEST_F(NewsTest, WhatDoesNotFollowLeavesTheServerAsleep) {
  PhoenixClient subscriber(port_, "&app_id=app&token=valid_key_app");
  ASSERT_EQ(subscriber.opened(), 101);
  subscriber.join("room:1");
  subscriber.next_with("phx_reply");
  const auto other = open_gateway();
  const auto began = std::chrono::steady_clock::now();
  constexpr std::uint64_t kRounds = 20;
  for (std::uint64_t offset = 3; offset < 3 + kRounds; ++offset) {
    tell(message(offset + 1000, 1));
    left();
    core::testing::taken(other->replicate("app", "room:1", replica(offset, 1)));
    EXPECT_EQ(offset_in(subscriber.next_with(R"("event",{)")), offset);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(kRounds / 2));
}

TEST_F(NewsTest, WhatDoesNotFollowIsLeftWhole) {
  const std::string hole = message(9, 1);
  const std::string elsewhere = message(3, 1, "p:{other:room:1}");
  const std::string nameless = message(3, 1, "nameless");
  const std::string nothing = "*3\r\n" + text("smessage") + text("p:{app:room:1}") + text("");
  const std::string subscribed = "*3\r\n" + text("ssubscribe") + text("p:{app:room:1}") + ":1\r\n";
  for (const std::string& one : {hole, elsewhere, nameless, nothing, subscribed, std::string("-ERR no\r\n")}) {
    tell(one);
    std::string bytes;
    while (bytes.size() < one.size()) bytes += left().bytes;
    EXPECT_EQ(bytes, one);
  }
  EXPECT_EQ(state().last, 2U);
}

TEST_F(NewsTest, MessagesInPiecesAreWaitedFor) {
  for (const char byte : message(3, 1)) tell({&byte, 1});
  wait_until([this] { return state().last == 3; }, "the event");
  std::string many;
  for (std::uint64_t first = 4; first < 4004; ++first) many += message(first, 1);
  tell(many);
  wait_until([this] { return state().last == 4003; }, "all of them");
}

TEST_F(NewsTest, AnotherProtocolIsNobodysNews) {
  tell("%1\r\n+server\r\n+redis\r\n");
  tell(message(3, 1));
  std::string bytes;
  while (bytes.find("room:1") == std::string::npos) bytes += left().bytes;
  EXPECT_TRUE(bytes.starts_with("%1\r\n"));
  EXPECT_EQ(state().last, 2U);
}

TEST_F(NewsTest, TheEndComesBehindWhatWasLeft) {
  tell("+PONG\r\n");
  redis_ = core::FileDescriptor();
  std::string bytes;
  for (bool ended = false; !ended;) {
    const News::Left found = left();
    bytes += found.bytes;
    ended = found.ended;
  }
  EXPECT_EQ(bytes, "+PONG\r\n");
}

TEST_F(NewsTest, WhoTakesNothingIsNotFlooded) {
  const std::string answer = '+' + std::string(65'000, 'x') + "\r\n";
  std::string sent;
  const auto send_until_full = [&] {
    pollfd room{redis_.get(), POLLOUT, 0};
    while (sent.size() < 3 * kMostNewsLeft && poll(&room, 1, 300) == 1) {
      tell(answer);
      sent += answer;
    }
  };
  send_until_full();
  EXPECT_GE(sent.size(), kMostNewsLeft);
  EXPECT_LT(sent.size(), kMostNewsLeft + (std::size_t{4} << 20));
  std::string bytes;
  while (bytes.size() < sent.size()) {
    bytes += left().bytes;
    if (sent.size() < 2 * kMostNewsLeft) send_until_full();
  }
  EXPECT_TRUE(bytes == sent);
}

TEST_F(NewsTest, WhoLetsGoIsToldNothing) {
  news_->end();
  wait_until([this] { return ::send(redis_.get(), "x", 1, MSG_NOSIGNAL) < 0; }, "the end");
}

}  // namespace
}  // namespace polyglot::server
