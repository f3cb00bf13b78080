// The server's thread and services over gRPC: what does not go well.
#include "process_wire_fixture.hpp"

namespace polyglot::server {
namespace {

using testing::Client;
using testing::kLong;
using testing::verdict;
using testing::wait_until;
using testing::with_prefix;
using namespace std::chrono_literals;
using namespace std::string_literals;

using ProcessWireTest = testing::ProcessWireTest;

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
  is_well(client);
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
  lend(1, 500ms);
  Client client(port_);
  client.send(publish_request("a"));
  const auto batch = left();
  ASSERT_TRUE(batch->answer);
  EXPECT_EQ(batch->answer->answer.status, kGrpcDeadlineExceeded);
  EXPECT_GE(batch->answer->time, 500ms);
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

TEST_F(ProcessWireTest, CallsThatWaitForAPlaceWhenTheServiceGoesAwayAreUnseen) {
  lend(1, kLong, true, 1);
  Client first(port_), second(port_);
  first.send(publish_request("a"));
  const auto call = service().asked();
  std::string many = R"({"events":[)";  // enough of them to wait for no other batch
  for (std::size_t i = 0; i < kManyToProcess; ++i) many += R"({"channel":"b","type":"t","data":1},)";
  many.back() = ']';
  second.send(batch_request(many + "}"));
  EXPECT_EQ(Client(port_).ask(get("/alive")).status, 200);  // what came before it was looked at
  service().peer.go_away(call);
  service().talk();
  const auto unseen = left();
  ASSERT_TRUE(unseen->answer);
  EXPECT_TRUE(unseen->answer->answer.unseen);
  fail(unseen);
  EXPECT_NE(second.answer().body.find("processor_unavailable"), std::string::npos);
  service().reply(call, accepted(service().ids(call)));
  is_well(first);
}

TEST_F(ProcessWireTest, AnAnswerThatNgHttp2RefusesEndsTheCallAtOnce) {
  lend();
  Client client(port_);
  client.send(publish_request("a"));
  const auto call = service().asked();
  service().reply(call, {with_prefix("x"), {{"grpc-status", "0"}, {"connection", "close"}}});
  const auto batch = left();
  ASSERT_TRUE(batch->answer);
  EXPECT_EQ(batch->answer->answer.status, kGrpcInternal);
  fail(batch);
  EXPECT_EQ(client.answer().status, 503);
}

}  // namespace
}  // namespace polyglot::server
