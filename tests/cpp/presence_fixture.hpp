// What the tests of presence share: replicas as text, and a crowd of workers that is compared with the truth.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "server/presence.hpp"

namespace polyglot::server::testing {

using Strings = std::vector<std::string>;

inline std::string state(const Presence& presence, std::string_view channel = "c") {
  std::string out;
  presence.append_state(out, "app", channel);
  return out;
}

inline std::string diff(const Presence::Change& change) {
  std::string out;
  Presence::append_diff(out, change);
  return out;
}

inline std::string diffs(const std::vector<Presence::Change>& changes) {
  std::string said;
  for (const auto& change : changes) said += change.channel + diff(change);
  return said;
}

inline Presence::Said join(Presence& presence, std::string_view channel, std::string_view key, std::string_view ref,
                           std::string_view meta = "") {
  auto said = presence.join("app", channel, key, ref, meta);
  EXPECT_TRUE(said.ok());
  return std::move(said).value();
}

// All that the changes say, in order.
inline std::string apply_all(Presence& presence, const Strings& messages) {
  std::string said;
  for (const std::string& message : messages) said += diffs(presence.apply(message).changes);
  return said;
}

class PresenceTest : public ::testing::Test {
 protected:
  Presence one_{100};
  Presence other_{200};
};

// Workers whose members come and go, who are killed and started again, and what is true of them all. How they hear of
// each other is for who derives from it.
class Crowd {
 public:
  static constexpr std::size_t kWorkers = 4;

  explicit Crowd(unsigned seed) : random_(seed) {}
  virtual ~Crowd() = default;

  // All replicas are the truth, and so is what the changes that each worker was given add up to.
  void expect_truth() const {
    for (const Worker& worker : workers_) {
      EXPECT_EQ(shown(*worker.presence), truth());
      EXPECT_EQ(worker.seen, present_metas());
    }
  }

 protected:
  using Member = std::tuple<std::string, std::string, std::string>;  // channel, key, ref
  using Seen = std::set<std::pair<std::string, std::string>>;        // channel, meta
  struct Worker {
    std::uint64_t incarnation = 0;
    std::unique_ptr<Presence> presence = {};
    Seen seen = {};
    std::vector<Member> own = {};
  };

  virtual void say(const Strings& messages) = 0;

  std::size_t any_worker() { return random_() % kWorkers; }

  // In the place of the one before, which is dead then.
  void start(std::size_t at) {
    for (const Member& member : workers_[at].own) present_.erase(member);
    workers_[at] = {.incarnation = ++incarnations_};
    workers_[at].presence = std::make_unique<Presence>(incarnations_);
    say(workers_[at].presence->hello());
  }

  void come_or_go(Worker& worker) {
    if (worker.own.size() > 5 || (random_() % 2 == 0 && !worker.own.empty())) {
      std::swap(worker.own[random_() % worker.own.size()], worker.own.back());
      const auto& [channel, key, ref] = worker.own.back();
      take(worker, worker.presence->leave("app", channel, key, ref));
      present_.erase(worker.own.back());
      worker.own.pop_back();
    } else {
      const Member member = {kChannels[random_() % 3], "k" + std::to_string(random_() % 4),
                             "r" + std::to_string(++refs_)};
      const auto& [channel, key, ref] = member;
      take(worker, join(*worker.presence, channel, key, ref));
      worker.own.push_back(member);
      present_.insert(member);
    }
  }

  // Reads one message; whether it asks for the worker's list.
  bool read(Worker& worker, const std::string& message) {
    const auto outcome = worker.presence->apply(message);
    follow(worker, outcome.changes);
    if (!outcome.question.empty()) say({outcome.question});
    return outcome.retell;
  }

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

  std::mt19937 random_;
  std::array<Worker, kWorkers> workers_;
  std::uint64_t incarnations_ = 0;

 private:
  static constexpr std::array<const char*, 3> kChannels = {"a", "b", "c"};

  void take(Worker& worker, const Presence::Said& said) {
    follow(worker, {said.change});
    say({said.message});
  }

  static std::string shown(const Presence& presence) {
    std::string out;
    for (const char* channel : kChannels) out += state(presence, channel) + "\n";
    return out;
  }
  std::string truth() const {
    Presence all(~std::uint64_t{0});
    for (const auto& [channel, key, ref] : present_) join(all, channel, key, ref);
    return shown(all);
  }
  Seen present_metas() const {
    Seen metas;
    for (const auto& [channel, key, ref] : present_) metas.emplace(channel, "{\"phx_ref\":\"" + ref + "\"}");
    return metas;
  }

  std::set<Member> present_;
  std::uint64_t refs_ = 0;
};

}  // namespace polyglot::server::testing
