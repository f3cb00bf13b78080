// What a reader gets, and what it is told about what it does not get.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "gateway_fixture.hpp"

namespace polyglot::core {
namespace {

using testing::clock_us;
using testing::GatewayTest;
using testing::kSecond;
using testing::kStart;
using testing::pattern;
using testing::taken;

// The rules of history, written down once more as plainly as possible: a list of events, filtered.
class Model {
 public:
  struct Event {
    std::uint64_t offset;
    TimeUs time;  // never falls
    std::string envelope;
    std::uint64_t position;  // in the log
  };

  explicit Model(const Header& header) : header_(header) {}

  void publish(const Ack& ack, const std::string& envelope) {
    if (!epoch_ || *epoch_ != ack.epoch) events_.clear();
    epoch_ = ack.epoch;
    newest_ = std::max(newest_, ack.time);
    events_.push_back({ack.offset, newest_, envelope, header_.head.load() - record_bytes(envelope.size())});
  }
  void forget(std::uint64_t epoch) {
    if (epoch_) epoch_ = epoch;
    events_.clear();
  }
  std::uint64_t epoch() const { return epoch_.value_or(header_.void_epoch.load()); }
  std::uint64_t last() const { return events_.empty() ? 0 : events_.back().offset; }

  struct Kept {
    std::vector<Event> events;
    GapReason reason = GapReason::overwritten;  // why what is older is gone
  };
  // What a rule lets a reader see now.
  Kept kept(const ChannelRule& rule, TimeUs now) const {
    Kept kept;
    for (const Event& event : events_) {
      const std::uint64_t newer = last() - event.offset;
      if (newer >= 15 || newer >= rule.history_size || event.position < header_.tail.load()) continue;
      if (rule.history_ttl_us > 0 && event.time < now - rule.history_ttl_us) {
        kept.reason = GapReason::expired;
      } else {
        kept.events.push_back(event);
      }
    }
    return kept;
  }

  std::string reply(const HistoryRequest& request, const ChannelRule& rule, TimeUs now) const {
    const Kept all = kept(rule, now);
    const std::uint64_t first = all.events.empty() ? last() + 1 : all.events.front().offset;
    std::uint64_t from = first;
    std::string gap = "null";
    auto tell = [&gap](std::uint64_t begin, std::uint64_t end, GapReason reason) {
      gap = "{\"from\":" + std::to_string(begin) + ",\"to\":" + std::to_string(end) + ",\"reason\":\"" +
            std::string(gap_reason_text(reason)) + "\"}";
    };
    if (request.since) {
      const bool before_it_was = request.epoch == epoch_text(header_.void_epoch.load()) && *request.since == 0;
      if (!request.epoch.empty() && request.epoch != epoch_text(epoch()) && !before_it_was) {
        tell(0, 0, GapReason::epoch_changed);
      } else if (*request.since > last()) {
        tell(0, 0, GapReason::beyond_end);
      } else if (*request.since + 1 < first) {
        tell(*request.since + 1, first - 1, all.reason);
      } else {
        from = *request.since + 1;
      }
    }
    std::vector<Event> chosen;
    for (const Event& event : all.events)
      if (event.offset >= from && (!request.until || event.offset <= *request.until)) chosen.push_back(event);
    while (chosen.size() > request.limit) {
      if (request.since && !request.reverse) {
        chosen.pop_back();
      } else {
        chosen.erase(chosen.begin());
      }
    }
    if (request.reverse) std::reverse(chosen.begin(), chosen.end());
    std::string events;
    for (const Event& event : chosen) events += (events.empty() ? "" : ",") + event.envelope;
    return R"({"app_id":"app","channel":"room","count":)" + std::to_string(chosen.size()) + R"(,"events":[)" + events +
           R"(],"epoch":")" + epoch_text(epoch()) + R"(","offset":)" + std::to_string(last()) + R"(,"recovered":)" +
           (gap == "null" ? "true" : "false") + R"(,"gap":)" + gap + "}";
  }

