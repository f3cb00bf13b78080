// The server in front of an engine elsewhere, which here is another history in this process.
#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <mutex>

#include "core/history.hpp"
#include "server_fixture.hpp"

namespace polyglot::server {
namespace {

using core::Code;
using core::Status;
using testing::Answer;
using testing::Application;
using testing::Client;
using testing::in_parallel;
using testing::offset_in;
using testing::PhoenixClient;
using testing::wait_until;

// Keeps what servers take to it, and has the followed channels of their histories equal.
class Engine {
 public:
  Engine() : history_(*segment_) {}

  // Appends all that waits; with `status` it does not answer, and with `spools` all waits for it.
  void append(Server& server) {
    auto taken = server.appends().take();
    const std::lock_guard guard(mutex_);
    if (!status.ok()) return server.appends().finish(std::move(taken), status);
    if (spools) {
      for (auto& waiting : taken) {
        for (core::Append& append : waiting.owned.submission->appends()) append.spooled = true;
      }
      return server.appends().finish(std::move(taken), Status());
    }
    for (auto& waiting : taken) {
      for (core::Append& append : waiting.owned.submission->appends()) {
        const std::string envelope(append.envelope.data(), append.envelope.size());
        history_.append({&append, 1});
        if (append.status.ok() && !append.replayed) kept_[std::string(append.channel)].push_back(envelope);
      }
    }
    server.appends().finish(std::move(taken), Status());
  }
  void copy(core::Gateway& gateway, const std::string& channel) {
    const std::lock_guard guard(mutex_);
    const auto& events = kept_[channel];
    core::Replica replica{.epoch = 77, .first = 1};
    for (std::size_t i = 0; i < events.size(); ++i) {
      replica.events.push_back({events[i], static_cast<core::TimeUs>(i + 1)});
    }
    const auto here = core::testing::taken(gateway.replicated("app", channel));
    if (here.epoch == 77) {
      core::testing::taken(gateway.replicate("app", channel, replica));
    } else {
      core::testing::taken(gateway.replace("app", channel, here.epoch, replica));
    }
  }

  Status status;
  std::atomic<bool> spools{false};

 private:
  std::mutex mutex_;
  core::testing::TemporaryFolder folder_;
  std::unique_ptr<core::Segment> segment_ = core::testing::open_segment({.data_dir = folder_.path()});
  core::History history_;
  std::map<std::string, std::deque<std::string>> kept_;
};

class ServerElsewhereTest : public testing::ServerTest {
 protected:
  static constexpr std::size_t kLargeReply = 200'000;  // less than after which a session takes no more requests

  ServerElsewhereTest() {
    server_ = std::make_unique<Server>(*gateway_, ServerOptions{.engine_elsewhere = true});
    server_->start({listening_.fd()}, -1);
    follower_ = std::make_unique<Application>(*server_, [this](const HandoffJob& job) {
      if (const auto* follow = std::get_if<Follow>(&job.what)) {
        ++follows_;
        if (engine_.status.ok()) engine_.copy(*gateway_, follow->channel);
        server_->handoff().decide(job.id, {engine_.status, nullptr});
      } else if (std::get_if<Unfollow>(&job.what) != nullptr) {
        ++unfollows_;
      } else if (std::holds_alternative<ApplicationRequest>(job.what)) {
        using Part = ApplicationReply::Part;
        server_->handoff().reply(job.id, testing::reply_part(Part::whole, std::string(kLargeReply, 'x')));
      }
    });
    appender_ = std::thread([this] {
      pollfd waited{server_->appends().fd(), POLLIN, 0};
      while (!ends_) {
        if (::poll(&waited, 1, 10) > 0 && !holds_) {
          engine_.append(*server_);
          engine_.copy(*gateway_, "room:1");
        }
      }
    });
  }
  ~ServerElsewhereTest() override {
    ends_ = true;
    appender_.join();
    follower_.reset();
    server_->stop();
  }

  Engine engine_;
  std::atomic<bool> holds_{false};
  std::atomic<int> follows_{0};
  std::atomic<int> unfollows_{0};

