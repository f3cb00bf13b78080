#include "server/presence.hpp"

#include "presence_fixture.hpp"

namespace polyglot::server::testing {
namespace {

TEST_F(PresenceTest, AMemberComesAndGoesHereAndThere) {
  const auto came = join(one_, "c", "alice", "r1", R"({"online_at":"now"})");
  EXPECT_EQ(came.change.app, "app");
  EXPECT_EQ(came.change.channel, "c");
  const std::string metas = R"({"alice":{"metas":[{"phx_ref":"r1","online_at":"now"}]}})";
  EXPECT_EQ(diff(came.change), R"({"joins":)" + metas + R"(,"leaves":{}})");
  EXPECT_EQ(state(one_), metas);
  const auto there = other_.apply(came.message);
  EXPECT_FALSE(there.retell);
  ASSERT_EQ(there.changes.size(), 1U);
  EXPECT_EQ(diff(there.changes.front()), diff(came.change));
  EXPECT_EQ(state(other_), metas);

  const auto went = one_.leave("app", "c", "alice", "r1");
  EXPECT_EQ(diff(went.change), R"({"joins":{},"leaves":)" + metas + "}");
  EXPECT_EQ(apply_all(other_, {went.message}), "c" + diff(went.change));
  for (const Presence* presence : {&one_, &other_}) EXPECT_EQ(state(*presence), "{}");
}

TEST_F(PresenceTest, AMemberWithSeveralSocketsIsOneWithSeveralMetas) {
  const Strings said = {join(one_, "c", "alice", "r2").message, join(one_, "c", "alice", "r1").message,
                        join(one_, "c", "bob", "r3").message};
  apply_all(other_, said);
  apply_all(one_, {join(other_, "c", "alice", "r0").message});
  EXPECT_EQ(state(one_), R"({"alice":{"metas":[{"phx_ref":"r0"},{"phx_ref":"r1"},{"phx_ref":"r2"}]},)"
                         R"("bob":{"metas":[{"phx_ref":"r3"}]}})");
  EXPECT_EQ(state(other_), state(one_));
  EXPECT_EQ(one_.members("app", "c"), 2U);
  one_.leave("app", "c", "alice", "r1");
  EXPECT_EQ(one_.members("app", "c"), 2U);
  EXPECT_EQ(one_.members("app", "d"), 0U);
  EXPECT_EQ(one_.members("other", "c"), 0U);
}

TEST_F(PresenceTest, AMetaThatChangesIsShownOnce) {
  apply_all(other_, {join(one_, "c", "alice", "r1", R"({"a":1})").message});
  const auto changed = join(one_, "c", "alice", "r1", R"({"a":2})");
  EXPECT_EQ(apply_all(other_, {changed.message}), "c" + diff(changed.change));
  EXPECT_EQ(state(other_), R"({"alice":{"metas":[{"phx_ref":"r1","a":2}]}})");
  EXPECT_EQ(apply_all(other_, {changed.message}), "");
}

TEST_F(PresenceTest, RefusesWhatIsNoMember) {
  const auto code = [&](std::string_view key, std::string_view ref, const std::string& meta) {
    const auto said = one_.join("app", "c", key, ref, meta);
    return said.ok() ? core::Code::ok : said.status().code();
  };
  EXPECT_EQ(code("", "r", ""), core::Code::invalid_parameter);
  EXPECT_EQ(code("k", "", ""), core::Code::invalid_parameter);
  EXPECT_EQ(code("\xff", "r", ""), core::Code::invalid_parameter);
  EXPECT_EQ(code("k", "r", "[1]"), core::Code::invalid_parameter);
  EXPECT_EQ(code("k", "r", R"({"a":")" + std::string(kMaxMember, 'x') + "\"}"), core::Code::invalid_parameter);
  EXPECT_EQ(code(std::string(kMaxMember, 'k'), "r", ""), core::Code::invalid_parameter);
  EXPECT_EQ(code("k", std::string(kMaxMember / 2, '\1'), ""), core::Code::invalid_parameter);  // six times that as JSON
  EXPECT_EQ(state(one_), "{}");
  EXPECT_EQ(code("k", "r", R"({"a":")" + std::string(kMaxMember - 50, 'x') + "\"}"), core::Code::ok);
}

TEST_F(PresenceTest, WhoIsNotHereCanNotLeave) {
  EXPECT_EQ(one_.leave("app", "c", "alice", "r1").message, "");
  const std::string message = join(one_, "c", "alice", "r1").message;
  other_.apply(message);
  EXPECT_EQ(one_.leave("app", "c", "alice", "r2").message, "");
  EXPECT_EQ(other_.leave("app", "c", "alice", "r1").message, "");  // another worker's
  EXPECT_EQ(state(other_), state(one_));
}

