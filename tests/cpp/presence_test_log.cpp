// The shared log as the bus: it loses messages only to who is overrun, and says so.
#include "presence_fixture.hpp"

namespace polyglot::server::testing {
namespace {

// Each worker has a place of its own in the log. It reads at any time and any distance behind, and loses stretches.
class Host : public Crowd {
 public:
  explicit Host(unsigned seed) : Crowd(seed) {
    for (std::size_t at = 0; at < kWorkers; ++at) start(at);
  }

  void step() {
    const std::size_t at = any_worker();
    Place& place = places_[at];
    switch (const unsigned what = random_() % 100; what) {
      case 0:
        place.lost = place.lost || place.read < log_.size();
        place.read = log_.size();
        break;
      case 1:
        start(at);
        place = {log_.size()};
        break;
      default:
        what < 40 ? come_or_go(workers_[at]) : read_on(at, random_() % 20);
    }
  }

  void settle() {
    drop_the_dead();
    const auto behind = [&](const Place& place) { return place.lost || place.read < log_.size(); };
    while (std::any_of(places_.begin(), places_.end(), behind)) {
      for (std::size_t at = 0; at < kWorkers; ++at) read_on(at, log_.size());
    }
    drop_the_dead();
  }

 private:
  struct Place {
    std::size_t read = 0;
    bool lost = false;
  };

  void say(const Strings& messages) override { log_.insert(log_.end(), messages.begin(), messages.end()); }

  void read_on(std::size_t at, std::size_t count) {
    Worker& worker = workers_[at];
    Place& place = places_[at];
    if (std::exchange(place.lost, false)) say(worker.presence->hello());
    bool retell = false;
    for (; count > 0 && place.read < log_.size(); --count) {
      const std::string message = log_[place.read++];
      retell |= read(worker, message);
    }
    if (retell) say(worker.presence->retell());
    if (random_() % 8 == 0) drop_the_dead(worker);
  }

  void drop_the_dead(Worker& worker) {
    for (const std::uint64_t peer : worker.presence->peers()) {
      const auto is_it = [peer](const Worker& one) { return one.incarnation == peer; };
      if (std::any_of(workers_.begin(), workers_.end(), is_it)) continue;
      follow(worker, worker.presence->drop_worker(peer));
    }
  }
  void drop_the_dead() {
    for (Worker& worker : workers_) drop_the_dead(worker);
  }

  Strings log_;
  std::array<Place, kWorkers> places_;
};

TEST(PresenceLogTest, AllReplicasBecomeTheTruth) {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    Host host(seed);
    for (int round = 0; round < 3; ++round) {
      for (int i = 0; i < 300; ++i) host.step();
      host.settle();
      host.expect_truth();
      ASSERT_FALSE(::testing::Test::HasFailure());
    }
  }
}

}  // namespace
}  // namespace polyglot::server::testing
