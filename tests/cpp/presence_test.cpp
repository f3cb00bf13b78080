#include "server/presence.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace polyglot::server {
namespace {

using Strings = std::vector<std::string>;

std::string state(const Presence& presence, std::string_view channel = "c") {
  std::string out;
  presence.append_state(out, "app", channel);
  return out;
}

std::string diff(const Presence::Change& change) {
  std::string out;
  Presence::append_diff(out, change);
  return out;
}

Presence::Said join(Presence& presence, std::string_view channel, std::string_view key, std::string_view ref,
                    std::string_view meta = "") {
  auto said = presence.join("app", channel, key, ref, meta);
  EXPECT_TRUE(said.ok());
  return std::move(said).value();
}

// All that the changes say, in order.
std::string apply_all(Presence& presence, const Strings& messages) {
  std::string said;
  for (const std::string& message : messages) {
    for (const auto& change : presence.apply(message).changes) said += change.channel + diff(change);
  }
  return said;
}

class PresenceTest : public ::testing::Test {
 protected:
  Presence one_{1, 100};
  Presence other_{2, 200};
};

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
  for (const std::string garbage : {"", "PGP1", "hello", "{\"joins\":{}}"}) {
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
  for (const std::string& part : parts) EXPECT_LE(part.size(), kMaxListPart);
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
  EXPECT_TRUE(other_.peers().empty());
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

TEST_F(PresenceTest, WhoJoinsWhileAListIsToldStays) {
  const std::string meta = R"({"text":")" + std::string(10'000, 'x') + "\"}";
  for (int i = 0; i < 10; ++i) join(one_, "c", "k" + std::to_string(i), "r", meta);
  Strings messages = one_.retell();
  messages.push_back(join(one_, "c", "late", "r").message);
  std::swap(messages.back(), messages[messages.size() - 2]);
  apply_all(other_, messages);
  EXPECT_EQ(state(other_), state(one_));
}

TEST_F(PresenceTest, AKilledWorkersMembersGo) {
  Presence third(3, 300);
  apply_all(third, {join(one_, "c", "alice", "r1").message, join(one_, "d", "bob", "r2").message,
                    join(other_, "c", "alice", "r3").message});
  ASSERT_EQ(third.peers().size(), 2U);
  EXPECT_EQ(third.peers().front().worker, 1U);
  EXPECT_EQ(third.peers().front().incarnation, 100U);
  std::string said;
  for (const auto& change : third.drop_worker(1)) said += change.channel + diff(change);
  EXPECT_EQ(said, R"(c{"joins":{},"leaves":{"alice":{"metas":[{"phx_ref":"r1"}]}}})"
                  R"(d{"joins":{},"leaves":{"bob":{"metas":[{"phx_ref":"r2"}]}}})");
  EXPECT_EQ(state(third), R"({"alice":{"metas":[{"phx_ref":"r3"}]}})");
  EXPECT_EQ(third.peers().size(), 1U);
  EXPECT_TRUE(third.drop_worker(1).empty());
  join(third, "c", "carol", "r4");
  EXPECT_TRUE(third.drop_worker(3).empty());  // oneself
  EXPECT_EQ(third.members("app", "c"), 2U);
}

TEST_F(PresenceTest, ANewIncarnationDropsTheMembersOfTheOneBefore) {
  apply_all(other_, {join(one_, "c", "alice", "r1").message, join(one_, "c", "bob", "r2").message});
  Presence again(1, 101);
  EXPECT_EQ(apply_all(other_, {join(again, "c", "alice", "r3").message}),
            R"(c{"joins":{"alice":{"metas":[{"phx_ref":"r3"}]}},)"
            R"("leaves":{"alice":{"metas":[{"phx_ref":"r1"}]},"bob":{"metas":[{"phx_ref":"r2"}]}}})");
  EXPECT_EQ(state(other_), state(again));
  Presence empty(1, 102);
  EXPECT_TRUE(other_.apply(empty.hello().front()).retell);
  EXPECT_EQ(state(other_), "{}");
}

// Workers on one bus, each with a place of its own in it. They come, go, are killed and started again, read at any time
// and any distance behind, and lose stretches of the bus. In the end all replicas say the same, which is the truth.
class Host {
 public:
  explicit Host(unsigned seed) : random_(seed) {
    for (std::uint32_t i = 0; i < kWorkers; ++i) start(i);
  }

  void step() {
    Worker& worker = workers_[random_() % kWorkers];
    switch (const unsigned what = random_() % 100; what) {
      case 0:
        worker.lost = worker.lost || worker.read < bus_.size();
        worker.read = bus_.size();
        break;
      case 1:
        start(worker.number);
        break;
      default:
        what < 40 ? come_or_go(worker) : read(worker, random_() % 20);
    }
  }

  void settle() {
    for (Worker& worker : workers_) drop_the_dead(worker);
    const auto behind = [&](const Worker& worker) { return worker.lost || worker.read < bus_.size(); };
    while (std::any_of(workers_.begin(), workers_.end(), behind)) {
      for (Worker& worker : workers_) read(worker, bus_.size());
    }
    for (Worker& worker : workers_) drop_the_dead(worker);
  }

