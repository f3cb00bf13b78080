// Calls and their ends, before a service that says what a test wants.
#include "server/grpc_session.hpp"

#include <gtest/gtest.h>

#include "grpc_peer.hpp"

namespace polyglot::server {
namespace {

using testing::GrpcPeer;
using testing::with_prefix;
using namespace std::chrono_literals;
using namespace std::string_literals;

const std::string kRoom(kGrpcPrefix, '\0');

class GrpcSessionTest : public ::testing::Test {
 protected:
  // Both have heard all that the other has to say.
  void talk() {
    for (int turn = 0; turn < 20; ++turn) {
      std::string out;
      session_.pack(out);
      peer_.receive(out);
      const std::string back = peer_.pack();
      if (out.empty() && back.empty()) return;
      ASSERT_TRUE(session_.receive(back));
      for (auto& [id, answer] : session_.take_ended()) ended_[id] = std::move(answer);
    }
  }
  void greet() {
    peer_.greet();
    talk();
    ASSERT_TRUE(session_.is_ready());
  }
  GrpcSession::Id call(const std::string& message = "asked") {
    const auto id = session_.call(kRoom + message, 1500ms);
    talk();
    return id;
  }
  GrpcAnswer answer(GrpcSession::Id id) {
    talk();
    const auto ended = std::exchange(ended_, {});
    if (ended.size() != 1 || !ended.contains(id)) throw std::runtime_error("not this call alone has ended");
    return ended.at(id);
  }
  void end() {
    session_.end();
    for (auto& [id, answer] : session_.take_ended()) ended_[id] = std::move(answer);
  }
  GrpcAnswer answer_to(GrpcPeer::Reply reply) {
    const auto id = call();
    peer_.reply(id, std::move(reply));
    return answer(id);
  }