 private:
  const Header& header_;
  std::optional<std::uint64_t> epoch_;
  TimeUs newest_ = 0;
  std::vector<Event> events_;
};

class HistoryRequestTest : public GatewayTest {
 protected:
  void rule(const ChannelRule& rule) {
    rule_ = rule;
    gateway_->configure(Access(), Rules(rule));
  }
  void publish_to_model(std::string_view data) {
    const Ack ack = publish("room", data);
    HistoryPage page;
    gateway_->read("app", "room", {.since = ack.offset - 1}, page).ok();
    model_.publish(ack, std::string(page.bytes.text()));
  }
  void push_out_of_the_log() {
    const std::string large = "\"" + std::string(60'000, 'x') + "\"";
    for (int i = 0; i < 18; ++i) publish("large", large);
  }
  // Whether history says what the model says.
  ::testing::AssertionResult agrees(const HistoryRequest& request) {
    const std::string got = history("room", request), expected = model_.reply(request, rule_, clock_us);
    if (got == expected) return ::testing::AssertionSuccess();
    auto text = [](const std::optional<std::uint64_t>& n) { return n ? std::to_string(*n) : "none"; };
    return ::testing::AssertionFailure() << "limit " << request.limit << " since " << text(request.since) << " until "
                                         << text(request.until) << " reverse " << request.reverse << " epoch "
                                         << request.epoch << "\n     got " << got << "\nexpected " << expected;
  }

  ChannelRule rule_;
  Model model_{header()};
};

TEST_F(HistoryRequestTest, EveryCombinationOfParametersIsAsTheModelSays) {
  for (int i = 0; i < 20; ++i) publish_to_model(std::to_string(i));
  using Offset = std::optional<std::uint64_t>;
  const std::string now = epoch_text(model_.epoch()), never = epoch_text(header().void_epoch.load());
  constexpr auto kMax = ~std::uint64_t{0};
  for (const std::uint32_t limit : {1U, 3U, 14U, 15U, 16U, 1000U})
    for (const Offset since :
         {Offset(), Offset(0), Offset(4), Offset(5), Offset(12), Offset(19), Offset(20), Offset(21), Offset(kMax)})
      for (const Offset until :
           {Offset(), Offset(0), Offset(5), Offset(6), Offset(12), Offset(20), Offset(21), Offset(kMax)})
        for (const bool reverse : {false, true})
          for (const std::string& epoch : {std::string(), now, never, std::string("00000000000000aa")})
            ASSERT_TRUE(agrees({.limit = limit, .since = since, .until = until, .reverse = reverse, .epoch = epoch}));
}

TEST_F(HistoryRequestTest, WhateverHappenedItIsAsTheModelSays) {
  std::mt19937_64 random(7);
  auto below = [&random](std::uint64_t n) { return random() % n; };
  std::vector<std::string> epochs = {epoch_text(model_.epoch())};
  for (int step = 0; step < 4000; ++step) {
    const std::uint64_t dice = below(100);
    if (dice < 60) {
      publish_to_model(std::to_string(step));
    } else if (dice < 75) {
      clock_us += static_cast<TimeUs>(below(3'000'000));
    } else if (dice < 78) {
      clock_us -= static_cast<TimeUs>(below(3'000'000));
    } else if (dice < 80) {
      model_.forget(taken(gateway_->forget("app", "room")));
    } else if (dice < 81) {
      push_out_of_the_log();
    } else if (dice < 90) {
      rule({.history_size = below(20), .history_ttl_us = static_cast<TimeUs>(below(2) * below(20'000'000))});
    }
    if (epochs.back() != epoch_text(model_.epoch())) epochs.push_back(epoch_text(model_.epoch()));
    for (int query = 0; query < 6; ++query) {
      const std::uint64_t around = model_.last() < 20 ? 0 : model_.last() - 20;
      HistoryRequest request{.limit = static_cast<std::uint32_t>(1 + below(20)), .reverse = below(2) == 0};
      if (below(4) != 0) request.since = around + below(24);
      if (below(8) == 0) request.since = 0;
      if (below(3) == 0) request.until = around + below(24);
      const std::string epoch = below(4) == 0
                                    ? epoch_text(header().void_epoch.load())
                                    : epochs[epochs.size() - 1 - below(std::min<std::size_t>(epochs.size(), 2))];
      if (below(2) == 0) request.epoch = epoch;
      ASSERT_TRUE(agrees(request)) << "step " << step;
    }
    const auto state = taken(gateway_->channel("app", "room"));
    const auto kept = model_.kept(rule_, clock_us).events;
    ASSERT_EQ(state.first, kept.empty() ? model_.last() + 1 : kept.front().offset) << "step " << step;
    ASSERT_EQ(state.last, model_.last()) << "step " << step;
    ASSERT_EQ(state.newest, kept.empty() ? 0 : kept.back().time) << "step " << step;
  }
}

TEST_F(HistoryRequestTest, SaysWhyEventsAreGone) {
  auto gap = [&](std::uint64_t since, const std::string& epoch = {}) {
    const std::string reply = history("room", {.since = since, .epoch = epoch});
    return reply.substr(reply.find("\"recovered\""));
  };
  for (int i = 0; i < 20; ++i) publish("room");
  EXPECT_EQ(gap(2), R"("recovered":false,"gap":{"from":3,"to":5,"reason":"overwritten"}})");
  EXPECT_EQ(gap(5), R"("recovered":true,"gap":null})");
  EXPECT_EQ(gap(21), R"("recovered":false,"gap":{"from":0,"to":0,"reason":"beyond_end"}})");
  clock_us += 10 * kSecond;
  publish("room");
  rule({.history_ttl_us = 5 * kSecond});
  EXPECT_EQ(gap(7), R"("recovered":false,"gap":{"from":8,"to":20,"reason":"expired"}})");
  const std::string epoch = epoch_text(taken(gateway_->channel("app", "room")).epoch);
  EXPECT_EQ(gap(20, epoch), R"("recovered":true,"gap":null})");
  static_cast<void>(taken(gateway_->forget("app", "room")));
  EXPECT_EQ(gap(20, epoch), R"("recovered":false,"gap":{"from":0,"to":0,"reason":"epoch_changed"}})");
}

TEST_F(HistoryRequestTest, AnEventIsKeptThroughTheLastMomentOfItsTime) {
  rule({.history_ttl_us = 5 * kSecond});
  publish("room");
  clock_us += 5 * kSecond;
  EXPECT_EQ(taken(gateway_->channel("app", "room")).first, 1U);
  clock_us += 1;
  EXPECT_EQ(taken(gateway_->channel("app", "room")).first, 2U);
  EXPECT_TRUE(envelopes("room").empty());
}

TEST_F(HistoryRequestTest, AReaderOfAnEvictedChannelIsTold) {
  const Ack ack = publish("room");
  const std::string epoch = epoch_text(ack.epoch);
  for (int i = 0; i < 8; ++i) publish("c" + std::to_string(i));
  for (int round = 0; round < 2; ++round) {  // gone, then there again
    const std::string reply = history("room", {.since = 1, .epoch = epoch});
    EXPECT_NE(reply.find(R"("recovered":false,"gap":{"from":0,"to":0,"reason":"epoch_changed"})"), std::string::npos)
        << reply;
    EXPECT_EQ(reply.find(epoch), std::string::npos);
    publish("room");
  }
}

TEST_F(HistoryRequestTest, APositionFromBeforeTheFirstEventMissesNothing) {
  const ChannelState before = taken(gateway_->channel("app", "room"));
  const std::string epoch = epoch_text(before.epoch);
  for (int i = 0; i < 3; ++i) publish("room");
  const std::string reply = history("room", {.since = before.last, .epoch = epoch});
  EXPECT_NE(reply.find(R"("count":3,)"), std::string::npos) << reply;
  EXPECT_NE(reply.find(R"("offset":3,"recovered":true,"gap":null)"), std::string::npos) << reply;
}

TEST_F(HistoryRequestTest, APositionFromBeforeTheFirstEventIsTellingWhenAPastEndedSince) {
  auto resumes = [&](const std::string& epoch) {
    return history("room", {.since = 0, .epoch = epoch}).find(R"("recovered":true)") != std::string::npos;
  };
  const std::string first = epoch_text(taken(gateway_->channel("app", "room")).epoch);
  publish("room");
  static_cast<void>(taken(gateway_->forget("app", "room")));
  publish("room");
  EXPECT_FALSE(resumes(first)) << "its own past was forgotten";

  const std::string second = epoch_text(taken(gateway_->channel("app", "absent")).epoch);
  EXPECT_TRUE(resumes(second));
  for (int i = 0; i < 8; ++i) publish("c" + std::to_string(i));
  publish("room");
  EXPECT_FALSE(resumes(second)) << "it came, was evicted and came again";
}

TEST_F(HistoryRequestTest, AFollowerReadsBeyondTheRule) {
  rule({.history_size = 2});
  for (int i = 0; i < 10; ++i) publish("room", std::to_string(i));
  HistoryPage page;
  ASSERT_TRUE(gateway_->read("app", "room", {.limit = 4, .since = 3}, page).ok());
  ASSERT_EQ(page.items.size(), 4U);
  EXPECT_EQ(page.items.front().offset, 4U);
  EXPECT_EQ(page.items.back().offset, 7U);
  EXPECT_EQ(page.gap, GapReason::none);
  EXPECT_EQ(page.last, 10U);
  EXPECT_EQ(envelope_id(page.bytes.text()).size(), kEventIdLength);
  ASSERT_TRUE(gateway_->read("app", "room", {}, page).ok());
  EXPECT_TRUE(page.items.empty());
  EXPECT_TRUE(page.bytes.empty());
  EXPECT_EQ(page.last, 10U);
  EXPECT_NE(history("room").find("\"count\":2,"), std::string::npos);
}

TEST_F(HistoryRequestTest, ForgetEndsThePastForAll) {
  const Ack ack = publish("room");
  const std::uint64_t epoch = taken(gateway_->forget("app", "room"));
  EXPECT_NE(epoch, ack.epoch);
  EXPECT_TRUE(envelopes("room").empty());
  EXPECT_EQ(taken(open()->channel("app", "room")).epoch, epoch);
  const Ack next = publish("room");
  EXPECT_EQ(next.offset, 1U);
  EXPECT_EQ(next.epoch, epoch);
  // A channel that never was has no past to end.
  EXPECT_EQ(taken(gateway_->forget("app", "absent")), header().void_epoch.load());
}

TEST_F(HistoryRequestTest, WrongParametersAreRefused) {
  publish("room");
  HistoryPage page;
  const std::vector<HistoryRequest> wrong = {{.limit = 0},
                                             {.limit = kMaxHistoryLimit + 1},
                                             {.since = 0, .epoch = "12"},
                                             {.since = 0, .epoch = "00000000000000zz"}};
  for (const HistoryRequest& request : wrong) {
    EXPECT_EQ(gateway_->history("app", "room", request, page).status().code(), Code::invalid_parameter);
    EXPECT_EQ(gateway_->read("app", "room", request, page).code(), Code::invalid_parameter);
  }
  EXPECT_TRUE(gateway_->history("app", "room", {.limit = kMaxHistoryLimit}, page).ok());
  EXPECT_EQ(gateway_->history("a pp", "room", {}, page).status().code(), Code::invalid_app);
  EXPECT_EQ(gateway_->history("app", "", {}, page).status().code(), Code::invalid_channel);
  EXPECT_EQ(gateway_->read("app", "", {}, page).code(), Code::invalid_channel);
  EXPECT_EQ(gateway_->forget("app", "ro om").status().code(), Code::invalid_channel);
  EXPECT_EQ(gateway_->forget("app", "").status().code(), Code::invalid_channel);
}

}  // namespace
}  // namespace polyglot::core
