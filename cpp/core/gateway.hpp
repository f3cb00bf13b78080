// Gateway: the use cases. A request comes in as bytes; the answer goes out as bytes or as a Status.
//
// publish: name checks -> size -> strict JSON -> event -> limits -> id, time, envelope -> append -> (disk) ->
// acknowledgement. A refused event leaves no trace: nothing is written before everything is checked.
//
// Thread safety: all of it. configure replaces access, rules and limits for everything that begins after it; what runs
// goes on with the old ones, which are kept until the Gateway ends (a reload is rare and small).
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "core/access.hpp"
#include "core/ack.hpp"
#include "core/app_table.hpp"
#include "core/columns.hpp"
#include "core/counters.hpp"
#include "core/event.hpp"
#include "core/feed.hpp"
#include "core/gauges.hpp"
#include "core/history.hpp"
#include "core/limit_table.hpp"
#include "core/limits.hpp"
#include "core/rules.hpp"
#include "core/segment.hpp"
#include "core/submission.hpp"

namespace polyglot::core {

// What an acknowledged event survives.
enum class Durability : std::uint8_t {
  process,   // the death of any or all of our processes, not of the kernel
  interval,  // the same, and a dead kernel but for the last second
  sync       // a dead kernel too: on the disk before the answer
};
// False for a text that is not "process", "interval" or "sync".
bool parse_durability(std::string_view text, Durability& durability);

// Nanoseconds since 1970-01-01T00:00:00Z by the system's clock.
std::int64_t system_time_ns();

struct GatewayOptions {
  SegmentOptions segment;
  Durability durability = Durability::process;
  std::int64_t (*clock)() = system_time_ns;
  TokenBucket::Clock monotonic = monotonic_time_ns;  // of the limits
};

// Who publishes; all texts live as long as the call.
struct Sender {
  std::string_view idempotency_key = {};  // empty: none; at most kMaxIdempotencyKey bytes
  std::string_view source_ip = {};
  std::string_view user_id = {};
  std::string_view traceparent = {};  // W3C Trace Context, checked; of no effect here
};

// What a reader of history may ask for.
struct HistoryRequest {
  std::uint32_t limit = 100;  // 1..kMaxHistoryLimit
  std::optional<std::uint64_t> since = {};
  std::optional<std::uint64_t> until = {};
  bool reverse = false;
  std::string_view epoch = {};  // empty: the present one
};
inline constexpr std::uint32_t kMaxHistoryLimit = 1000;
inline constexpr std::size_t kFollowerPage = 65536;  // what a reader that has stopped reading keeps in memory

struct ChannelState {
  std::string channel;
  std::uint64_t epoch;
  std::uint64_t first;  // oldest readable offset; last + 1 when there is none
  std::uint64_t last;
  TimeUs newest;  // of the newest event; 0: there is none, or none that can be read
};

class Gateway {
 public:
  // As Segment::open.
  static Result<std::unique_ptr<Gateway>> open(const GatewayOptions& options);
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  void configure(Access access, Rules rules, Limits limits = {});
  // Ok when the key may do this there. `channel` is empty for what concerns the whole app. history and subscribe need
  // no key on public_read channels, nor, in development, for the whole app.
  Status authorize(std::string_view app, std::string_view channel, ApiKey& key, Scope scope) const;
  Status authorize(std::string_view app, std::string_view channel, std::string_view key, Scope scope) const {
    ApiKey once(key);
    return authorize(app, channel, once, scope);
  }
  // Another number after each change of what keys and rules allow: by configure, and as keys expire. What was allowed
  // under the one before has to be asked again.
  std::uint64_t access_version() const {
    const Config& now = config();
    return (now.number << 32) + now.access.expired(clock_() / 1'000'000'000);
  }
  const ChannelRule& rule(std::string_view app, std::string_view channel) const;

  Result<Ack> publish(std::string_view app, std::string_view channel, std::string_view body, const Sender& sender);
  // {"results":[…]}: an acknowledgement with its channel, or {"channel","code","error","status"}, for each event in
  // order.
  Result<std::string> publish_batch(std::string_view app, std::string_view body, bool ndjson, const Sender& sender);
  Result<std::string> broadcast(std::string_view app, std::string_view body, const Sender& sender);

  // The same up to where the history would take them, for an engine elsewhere that keeps them; and then their part in
  // the counters. `app` aside, what the texts are slices of has to outlive the submission.
  Result<std::unique_ptr<Submission>> prepare(std::string_view app, std::string_view channel, std::string_view body,
                                              const Sender& sender);
  Result<std::unique_ptr<Submission>> prepare_batch(std::string_view app, std::string_view body, bool ndjson,
                                                    const Sender& sender);
  Result<std::unique_ptr<Submission>> prepare_broadcast(std::string_view app, std::string_view body,
                                                        const Sender& sender);
  // What became of each event is written into the submission. Not ok: the disk refuses.
  Status append(Submission& submission);
  void count(const Submission& submission);

  // {"app_id","channel","count","events","epoch","offset","recovered","gap"}
  // It is made in page.bytes, and the answer is a view of it.
  Result<std::string_view> history(std::string_view app, std::string_view channel, const HistoryRequest& request,
                                   HistoryPage& page);
  // For followers: the events after `since` (without it none: where the channel stands), of at most kFollowerPage bytes
  // and then the rest of one event. The rule's history_size does not apply, so that a follower in reach of the log
  // misses nothing.
  Status read(std::string_view app, std::string_view channel, const HistoryRequest& request, HistoryPage& page);
  // What history has of the channel, in columns. They never hold more events than are kept, and at no time more than a
  // megabyte of the events themselves.
  Result<Columns> columns(std::string_view app, std::string_view channel, const ColumnsRequest& request);
  // What the fields RateLimit-Policy and RateLimit say of the app after a publish
  // (draft-ietf-httpapi-ratelimit-headers); nothing where no rate is limited.
  struct RateLimit {
    std::string policy;
    std::string state;
  };
  std::optional<RateLimit> rate_limit(std::string_view app) const;
  // Whoever opens a connection or a subscription keeps what this gives until it is closed. rate_limited: the app has as
  // many as it may.
  Result<Hold> hold(std::string_view app, Quota quota);
  // The app's limits and what is used of them, as JSON.
  Result<std::string> limits_json(std::string_view app) const;

  // For channels of an engine elsewhere: as in History, and what is here of one, whatever its rule shows.
  Result<bool> holds(std::string_view app, std::string_view channel) const;
  Result<ChannelState> replicated(std::string_view app, std::string_view channel);
  Result<bool> replicate(std::string_view app, std::string_view channel, const Replica& replica);
  Result<bool> replace(std::string_view app, std::string_view channel, std::uint64_t seen, const Replica& replica);
  Result<std::uint64_t> forget(std::string_view app, std::string_view channel);
  // Where the channel stands; one that never was has last 0.
  Result<ChannelState> channel(std::string_view app, std::string_view channel);
  // The app's channels whose names are greater than `after`, by name, at most `limit`.
  Result<std::vector<ChannelState>> channels(std::string_view app, std::string_view after, std::size_t limit);

  Result<std::unique_ptr<Feed>> follow() { return Feed::open(*segment_); }
  // As History::announce. `channel` may be empty, and `app` too if `channel` is.
  Status announce(std::string_view app, std::string_view channel, std::string_view payload) {
    // What concerns no app has no name that could be wrong; the rest is checked all the same.
    Status status = check(app.empty() && channel.empty() ? "all" : app, channel);
    return status.ok() ? history_.announce(app, channel, payload) : status;
  }
  Counters& counters() { return counters_; }
  Gauges& gauges() { return gauges_; }
  // Which apps have counters of their own.
  AppTable& apps() { return apps_; }
  const History& stored() const { return history_; }
  const Segment& segment() const { return *segment_; }
  Durability durability() const { return durability_; }

 private:
  struct Config {
    Access access;
    Rules rules;
    Limits limits;
    std::uint64_t number;  // of all that there were
  };
  struct Flusher {
    std::mutex mutex;
    std::condition_variable wakes;
    bool stopping = false;
    std::thread thread;
  };

  // What limits of rates count.
  struct Volume {
    std::uint64_t events;
    std::uint64_t bytes;
  };

  Gateway(std::unique_ptr<Segment> segment, std::unique_ptr<LimitTable> limits, const GatewayOptions& options);
  const Config& config() const { return *config_.load(std::memory_order_acquire); }
  // Ok unless the segment was opened by a parent process or a name is wrong; `channel` may be empty.
  Status check(std::string_view app, std::string_view channel) const;
  Status check_size(std::string_view app, std::string_view channel, std::size_t bytes) const;
  std::vector<Submission::Item> checked(std::string_view app, std::vector<Submission::Item> items) const;
  Result<std::unique_ptr<Submission>> serialised(std::string_view app, std::vector<Submission::Item> items,
                                                 const Sender& sender, std::int64_t began, bool numbered);
  void count_published(std::string_view app, std::uint64_t events, std::uint64_t bytes);
  Result<std::string> append_all(Result<std::unique_ptr<Submission>> prepared);
  // The disk has everything, if the durability wants that.
  Status settle();

  // gateway_limits.cpp
  static Volume volume_of(const SentEvent& event) {
    return {1, event.type.size() + event.data.size() + kEventWrapping};
  }
  // Of those that are not refused.
  static Volume volume_of(std::span<const Submission::Item> items);
  // Takes it from what the app may publish. rate_limited: not now; payload_too_large: never at once. Then nothing was
  // taken.
  Status charge(std::string_view app, const AppLimits& limits, const Volume& volume);
  void refund(std::string_view app, const AppLimits& limits, const Volume& volume);
  // For events that were not appended after all, or had been before.
  void refund(const Submission& submission);
  // Appends. False: the app would then have more channels than it may, and every append is refused for that.
  bool keep(const AppLimits* limits, std::span<Append> appends);
  std::size_t new_channels(std::span<const Append> appends) const;
  std::size_t channels_of(const std::string& app);
  ChannelState state_of(std::string_view app, std::string_view channel, const HistoryQuery& query);
  HistoryQuery query_for(const HistoryRequest& request, const ChannelRule& rule) const;
  void flush_each_second(Flusher& flusher);

  std::unique_ptr<Segment> segment_;
  std::unique_ptr<LimitTable> limit_table_;
  TokenBucket::Clock monotonic_;
  Durability durability_;
  std::int64_t (*clock_)();
  History history_;
  Counters counters_;
  Gauges gauges_;
  AppTable apps_;
  EventIds ids_;

  std::atomic<const Config*> config_{nullptr};
  std::mutex configs_mutex_;
  std::vector<std::unique_ptr<const Config>> configs_;  // the last one is in force

  // How many channels an app has, and the state of the channel table for which that holds.
  struct ChannelCount {
    std::uint32_t slots_used;
    std::uint64_t void_epoch;
    std::size_t channels;
  };
  std::unordered_map<std::string, ChannelCount> channel_counts_;  // guarded by the limit table's lock

  std::unique_ptr<Flusher> flusher_;  // with Durability::interval
};

}  // namespace polyglot::core
