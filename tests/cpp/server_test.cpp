// The server as a whole, with clients, an application and other workers on threads of their own: what the sanitizers
// are to look at. What it answers in detail is in tests/contract/server.
#include "server/server.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <set>

#include "server_fixture.hpp"

namespace polyglot::server {
namespace {

using core::Code;
using testing::Answer;
using testing::Application;
using testing::Client;
using testing::in_parallel;
using testing::offset_in;
using testing::PhoenixClient;
using testing::reply_part;
using testing::ServerTest;
using testing::wait_until;

TEST_F(ServerTest, AnswersRequestsOfManyConnections) {
  std::mutex mutex;
  std::set<std::uint64_t> offsets;
  in_parallel(4, [&](int) {
    Client client(port_);
    for (int i = 0; i < 50; ++i) {
      const Answer published = client.ask(publish_request("news"));
      ASSERT_EQ(published.status, 200) << published.body;
      const Answer history = client.ask(get("/apps/app/channels/news/history?limit=10&reverse=true"));
      ASSERT_EQ(history.status, 200) << history.body;
      ASSERT_EQ(client.ask(get("/alive")).status, 200);
      const std::lock_guard guard(mutex);
      offsets.insert(offset_in(published.body));
    }
  });
  EXPECT_EQ(offsets.size(), 200U);
  EXPECT_EQ(*offsets.rbegin(), 200U);
  EXPECT_EQ(server_->requests(), 600U);
}

TEST_F(ServerTest, AnswersPipelinedRequestsInOrder) {
  in_parallel(3, [&](int number) {
    const std::string channel = "news:" + std::to_string(number);
    std::string requests;
    for (int i = 0; i < 100; ++i) requests += publish_request(channel);
    Client client(port_);
    client.send(requests);
    for (std::uint64_t offset = 1; offset <= 100; ++offset) {
      const Answer answer = client.answer();
      ASSERT_EQ(answer.status, 200) << answer.body;
      ASSERT_EQ(offset_in(answer.body), offset);
    }
  });
}

TEST_F(ServerTest, ReadsARequestInAnyThreePieces) {
  const std::string request = publish_request("pieces");
  const std::size_t head = request.find("\r\n\r\n") + 4;
  std::uint64_t published = 0;
  Client other(port_);
  for (const std::size_t first : {std::size_t{1}, std::size_t{20}, head - 1, head}) {
    for (const std::size_t second : {head - 2, head, head + 1, request.size() - 1}) {
      if (second <= first) continue;
      Client client(port_);
      for (int again = 0; again < 2; ++again) {
        client.send(request.substr(0, first));
        other.ask(get("/alive"));  // by then the piece was read
        client.send(request.substr(first, second - first));
        other.ask(get("/alive"));
        client.send(request.substr(second));
        const Answer answer = client.answer();
        ASSERT_EQ(answer.status, 200) << first << ", " << second << ": " << answer.body;
        ASSERT_EQ(offset_in(answer.body), ++published);
      }
    }
  }
}

// What is said of a request that never became whole is said of that request, whatever others sent meanwhile.
TEST_F(ServerTest, RefusesWhatEndsTooEarlyByItsOwnHead) {
  const auto head = [](const std::string& line, const std::string& id) {
    return line + " HTTP/1.1\r\nHost: a\r\nX-API-Key: valid_key_app\r\nX-Request-Id: " + id +
           "\r\nContent-Length: 1000\r\n\r\nxx";
  };
  const std::string own(40, 'a'), others(40, 'b');
  for (const char* line : {"POST /foo", "POST /apps/app/publish"}) {
    for (const std::size_t pieces : {1U, 2U}) {
      Client client(port_), other(port_);
      const std::string request = head(line, own);
      client.send(request.substr(0, request.size() / pieces));
      Client(port_).ask(get("/alive"));  // by then it was read
      if (pieces == 2) client.send(request.substr(request.size() / 2));
      Client(port_).ask(get("/alive"));
      other.send(head(line, others));
      Client(port_).ask(get("/alive"));
      client.end();
      const std::string said = client.rest();
      EXPECT_NE(said.find("HTTP/1.1 400"), std::string::npos) << said;
      EXPECT_NE(said.find(own), std::string::npos) << said;
      EXPECT_EQ(said.find(others), std::string::npos) << said;
    }
  }
}

TEST_F(ServerTest, TakesNewRulesWhileRequestsRun) {
  std::atomic<bool> ended{false};
  std::thread reloads([&] {
    for (std::uint64_t size = 1000; !ended; ++size) configure(*gateway_, size);
  });
  in_parallel(2, [&](int) {
    Client client(port_);
    for (int i = 0; i < 200; ++i) ASSERT_EQ(client.ask(publish_request("room:1")).status, 200);
  });
  ended = true;
  reloads.join();
  configure(*gateway_, 10);
  EXPECT_EQ(Client(port_).ask(publish_request("room:1")).status, 413);
}

TEST_F(ServerTest, HandsOtherRequestsToTheApplication) {
  const Application application(*server_, [this](const HandoffJob& job) {
    const auto& request = std::get<ApplicationRequest>(job.what);
    ApplicationReply reply = reply_part(Part::whole, std::string(request.head.text(request.head.target)));
    reply.add_field("X-Sent", std::to_string(request.body.size()));
    server_->handoff().reply(job.id, std::move(reply));
  });
  in_parallel(4, [&](int number) {
    Client client(port_);
    for (int i = 0; i < 50; ++i) {
      const std::string target = "/other/" + std::to_string(number) + "/" + std::to_string(i);
      const Answer answer =
          client.ask("POST " + target + " HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody" + get("/alive"));
      ASSERT_EQ(answer.status, 200);
      ASSERT_EQ(answer.body, target);
      ASSERT_NE(answer.head.find("X-Sent: 4\r\n"), std::string::npos) << answer.head;
      ASSERT_EQ(client.answer().status, 200);
    }
  });
}

// Sends `pieces` of `size` bytes each, one whenever there is room, and then the end.
class Streamer {
 public:
  Streamer(Server& server, int pieces, std::size_t size) : server_(server), pieces_(pieces), piece_(size, 'x') {}