 private:
  std::atomic<bool> ends_{false};
  std::unique_ptr<Application> follower_;
  std::thread appender_;
};

TEST_F(ServerElsewhereTest, WhatIsPublishedGoesThereAndComesBackToSubscribers) {
  PhoenixClient subscriber(port_, "&app_id=app&token=valid_key_app");
  ASSERT_EQ(subscriber.opened(), 101);
  subscriber.join("room:1");
  EXPECT_NE(subscriber.next_with("phx_reply").find(R"("status":"ok")"), std::string::npos);
  in_parallel(4, [&](int) {
    Client client(port_);
    for (int i = 0; i < 50; ++i) ASSERT_EQ(client.ask(publish_request("room:1")).status, 200);
  });
  for (std::uint64_t offset = 1; offset <= 200; ++offset) {
    ASSERT_EQ(offset_in(subscriber.next_with(R"("event",{)")), offset);
  }
}

TEST_F(ServerElsewhereTest, RequestsThatComeTogetherAreAnsweredInOrder) {
  Client client(port_);
  std::string requests;
  for (int i = 0; i < 20; ++i) requests += publish_request("news") + get("/alive");
  client.send(requests);
  for (std::uint64_t offset = 1; offset <= 20; ++offset) {
    const Answer answer = client.answer();
    ASSERT_EQ(answer.status, 200) << answer.body;
    ASSERT_EQ(offset_in(answer.body), offset);
    ASSERT_EQ(client.answer().body, R"({"status":"alive"})");
  }
}

// The head of a request is known again by its bytes, which are gone by the time of the answer.
TEST_F(ServerElsewhereTest, RequestsInPiecesAreWhatTheySay) {
  Client client(port_);
  for (int i = 0; i < 30; ++i) {
    const std::string channel = i % 3 == 0 ? "one" : "another:" + std::to_string(i);
    const std::string request = publish_request(channel, event(std::to_string(i)));
    const std::size_t cut = request.size() * static_cast<std::size_t>(i) / 30;
    client.send(request.substr(0, cut));
    client.send(request.substr(cut));
    const Answer answer = client.answer();
    ASSERT_EQ(answer.status, 200) << answer.body;
    ASSERT_EQ(offset_in(answer.body), i % 3 == 0 ? static_cast<std::uint64_t>(i / 3 + 1) : 1U);
  }
}

TEST_F(ServerElsewhereTest, AClientThatLeavesBeforeTheAnswerHurtsNobody) {
  holds_ = true;
  {
    Client gone(port_);
    gone.send(publish_request("news"));
    PhoenixClient socket(port_, "&app_id=app&token=valid_key_app");
    ASSERT_EQ(socket.opened(), 101);
    socket.join("room:2");
    socket.next_with("phx_reply");
    socket.send(R"(["1","2","room:2","publish",{"type":"t","data":1}])");
    Client stays(port_);
    stays.send(publish_request("news"));
    gone.reset();
    socket.client().reset();
    holds_ = false;
    EXPECT_EQ(stays.answer().status, 200);
  }
  wait_until([this] { return server_->connections() == 0; }, "the clients' end");
  EXPECT_EQ(Client(port_).ask(publish_request("news")).status, 200);
}

TEST_F(ServerElsewhereTest, TheEnginesSilenceIsToldToWhoeverWaits) {
  engine_.status = Status(Code::engine_unavailable, "It does not answer.");
  Client client(port_);
  const Answer answer = client.ask(publish_request("news"));
  EXPECT_EQ(answer.status, 503);
  EXPECT_NE(answer.head.find("Retry-After: 1"), std::string::npos);
  EXPECT_EQ(client.ask(get("/alive")).status, 200) << "the connection stays";
  PhoenixClient socket(port_, "&app_id=app&token=valid_key_app");
  ASSERT_EQ(socket.opened(), 101);
  socket.join("room:1");
  EXPECT_NE(socket.next_with("phx_reply").find("engine_unavailable"), std::string::npos);
  client.send(get("/apps/app/channels/room:1/events"));
  EXPECT_EQ(client.answer().status, 503);
}

TEST_F(ServerElsewhereTest, WhatWaitsForItIsAcknowledgedWithoutAPlace) {
  PhoenixClient socket(port_, "&app_id=app&token=valid_key_app");
  ASSERT_EQ(socket.opened(), 101);
  socket.join("room:1");
  socket.next_with("phx_reply");
  engine_.spools = true;
  Client client(port_);
  const Answer answer = client.ask(publish_request("news"));
  EXPECT_EQ(answer.status, 202);
  EXPECT_NE(answer.head.find("202 Accepted"), std::string::npos);
  EXPECT_NE(answer.body.find(R"(,"spooled":true})"), std::string::npos);
  EXPECT_EQ(answer.body.find("offset"), std::string::npos);
  socket.send(R"(["1","2","room:1","publish",{"type":"t","data":1}])");
  const std::string reply = socket.next_with(R"("phx_reply",{"status":"ok")");
  EXPECT_NE(reply.find(R"("spooled":true})"), std::string::npos) << reply;
  EXPECT_EQ(gateway_->counters().total(core::Counter::spooled), 2U);
}

TEST_F(ServerElsewhereTest, SocketsPublishToItToo) {
  PhoenixClient socket(port_, "&app_id=app&token=valid_key_app");
  ASSERT_EQ(socket.opened(), 101);
  socket.join("room:1");
  socket.next_with("phx_reply");
  for (int ref = 2; ref < 12; ++ref) {
    socket.send("[\"1\",\"" + std::to_string(ref) + R"(","room:1","publish",{"type":"t","data":1}])");
  }
  for (std::uint64_t offset = 1; offset <= 10; ++offset) {
    EXPECT_EQ(offset_in(socket.next_with(R"("phx_reply",{"status":"ok")")), offset);
  }
  socket.send(R"(["1","20","room:1","publish",{"type":1}])");
  EXPECT_NE(socket.next_with(R"(["1","20")").find("invalid_event"), std::string::npos);
}

TEST_F(ServerElsewhereTest, AChannelIsFollowedForAsLongAsSomebodyReadsIt) {
  {
    PhoenixClient first(port_, "&app_id=app&token=valid_key_app");
    PhoenixClient second(port_, "&app_id=app&token=valid_key_app");
    for (PhoenixClient* socket : {&first, &second}) {
      ASSERT_EQ(socket->opened(), 101);
      socket->join("room:1");
      socket->next_with("phx_reply");
    }
    EXPECT_EQ(follows_, 2);
    first.client().close();
    second.send(R"(["1","9","phoenix","heartbeat",{}])");
    second.next_with(R"("9")");
    EXPECT_EQ(unfollows_, 0);
  }
  wait_until([this] { return unfollows_ == 1; }, "the channel to be let go");
  Client client(port_);
  client.send(get("/apps/app/channels/room:1/events"));
  EXPECT_EQ(client.head().status, 200);
  EXPECT_EQ(follows_, 3);
}

// The stream begins behind what is still on its way, and the channel is not let go before.
TEST_F(ServerElsewhereTest, AStreamThatHasToWaitForEarlierAnswersIsFollowed) {
  const int small = 4096;
  ASSERT_EQ(setsockopt(listening_.fd(), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
  Client client(port_, small);
  client.send(get("/other") + get("/apps/app/channels/room:1/events"));
  wait_until([this] { return follows_ == 1; }, "the channel to be followed");
  EXPECT_EQ(Client(port_).ask(get("/alive")).status, 200) << "the verdict was heard of before";
  EXPECT_EQ(client.answer().body.size(), kLargeReply);
  EXPECT_EQ(client.head().status, 200);
  EXPECT_EQ(Client(port_).ask(publish_request("room:1")).status, 200);
  client.chunk();  // where the stream begins
  EXPECT_EQ(offset_in(client.chunk()), 1U);
  EXPECT_EQ(follows_, unfollows_ + 1);
}

TEST_F(ServerElsewhereTest, ABatchIsAnsweredForEachEvent) {
  const std::string body =
      R"({"events":[{"channel":"a","type":"t","data":1},{"channel":"no spaces","type":"t","data":1}]})";
  const std::string head = "POST /apps/app/publish HTTP/1.1\r\nHost: a\r\nX-API-Key: valid_key_app\r\nContent-Length: ";
  Client client(port_);
  const Answer answer = client.ask(head + std::to_string(body.size()) + "\r\n\r\n" + body);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(offset_in(answer.body), 1U);
  EXPECT_NE(answer.body.find("invalid_channel"), std::string::npos);
}

}  // namespace
}  // namespace polyglot::server