  std::string shown(std::uint32_t worker) const {
    std::string out;
    for (const char* channel : kChannels) out += state(*workers_[worker].presence, channel) + "\n";
    return out;
  }
  std::string truth() const {
    Presence all(60, 1);
    for (const auto& [channel, key, ref] : present_) join(all, channel, key, ref, "");
    std::string out;
    for (const char* channel : kChannels) out += state(all, channel) + "\n";
    return out;
  }
  // What the changes that a worker was given add up to is the truth too.
  bool changes_add_up(std::uint32_t worker) const { return workers_[worker].seen == present_metas(); }

  static constexpr std::uint32_t kWorkers = 4;

 private:
  using Member = std::tuple<std::string, std::string, std::string>;  // channel, key, ref
  static constexpr std::array<const char*, 3> kChannels = {"a", "b", "c"};
  struct Worker {
    std::uint32_t number = 0;
    std::uint64_t incarnation = 0;
    std::unique_ptr<Presence> presence = {};
    std::size_t read = 0;
    bool lost = false;
    std::set<std::pair<std::string, std::string>> seen = {};  // channel, meta
    std::vector<Member> own = {};
  };

  std::set<std::pair<std::string, std::string>> present_metas() const {
    std::set<std::pair<std::string, std::string>> metas;
    for (const auto& [channel, key, ref] : present_) metas.emplace(channel, "{\"phx_ref\":\"" + ref + "\"}");
    return metas;
  }

  void start(std::uint32_t number) {
    for (const Member& member : workers_[number].own) present_.erase(member);
    Worker& worker = workers_[number];
    worker = {.number = number, .incarnation = ++incarnations_};
    worker.presence = std::make_unique<Presence>(number, worker.incarnation);
    worker.read = bus_.size();
    say(worker.presence->hello());
  }
  void say(const Strings& messages) { bus_.insert(bus_.end(), messages.begin(), messages.end()); }

  static void follow(Worker& worker, const std::vector<Presence::Change>& changes) {
    for (const auto& change : changes) {
      for (const auto& [key, metas] : change.leaves) {
        for (const auto& meta : metas) EXPECT_EQ(worker.seen.erase({change.channel, meta}), 1U);
      }
      for (const auto& [key, metas] : change.joins) {
        for (const auto& meta : metas) EXPECT_TRUE(worker.seen.emplace(change.channel, meta).second);
      }
    }
  }

  void come_or_go(Worker& worker) {
    if (worker.own.size() > 5 || (random_() % 2 == 0 && !worker.own.empty())) {
      std::swap(worker.own[random_() % worker.own.size()], worker.own.back());
      const auto& [channel, key, ref] = worker.own.back();
      auto said = worker.presence->leave("app", channel, key, ref);
      follow(worker, {said.change});
      say({said.message});
      present_.erase(worker.own.back());
      worker.own.pop_back();
    } else {
      const Member member = {kChannels[random_() % 3], "k" + std::to_string(random_() % 4),
                             "r" + std::to_string(++refs_)};
      const auto& [channel, key, ref] = member;
      auto said = join(*worker.presence, channel, key, ref);
      follow(worker, {said.change});
      say({said.message});
      worker.own.push_back(member);
      present_.insert(member);
    }
  }

  void read(Worker& worker, std::size_t count) {
    if (worker.lost) {
      say(worker.presence->hello());
      worker.lost = false;
    }
    bool retell = false;
    for (; count > 0 && worker.read < bus_.size(); --count) {
      const auto outcome = worker.presence->apply(bus_[worker.read++]);
      follow(worker, outcome.changes);
      retell = retell || outcome.retell;
    }
    if (retell) say(worker.presence->retell());
    if (random_() % 8 == 0) drop_the_dead(worker);
  }

  void drop_the_dead(Worker& worker) {
    for (const auto& peer : worker.presence->peers()) {
      if (workers_[peer.worker].incarnation != peer.incarnation) {
        follow(worker, worker.presence->drop_worker(peer.worker));
      }
    }
  }

  std::mt19937 random_;
  Strings bus_;
  std::array<Worker, kWorkers> workers_;
  std::set<Member> present_;
  std::uint64_t incarnations_ = 0;
  std::uint64_t refs_ = 0;
};

TEST(PresencePropertyTest, AllReplicasBecomeTheTruth) {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    Host host(seed);
    for (int round = 0; round < 3; ++round) {
      for (int i = 0; i < 300; ++i) host.step();
      host.settle();
      for (std::uint32_t worker = 0; worker < Host::kWorkers; ++worker) {
        ASSERT_EQ(host.shown(worker), host.truth()) << worker;
        ASSERT_TRUE(host.changes_add_up(worker)) << worker;
      }
    }
  }
}

}  // namespace
}  // namespace polyglot::server