  GrpcSession session_{{"/a.B/C", "host:1", "Basic bWU6"}};
  GrpcPeer peer_;
  std::map<GrpcSession::Id, GrpcAnswer> ended_;
};

TEST_F(GrpcSessionTest, ACallIsWhatAServiceTakes) {
  greet();
  const auto id = call("what is asked");
  const GrpcPeer::Call& got = peer_.calls.at(id);
  EXPECT_TRUE(got.whole);
  EXPECT_EQ(got.bytes, with_prefix("what is asked"));
  const std::map<std::string, std::string> headers{{":method", "POST"},       {":scheme", "http"},
                                                   {":path", "/a.B/C"},       {":authority", "host:1"},
                                                   {"te", "trailers"},        {"content-type", "application/grpc"},
                                                   {"grpc-timeout", "1500m"}, {"authorization", "Basic bWU6"}};
  EXPECT_EQ(got.headers, headers);
}

TEST_F(GrpcSessionTest, WithoutAnAuthorizationNoneIsSent) {
  GrpcSession session({"/a.B/C", "host:1", ""});
  session.call(kRoom, 1s);
  std::string out;
  session.pack(out);
  peer_.receive(out);
  EXPECT_FALSE(peer_.calls.at(1).headers.contains("authorization"));
}

TEST_F(GrpcSessionTest, AMessageIsTheAnswer) {
  greet();
  const GrpcAnswer answer = answer_to({with_prefix("the \0 answer"s)});
  EXPECT_EQ(answer.status, 0);
  EXPECT_EQ(answer.text, "the \0 answer"s);
  EXPECT_EQ(answer_to({with_prefix("")}).text, "");
}

TEST_F(GrpcSessionTest, AnswersComeInAnyOrder) {
  greet();
  const auto first = call("first"), second = call("second");
  peer_.reply(second, {with_prefix("to the second")});
  EXPECT_EQ(answer(second).text, "to the second");
  peer_.reply(first, {with_prefix("to the first")});
  EXPECT_EQ(answer(first).text, "to the first");
}

TEST_F(GrpcSessionTest, WhatIsLargerThanAnyWindowArrives) {
  greet();
  std::string large(3'000'000, 'x');
  large.back() = 'y';
  const auto id = call(large);
  for (int turn = 0; turn < 100 && !peer_.calls.at(id).whole; ++turn) talk();
  EXPECT_EQ(peer_.calls.at(id).bytes, with_prefix(large));
  peer_.reply(id, {with_prefix(large)});
  for (int turn = 0; turn < 100 && ended_.empty(); ++turn) talk();
  EXPECT_EQ(answer(id).text, large);
}

TEST_F(GrpcSessionTest, BytesMayComeOneByOne) {
  greet();
  const auto id = call();
  peer_.reply(id, {with_prefix("answer")});
  for (const char byte : peer_.pack()) ASSERT_TRUE(session_.receive({&byte, 1}));
  const auto ended = session_.take_ended();
  ASSERT_EQ(ended.size(), 1U);
  EXPECT_EQ(ended[0].id, id);
  EXPECT_EQ(ended[0].answer.text, "answer");
}

TEST_F(GrpcSessionTest, AStatusIsTheServices) {
  greet();
  const GrpcAnswer answer = answer_to({"", {{"grpc-status", "8"}, {"grpc-message", "no%20more"}}});
  EXPECT_EQ(answer.status, 8);
  EXPECT_EQ(answer.text, "no%20more");
  EXPECT_FALSE(answer.unseen);
  for (const std::string wrong : {"", "x", "-1", "1x", "99999999999"}) {
    EXPECT_EQ(answer_to({"", {{"grpc-status", wrong}}}).status, kGrpcUnknown) << wrong;
  }
  EXPECT_EQ(answer_to({with_prefix("message"), {}}).status, kGrpcUnknown);
}

TEST_F(GrpcSessionTest, WhatIsNotOneMessageIsNoAnswer) {
  greet();
  for (const std::string& wrong : {""s, "\0\0\0\0"s, "\1"s + with_prefix("x").substr(1),
                                   with_prefix("x") + with_prefix("x"), "\0\0\0\0\2x"s, "\0\xff\xff\xff\xffx"s}) {
    const GrpcAnswer answer = answer_to({wrong});
    EXPECT_EQ(answer.status, kGrpcInternal);
    EXPECT_FALSE(answer.unseen);
  }
}

TEST_F(GrpcSessionTest, AnAnswerThatIsTooLongIsNotTaken) {
  greet();
  const auto id = call();
  peer_.reply(id, {std::string(kMostGrpcBytes + 2 * kGrpcPrefix, '\0')});
  for (int turn = 0; turn < 10'000 && ended_.empty(); ++turn) talk();
  EXPECT_EQ(answer(id).status, kGrpcResourceExhausted);
  EXPECT_TRUE(peer_.calls.at(id).cancelled);
}

TEST_F(GrpcSessionTest, ACallThatIsResetMayHaveBeenSeenUnlessItWasRefused) {
  greet();
  auto id = call();
  peer_.reset(id, NGHTTP2_INTERNAL_ERROR);
  GrpcAnswer given = answer(id);
  EXPECT_EQ(given.status, kGrpcInternal);
  EXPECT_FALSE(given.unseen);
  id = call();
  peer_.reset(id, NGHTTP2_REFUSED_STREAM);
  EXPECT_TRUE(answer(id).unseen);
  EXPECT_TRUE(session_.is_ready());
}

TEST_F(GrpcSessionTest, WhoGoesAwayHasNotSeenWhatCameLater) {
  greet();
  const auto seen = call(), unseen = call();
  peer_.go_away(seen);
  EXPECT_TRUE(answer(unseen).unseen);
  EXPECT_TRUE(session_.is_closing());
  EXPECT_FALSE(session_.is_ready());
  EXPECT_FALSE(session_.is_over());
  peer_.reply(seen, {with_prefix("the last")});
  EXPECT_EQ(answer(seen).text, "the last");
  EXPECT_TRUE(session_.is_over());
}

TEST_F(GrpcSessionTest, MoreCallsThanTheServiceTakesWait) {
  peer_.greet(1);
  talk();
  const auto first = call(), second = call();
  EXPECT_FALSE(peer_.calls.contains(second));
  peer_.reply(first, {with_prefix("1")});
  EXPECT_EQ(answer(first).text, "1");
  EXPECT_TRUE(peer_.calls.at(second).whole);
  const auto third = call();
  end();
  EXPECT_EQ(ended_.at(second).status, kGrpcUnavailable);
  EXPECT_FALSE(ended_.at(second).unseen);
  EXPECT_TRUE(ended_.at(third).unseen);
  EXPECT_TRUE(session_.is_closing());
}

TEST_F(GrpcSessionTest, WhatWaitsWhenTheServiceGoesAwayIsUnseen) {
  peer_.greet(1);
  talk();
  const auto first = call(), second = call();
  peer_.go_away(first);
  EXPECT_TRUE(answer(second).unseen);
  peer_.reply(first, {with_prefix("1")});
  EXPECT_EQ(answer(first).text, "1");
  EXPECT_TRUE(session_.is_over());
}

TEST_F(GrpcSessionTest, WhatIsCancelledEndsWithoutAnAnswer) {
  greet();
  const auto id = call();
  session_.cancel(id);
  talk();
  EXPECT_TRUE(peer_.calls.at(id).cancelled);
  const auto unsent = session_.call(kRoom, 1s);
  session_.cancel(unsent);
  talk();
  EXPECT_TRUE(ended_.empty());
  EXPECT_EQ(answer_to({with_prefix("of another")}).text, "of another");
}

TEST_F(GrpcSessionTest, WhatIsNoHttp2EndsIt) {
  greet();
  const auto id = call();
  bool goes_on = session_.receive("HTTP/1.1 400 Bad Request\r\n\r\n");
  std::string out;
  session_.pack(out);
  EXPECT_TRUE(!goes_on || session_.is_over());
  end();
  EXPECT_EQ(ended_.at(id).status, kGrpcUnavailable);
  EXPECT_FALSE(ended_.at(id).unseen);
}

// After a status and a message that are well the service breaks the protocol.
TEST_F(GrpcSessionTest, AStreamThatEndsInAnErrorIsNoAnswer) {
  greet();
  const GrpcAnswer answer = answer_to({with_prefix("x"), {{"grpc-status", "0"}, {"connection", "close"}}});
  EXPECT_EQ(answer.status, kGrpcInternal);
  EXPECT_FALSE(answer.unseen);
}

}  // namespace
}  // namespace polyglot::server