  void operator()(const HandoffJob& job) {
    using Part = ApplicationReply::Part;
    if (std::holds_alternative<ApplicationRequest>(job.what)) {
      left_[job.id] = pieces_;
      return server_.handoff().reply(job.id, reply_part(Part::begin));
    }
    // May be said again, in answer to what is sent all the same.
    if (std::holds_alternative<Gone>(job.what)) gone += static_cast<int>(left_.erase(job.id));
    const auto found = left_.find(job.id);
    if (found == left_.end()) return;
    if (found->second-- > 0) return server_.handoff().reply(job.id, reply_part(Part::more, piece_));
    left_.erase(found);
    server_.handoff().reply(job.id, reply_part(Part::end));
  }

  std::atomic<int> gone{0};

 private:
  Server& server_;
  int pieces_;
  std::string piece_;
  std::map<std::uint64_t, int> left_;
};

TEST_F(ServerTest, SendsAReplyAsTheApplicationMakesIt) {
  Streamer streamer(*server_, 60, 100'000);
  const Application application(*server_, std::ref(streamer));
  in_parallel(2, [&](int) {
    Client client(port_, 4096);  // so small that the server has to wait for room
    for (int i = 0; i < 2; ++i) {
      client.send(get("/stream"));
      EXPECT_NE(client.head().head.find("Transfer-Encoding: chunked\r\n"), std::string::npos);
      std::size_t size = 0;
      for (std::string chunk = client.chunk(); !chunk.empty(); chunk = client.chunk()) size += chunk.size();
      ASSERT_EQ(size, 6'000'000U);
    }
  });
}

TEST_F(ServerTest, TellsTheApplicationThatTheClientIsGone) {
  Streamer streamer(*server_, 1'000'000, 10'000);
  const Application application(*server_, std::ref(streamer));
  in_parallel(4, [&](int number) {
    Client client(port_);
    client.send(get("/stream"));
    client.head();
    client.chunk();
    if (number % 2 == 0) client.reset();
  });
  wait_until([&] { return streamer.gone == 4; }, "the application to know");
  wait_until([&] { return server_->connections() == 0; }, "the connections' end");
}

TEST_F(ServerTest, CutsOffAReplyThatTheApplicationGivesUp) {
  const Application application(*server_, [this](const HandoffJob& job) {
    if (!std::holds_alternative<ApplicationRequest>(job.what)) return;
    server_->handoff().reply(job.id, reply_part(Part::begin));
    server_->handoff().reply(job.id, reply_part(Part::more, "half"));
    server_->handoff().reply(job.id, reply_part(Part::abort));
    server_->handoff().reply(job.id, reply_part(Part::more, "nobody waits for this"));
  });
  Client client(port_);
  client.send(get("/stream"));
  EXPECT_EQ(client.head().status, 200);
  EXPECT_EQ(client.rest(), "4\r\nhalf\r\n");
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_F(ServerTest, OpensSocketsAsTheApplicationDecides) {
  const Application application(*server_, [this](const HandoffJob& job) {
    const auto& question = std::get<Question>(job.what);
    Verdict verdict;
    if (question.token == "a.b.good") verdict.grant = grant();
    if (question.token == "a.b.bad") verdict.status = {Code::unauthorized, "The signature is wrong."};
    if (question.token == "a.b.other") verdict.grant = grant("other");
    server_->handoff().decide(job.id, verdict);
  });
  in_parallel(3, [&](int) {
    for (int i = 0; i < 10; ++i) {
      EXPECT_EQ(PhoenixClient(port_, "&app_id=app&token=a.b.bad").opened(), 401);
      EXPECT_EQ(PhoenixClient(port_, "&app_id=app&token=a.b.other").opened(), 403);
      PhoenixClient(port_, "&app_id=app&token=a.b.good").client().reset();  // before the answer
      PhoenixClient socket(port_, "&app_id=app&token=a.b.good");
      ASSERT_EQ(socket.opened(), 101);
      socket.join("secret:1");
      EXPECT_PRED2(has, socket.next(), "\"status\":\"ok\"");
      socket.join("secret:2", R"({"access_token":"a.b.bad"})");
      EXPECT_PRED2(has, socket.next(), "\"code\":\"unauthorized\"");
      socket.join("secret:3", R"({"access_token":"a.b.good"})");
      EXPECT_PRED2(has, socket.next(), "\"status\":\"ok\"");
      socket.send(R"(["1","2","secret:3","access_token",{"access_token":"a.b.good"}])");
      EXPECT_PRED2(has, socket.next(), "\"status\":\"ok\"");
      socket.join("secret:4", R"({"access_token":"a.b.good"})");  // and the client goes meanwhile
    }
  });
  wait_until([&] { return server_->connections() == 0; }, "the connections' end");
}

// Whatever came with the request, and in however many pieces.
TEST_F(ServerTest, RefusesSocketsWithAWrongKeyOnce) {
  gateway_->configure(core::Access(), core::Rules());
  const std::string request =
      "GET /socket/websocket?app_id=app&token=wrong HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
      "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  for (const std::size_t cut : {request.size(), std::size_t{1}, request.size() / 2, request.size() - 1}) {
    Client client(port_);
    EXPECT_EQ(client.ask(get("/alive")).status, 200);
    client.send(request.substr(0, cut));
    if (cut == request.size() / 2) wait_until([&] { return Client(port_).ask(get("/alive")).status == 200; }, "a turn");
    client.send(request.substr(cut) + get("/alive") + request + get("/nothing/here"));
    EXPECT_EQ(client.answer().status, 401);
    EXPECT_EQ(client.answer().status, 200);
    EXPECT_EQ(client.answer().status, 401);
  }
}

}  // namespace
}  // namespace polyglot::server