TEST_F(PresenceTest, OnesOwnWordsAndGarbageCountForNothing) {
  const std::string message = join(one_, "c", "alice", "r1").message;
  one_.leave("app", "c", "alice", "r1");
  EXPECT_TRUE(one_.apply(message).changes.empty());
  EXPECT_FALSE(one_.apply(one_.hello().front()).retell);
  for (const std::string garbage : {"", "PGP2", "hello", "{\"joins\":{}}"}) {
    EXPECT_TRUE(other_.apply(garbage).changes.empty());
    EXPECT_FALSE(other_.apply(garbage).retell);
  }
  EXPECT_EQ(state(one_), "{}");
}

TEST_F(PresenceTest, ANewcomerAsksAndIsTold) {
  join(one_, "c", "alice", "r1", R"({"a":1})");
  join(one_, "d", "bob", "r2");
  bool asked = false;
  for (const std::string& message : other_.hello()) asked = one_.apply(message).retell || asked;
  EXPECT_TRUE(asked);
  apply_all(other_, one_.retell());
  for (const char* channel : {"c", "d"}) EXPECT_EQ(state(other_, channel), state(one_, channel));
  EXPECT_EQ(apply_all(other_, one_.retell()), "");
}

TEST_F(PresenceTest, ListsComeInPartsOfBoundedSize) {
  const std::string meta = R"({"text":")" + std::string(1000, 'x') + "\"}";
  for (int i = 0; i < 200; ++i) {
    join(one_, "c" + std::to_string(i % 3), "key" + std::to_string(i), "r" + std::to_string(i), meta);
  }
  const Strings parts = one_.retell();
  EXPECT_GT(parts.size(), 5U);
  for (const std::string& part : parts) EXPECT_LE(part.size(), kMaxPresenceMessage);
  apply_all(other_, parts);
  for (const char* channel : {"c0", "c1", "c2"}) EXPECT_EQ(state(other_, channel), state(one_, channel));
}

TEST_F(PresenceTest, WhatAListDoesNotNameIsGone) {
  apply_all(other_, {join(one_, "c", "alice", "r1").message, join(one_, "c", "bob", "r2").message});
  one_.leave("app", "c", "alice", "r1");  // the word of it is lost
  EXPECT_EQ(apply_all(other_, one_.retell()), R"(c{"joins":{},"leaves":{"alice":{"metas":[{"phx_ref":"r1"}]}}})");
  one_.leave("app", "c", "bob", "r2");
  apply_all(other_, one_.retell());  // an empty list
  EXPECT_EQ(state(other_), "{}");
}

TEST_F(PresenceTest, HalfAListDropsNobodyAndTheNextOneDoes) {
  const std::string meta = R"({"text":")" + std::string(10'000, 'x') + "\"}";
  Strings said;
  for (int i = 0; i < 10; ++i) said.push_back(join(one_, "c", "k" + std::to_string(i), "r", meta).message);
  apply_all(other_, said);
  one_.leave("app", "c", "k0", "r");
  const Strings parts = one_.retell();
  ASSERT_GE(parts.size(), 3U);
  for (std::size_t lost = 0; lost < parts.size(); ++lost) {
    Strings heard = parts;
    heard.erase(heard.begin() + static_cast<std::ptrdiff_t>(lost));
    EXPECT_EQ(apply_all(other_, heard), "") << lost;
  }
  EXPECT_EQ(other_.members("app", "c"), 10U);
  apply_all(other_, one_.retell());
  EXPECT_EQ(state(other_), state(one_));
}

TEST_F(PresenceTest, AKilledWorkersMembersGo) {
  Presence third(300);
  apply_all(third, {join(one_, "c", "alice", "r1").message, join(one_, "d", "bob", "r2").message,
                    join(other_, "c", "alice", "r3").message});
  EXPECT_EQ(third.peers(), (std::vector<std::uint64_t>{100, 200}));
  EXPECT_EQ(diffs(third.drop_worker(100)), R"(c{"joins":{},"leaves":{"alice":{"metas":[{"phx_ref":"r1"}]}}})"
                                           R"(d{"joins":{},"leaves":{"bob":{"metas":[{"phx_ref":"r2"}]}}})");
  EXPECT_EQ(state(third), R"({"alice":{"metas":[{"phx_ref":"r3"}]}})");
  EXPECT_EQ(third.peers(), std::vector<std::uint64_t>{200});
  EXPECT_TRUE(third.drop_worker(100).empty());
  join(third, "c", "carol", "r4");
  EXPECT_TRUE(third.drop_worker(300).empty());  // oneself
  EXPECT_EQ(third.members("app", "c"), 2U);
}

}  // namespace
}  // namespace polyglot::server::testing
