// A bus that may lose anything and says nothing of it: what the beats find out, and when a lease is over.
#include <deque>

#include "presence_fixture.hpp"

namespace polyglot::server::testing {
namespace {

class PresenceBeatTest : public PresenceTest {
 protected:
  // A second of other_ in which one_ is silent. What goes.
  std::string second(bool is_up = true) {
    if (is_up) other_.apply(other_.beat());
    return diffs(other_.drop_silent());
  }
  // What other_ asks when it hears a beat of one_, and the answer comes: the changes of that.
  std::string heal() {
    const std::string question = other_.apply(one_.beat()).question;
    EXPECT_FALSE(question.empty());
    EXPECT_TRUE(one_.apply(question).retell);
    const std::string changes = apply_all(other_, one_.retell());
    EXPECT_EQ(other_.apply(one_.beat()).question, "");
    return changes;
  }
};

TEST_F(PresenceBeatTest, WhoHasHeardEverythingAsksNothing) {
  apply_all(other_, one_.hello());
  EXPECT_EQ(other_.apply(one_.beat()).question, "");
  apply_all(other_, {join(one_, "c", "alice", "r1").message, one_.leave("app", "c", "alice", "r1").message});
  EXPECT_EQ(other_.apply(one_.beat()).question, "");
}

TEST_F(PresenceBeatTest, WhoDoesNotKnowAWorkerAsksIt) {
  join(one_, "c", "alice", "r1");
  EXPECT_EQ(heal(), R"(c{"joins":{"alice":{"metas":[{"phx_ref":"r1"}]}},"leaves":{}})");
}

TEST_F(PresenceBeatTest, AJoinThatWasLostIsFound) {
  apply_all(other_, one_.hello());
  join(one_, "c", "alice", "r1");
  EXPECT_EQ(heal(), R"(c{"joins":{"alice":{"metas":[{"phx_ref":"r1"}]}},"leaves":{}})");
}

TEST_F(PresenceBeatTest, ALeaveThatWasLostIsFoundThoughMoreCame) {
  apply_all(other_, one_.hello());
  apply_all(other_, {join(one_, "c", "alice", "r1").message});
  one_.leave("app", "c", "alice", "r1");
  apply_all(other_, {join(one_, "c", "bob", "r2").message});
  EXPECT_EQ(heal(), R"(c{"joins":{},"leaves":{"alice":{"metas":[{"phx_ref":"r1"}]}}})");
}

TEST_F(PresenceBeatTest, WhatComesInAnotherOrderIsFound) {
  apply_all(other_, one_.hello());
  const std::string came = join(one_, "c", "alice", "r1").message;
  apply_all(other_, {one_.leave("app", "c", "alice", "r1").message, came});
  EXPECT_EQ(heal(), R"(c{"joins":{},"leaves":{"alice":{"metas":[{"phx_ref":"r1"}]}}})");
}

TEST_F(PresenceBeatTest, OnlyWhoIsAskedAnswers) {
  Presence third(300);
  const std::string question = other_.apply(one_.beat()).question;
  EXPECT_TRUE(one_.apply(question).retell);
  EXPECT_FALSE(third.apply(question).retell);
}

TEST_F(PresenceBeatTest, TheMembersOfWhoIsSilentGoWhenItsLeaseIsOver) {
  apply_all(other_, one_.hello());
  apply_all(other_, {join(one_, "c", "alice", "r1").message});
  join(other_, "c", "bob", "r2");
  for (unsigned i = 0; i < kPresenceLease; ++i) EXPECT_EQ(second(), "") << i;
  EXPECT_EQ(second(), R"(c{"joins":{},"leaves":{"alice":{"metas":[{"phx_ref":"r1"}]}}})");
  EXPECT_TRUE(other_.peers().empty());
  EXPECT_EQ(state(other_), R"({"bob":{"metas":[{"phx_ref":"r2"}]}})");
  // It was only away.
  EXPECT_EQ(heal(), R"(c{"joins":{"alice":{"metas":[{"phx_ref":"r1"}]}},"leaves":{}})");
}

TEST_F(PresenceBeatTest, EveryWordIsASignOfLife) {
  apply_all(other_, one_.hello());
  apply_all(other_, {join(one_, "c", "alice", "r1").message});
  for (unsigned i = 0; i < 5 * kPresenceLease; ++i) {
    apply_all(other_, {i % 2 == 0 ? one_.beat() : join(one_, "c", "bob", "r2").message});
    for (unsigned silent = 0; silent < kPresenceLease; ++silent) {
      const std::string gone = second();
      EXPECT_EQ(gone, "") << i;
    }
  }
}

TEST_F(PresenceBeatTest, WhileTheBusIsDownNobodysLeaseRuns) {
  apply_all(other_, one_.hello());
  apply_all(other_, {join(one_, "c", "alice", "r1").message});
  for (unsigned i = 0; i < 10 * kPresenceLease; ++i) EXPECT_EQ(second(false), "") << i;
  for (unsigned i = 0; i < kPresenceLease; ++i) EXPECT_EQ(second(), "") << i;
  EXPECT_NE(second(), "");
}

// What was said while the bus was down comes at once or never; many beats of one's own in one second are one second.
TEST_F(PresenceBeatTest, ABurstOfOnesOwnBeatsIsOneSecond) {
  apply_all(other_, one_.hello());
  apply_all(other_, {join(one_, "c", "alice", "r1").message});
  for (unsigned i = 0; i < 10 * kPresenceLease; ++i) other_.apply(other_.beat());
  EXPECT_EQ(diffs(other_.drop_silent()), "");
}

// A bus that drops and swaps messages, to some or to all, and is down at times. In the end it is well for longer than a
// lease, and nobody was told that.
class Net : public Crowd {
 public:
  explicit Net(unsigned seed) : Crowd(seed) {
    for (std::size_t at = 0; at < kWorkers; ++at) start(at);
  }

