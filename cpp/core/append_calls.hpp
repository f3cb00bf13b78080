// AppendCalls: what submissions append, as calls of the function `append` in Redis (engine/redis_functions.lua), packed
// as Redis reads commands (RESP: redis.io, "Redis serialization protocol"), and what its answers mean.
//
// The events of one channel go together, at most kMostEvents or about kMostBytes in a call, each channel's in order. In
// a call they make entries: up to kMostTogether events, or one that has an idempotency key.
//
// Thread safety: of an object, one thread at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/rules.hpp"
#include "core/submission.hpp"

namespace polyglot::core {

// How an engine in Redis keeps its events.
struct RedisLayout {
  std::string prefix;                  // before the name of every key
  std::string function;                // the name of `append`
  std::uint64_t history_size = 1000;   // most events kept of a channel; its rule says how many are shown
  std::int64_t keep_ms = 604'800'000;  // for so long after its last event; its rule may say more
  std::int64_t remember_ms = std::int64_t{5} * 60 * 1000;  // an idempotency key

  // What belongs to a channel has the hash tag `{app:channel}` (redis.io, "Redis cluster specification"), so that it
  // lies in one slot of a cluster.
  std::string stream(std::string_view app, std::string_view channel) const;
  // The app and the channel of a stream; nothing when it is none.
  static std::optional<std::pair<std::string_view, std::string_view>> names_in(std::string_view stream);
  std::int64_t lifetime_ms(const ChannelRule& rule) const;
};

class AppendCalls {
 public:
  static constexpr std::size_t kMostEvents = 1000;                 // while they are appended, Redis does nothing else
  static constexpr std::size_t kMostBytes = std::size_t{1} << 22;  // of them, which are also told in one message
  static constexpr std::size_t kMostTogether = 64;                 // MOST in redis_functions.lua

  // `rule_of(app, channel)` gives a rule that lives as long as the call; `new_epoch()` a number that is not 0. What
  // became of each event is written into the submissions, which have to live as long as this.
  template <typename RuleOf, typename NewEpoch>
  AppendCalls(const RedisLayout& layout, std::span<Submission* const> submissions, RuleOf rule_of, NewEpoch new_epoch) {
    gather(layout, submissions);
    for (Call& call : calls_) pack(layout, call, rule_of(call.app, call.channel), new_epoch());
  }

  std::size_t size() const { return calls_.size(); }
  // Of all calls.
  std::size_t event_count() const;
  // Of the submissions that have one, as they were sent.
  const std::vector<std::string_view>& traceparents() const { return traceparents_; }
  std::string_view app(std::size_t call) const { return calls_[call].app; }
  std::string_view channel(std::size_t call) const { return calls_[call].channel; }
  const std::string& stream(std::size_t call) const { return calls_[call].stream; }
  const std::string& command(std::size_t call) const { return calls_[call].command; }
  std::size_t entries(std::size_t call) const { return calls_[call].entries.size(); }

  // Takes what Redis answered to the call, as it came. False when `append` answers no such thing, or answers that the
  // channel has begun anew.
  bool settle(std::size_t call, std::string_view answer);
  // What Redis answered for each entry, by its place in the call. `offset`: of its first event.
  void kept(std::size_t call, std::size_t entry, std::uint64_t offset, std::uint64_t epoch);
  // The key was known; `remembered` is what `append` wrote under it: <event>:<id>:<time>:<offset>-<epoch>. False when
  // it is not of this form.
  bool replayed(std::size_t call, std::size_t entry, std::string_view remembered);
  void mismatched(std::size_t call, std::size_t entry);
  // Of all its events.
  void refused(std::size_t call, const Status& status);

  // Its events in order. What follows says what became of one of them while the engine did not answer.
  std::span<Append* const> events(std::size_t call) const { return calls_[call].appends; }
  // It waits on this host, whatever was said of it before.
  static void spooled(Append& append);
  // Another one waits under its key.
  static void repeated(Append& append, const Ulid& id, TimeUs time, std::uint64_t event_hash);

 private:
  struct Call {
    std::string_view app;
    std::string_view channel;
    std::string stream;
    std::vector<Append*> appends;
    std::size_t bytes = 0;  // of their envelopes
    std::string command;
    std::vector<std::span<Append* const>> entries = {};  // of `appends`
  };
  // The only event of an entry that has a key.
  Append& keyed(std::size_t call, std::size_t entry) { return *calls_[call].entries[entry].front(); }
  void gather(const RedisLayout& layout, std::span<Submission* const> submissions);
  static void pack(const RedisLayout& layout, Call& call, const ChannelRule& rule, std::uint64_t new_epoch);

  std::deque<Call> calls_;
  std::vector<std::string_view> traceparents_;
};

}  // namespace polyglot::core
