// Presence that goes through the application: two servers that share nothing else.
#include <array>
#include <atomic>
#include <chrono>
#include <mutex>

#include "server/presence_message.hpp"
#include "server_fixture.hpp"

namespace polyglot::server {
namespace {

using testing::Application;
using testing::Client;
using testing::Listening;
using testing::PhoenixClient;
using testing::ServerTest;
using testing::wait_until;

class ServerPresenceTest : public ServerTest {
 protected:
  ServerPresenceTest() {
    for (std::size_t at = 0; at < 2; ++at) {
      gateways_[at] = core::testing::open_gateway(
          {.segment = {.data_dir = folders_[at].path(), .history_bytes = std::uint64_t{1} << 20, .max_channels = 8}});
      configure(*gateways_[at], 65536);
      servers_[at] = std::make_unique<Server>(*gateways_[at], ServerOptions{.engine_elsewhere = true});
      servers_[at]->start({listening_[at].fd()}, -1);
    }
    for (std::size_t at = 0; at < 2; ++at) {
      applications_[at] = std::make_unique<Application>(*servers_[at], [this, at](const HandoffJob& job) {
        if (const auto* said = std::get_if<Announcement>(&job.what)) return carry(said->message);
        // There is nothing to follow.
        if (std::get_if<Follow>(&job.what) != nullptr) servers_[at]->handoff().decide(job.id, {});
      });
    }
  }

  PhoenixClient socket(std::size_t at) {
    return PhoenixClient(listening_[at].port(), "&app_id=app&token=valid_key_app");
  }
  std::string listed(std::size_t at) {
    return Client(listening_[at].port()).ask(get("/apps/app/channels/room:1/presence")).body;
  }

  Server& server(std::size_t at) { return *servers_[at]; }

  std::atomic<int> beats_{0};
  std::atomic<int> lists_{0};

 private:
  // To both, in one order.
  void carry(const std::string& message) {
    const std::lock_guard guard(mutex_);
    const auto kind = PresenceMessage::parse(message)->kind;
    beats_ += kind == PresenceMessage::Kind::beat ? 1 : 0;
    lists_ += kind == PresenceMessage::Kind::end ? 1 : 0;
    for (const auto& server : servers_) server->hear_presence({message});
  }

  std::mutex mutex_;
  std::array<core::testing::TemporaryFolder, 2> folders_;
  std::array<std::unique_ptr<core::Gateway>, 2> gateways_;
  std::array<std::unique_ptr<Server>, 2> servers_;
  std::array<Listening, 2> listening_;
  std::array<std::unique_ptr<Application>, 2> applications_;
};

TEST_F(ServerPresenceTest, MembersOfOneServerAreToldToTheSocketsOfTheOther) {
  PhoenixClient onlooker = socket(0);
  ASSERT_EQ(onlooker.opened(), 101);
  onlooker.join("room:1");
  onlooker.next_with("presence_state");
  PhoenixClient member = socket(1);
  ASSERT_EQ(member.opened(), 101);
  member.join("room:1", R"({"presence":{"key":"bob","meta":{}}})");
  EXPECT_NE(onlooker.next_with("presence_diff").find(R"("joins":{"bob":)"), std::string::npos);
  EXPECT_EQ(listed(0), listed(1));
  EXPECT_NE(listed(0).find(R"("count":1,)"), std::string::npos);
  member.client().reset();
  EXPECT_NE(onlooker.next_with("presence_diff").find(R"("leaves":{"bob":)"), std::string::npos);
}

TEST_F(ServerPresenceTest, ManyWhoAskCostOneListASecond) {
  wait_until([&] { return beats_ >= 2; }, "each to beat");
  const int before = beats_;
  const int lists = lists_;
  for (std::uint64_t asker = 1; asker <= 100; ++asker) {
    server(0).hear_presence({PresenceMessage{PresenceMessage::Kind::hello, asker}.bytes()});
  }
  wait_until([&] { return beats_ >= before + 6; }, "some seconds to be over");
  EXPECT_GT(lists_, lists);
  EXPECT_LE(lists_, lists + 4);
}

// A lease is counted in beats.
TEST_F(ServerPresenceTest, AServerThatDrainsBeatsNoFaster) {
  PhoenixClient waiting = socket(0);
  ASSERT_EQ(waiting.opened(), 101);
  wait_until([&] { return beats_ >= 2; }, "each to beat");
  const auto began = std::chrono::steady_clock::now();
  const int before = beats_;
  server(0).drain(60);
  wait_until([&] { return beats_ >= before + 4; }, "more beats");
  EXPECT_GT(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(900));
}

}  // namespace
}  // namespace polyglot::server