  void step() {
    const std::size_t at = any_worker();
    switch (const unsigned what = random_() % 100; what) {
      case 0:
        down_ = !down_;
        break;
      case 1:
        inboxes_[at].clear();
        start(at);
        break;
      case 2:
        second();
        break;
      default:
        what < 40 ? come_or_go(workers_[at]) : read_on(at, random_() % 20);
    }
  }

  void settle() {
    down_ = false;
    lossy_ = false;
    for (unsigned i = 0; i < kPresenceLease + 3; ++i) {
      second();
      while (std::any_of(inboxes_.begin(), inboxes_.end(), [](const auto& inbox) { return !inbox.empty(); })) {
        for (std::size_t at = 0; at < kWorkers; ++at) read_on(at, inboxes_[at].size());
      }
    }
    lossy_ = true;
  }

 private:
  void say(const Strings& messages) override {
    for (const std::string& message : messages) {
      if (down_ || loses()) continue;
      for (auto& inbox : inboxes_) {
        if (loses()) continue;
        inbox.push_back(message);
        if (inbox.size() > 1 && loses()) std::swap(inbox.back(), inbox[inbox.size() - 2]);
      }
    }
  }
  bool loses() { return lossy_ && random_() % 10 == 0; }

  void second() {
    for (Worker& worker : workers_) {
      follow(worker, worker.presence->drop_silent());
      say({worker.presence->beat()});
    }
  }

  void read_on(std::size_t at, std::size_t count) {
    std::deque<std::string>& inbox = inboxes_[at];
    bool retell = false;
    for (; count > 0 && !inbox.empty(); --count) {
      const std::string message = inbox.front();
      inbox.pop_front();
      retell |= read(workers_[at], message);
    }
    if (retell) say(workers_[at].presence->retell());
  }

  std::array<std::deque<std::string>, kWorkers> inboxes_;
  bool down_ = false;
  bool lossy_ = true;
};

TEST(PresenceNetTest, AllReplicasBecomeTheTruth) {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    Net net(seed);
    for (int round = 0; round < 3; ++round) {
      for (int i = 0; i < 300; ++i) net.step();
      net.settle();
      net.expect_truth();
      ASSERT_FALSE(::testing::Test::HasFailure());
    }
  }
}

}  // namespace
}  // namespace polyglot::server::testing
