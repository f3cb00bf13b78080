// Hub: carries what is appended, by any process of the host, to the subscribers of this worker.
//
// The feed says where there is news; the hub reads it from history and writes each event as a frame into the channel's
// log, once for each encoding that has readers. Subscribers that have more stand in a row, and a bounded number of them
// is served in each turn of the loop, so that requests get their turn too and what comes meanwhile leaves together. A
// round is over when all who stood in the row at its beginning were served; only so much is read from history in each,
// so that nobody who reads looks slow because its turn has not come.
//
// Errors: a history that cannot be read ends nothing; it is tried again with the next news.
//
// Thread safety: the server's thread alone.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/epoch.hpp"
#include "core/gateway.hpp"
#include "server/delivery_meter.hpp"
#include "server/subscription.hpp"

namespace polyglot::server {

// A subscriber that is further behind than this is closed, or goes on from history, or on a channel that conflates
// skips to the newest event, for which a smaller limit holds.
inline constexpr std::size_t kMaxBehind = std::size_t{1} << 20;
inline constexpr std::size_t kMaxBehindConflating = 65536;

class Hub {
 public:
  // std::runtime_error when the feed cannot be opened.
  Hub(boost::asio::io_context& io, core::Gateway& gateway);

  // Where a new subscription stands.
  struct Start {
    std::unique_ptr<Subscription> subscription;
    std::uint64_t epoch;
    std::uint64_t offset;    // of the newest event
    std::uint64_t position;  // from which on it gets events
    bool recovered;          // nothing after `position` is missing
  };
  // From after `since`, or from now on; nothing is given to the subscriber before begin(). Errors as Gateway::read.
  core::Result<Start> subscribe(Subscriber& subscriber, std::string_view app, std::string_view channel,
                                Encoding encoding, std::optional<std::uint64_t> since, std::string_view epoch);
  void begin(Subscription& subscription);

  // To be called before and after this thread appends something.
  void before_publish();
  void after_publish();

  // For subscribers that are served.
  //
  // Whether the subscription has frames to send from its cursor on, after what is to be done with one that is far
  // behind was done. What it gets alone, such as a gap or what it catches up with, is appended to `alone`, and goes out
  // first.
  bool prepare(Subscription& subscription, std::string& alone);
  // Everything up to `position` is on its way.
  void advance(Subscription& subscription, std::uint64_t position);
  // Takes it off the row; it comes back with news, or now if there is more.
  void done(Subscription& subscription);
  // Puts the subscriber back into the row, when it can take more.
  void ready(Subscriber& subscriber);

  // The stream of a channel that has subscribers here; null for others.
  ChannelStream* find(std::string_view app, std::string_view channel);
  // What was written into a stream's logs is to go out.
  void tell(ChannelStream& stream);

  struct Load {
    std::uint64_t subscriptions;
    std::uint64_t waiting_bytes;  // written for them and not sent yet
  };
  Load load() const;

  std::function<void(const std::vector<core::FeedMessage>&, bool overrun)> on_messages;
  // A channel's first subscriber has come, or its last one has gone.
  std::function<void(const ChannelStream&, bool begins)> on_stream;
  // Once a second: looks for news though nobody woke it.
  void look();
  // Whether it waits for a turn of the loop.
  bool is_scheduled() const { return poll_scheduled_ || turn_scheduled_; }

 private:
  friend class Subscription;

  void wait();
  void poll();
  void schedule_poll();
  void schedule_turn();
  void take_turn();
  bool nobody_waits() const { return round_.empty() && next_round_.empty(); }
  // Enough was read for this round.
  bool has_pulled_enough() const;
  // Reads what is new, until it is enough; true when there is more.
  bool pull(ChannelStream& stream);
  void soil(ChannelStream& stream);
  void send_back(ChannelStream& stream);
  void tell_skipped(Subscription& subscription, std::string& alone);
  void enter_epoch(ChannelStream& stream, bool says_so);
  void trim(ChannelStream& stream);
  void leave(Subscription& subscription);
  void go_live(Subscription& subscription, std::uint64_t cursor);
  void leave_live(Subscription& subscription);
  void catch_up_from(Subscription& subscription, std::uint64_t epoch, std::uint64_t offset);
  void catch_up(Subscription& subscription, std::string& alone);
  void mark(Subscription& subscription);
  bool is_far_behind(const Subscription& subscription) const;
  // What the policy for slow readers says; its frames may go away afterwards.
  void fall_behind(Subscription& subscription);
  bool conflates(const ChannelStream& stream) const;
  core::Status read(const ChannelStream& stream, std::optional<std::uint64_t> since, std::uint64_t epoch,
                    std::uint32_t limit);

  boost::asio::io_context& io_;
  core::Gateway& gateway_;
  DeliveryMeter deliveries_;
  std::unique_ptr<core::Feed> feed_;
  boost::asio::posix::stream_descriptor wakes_;
  std::unordered_map<std::string, std::unique_ptr<ChannelStream>> streams_;  // by "app/channel"
  std::deque<ChannelStream*> dirty_;                                         // with news that was not read
  using Row = boost::intrusive::list<Subscriber, boost::intrusive::base_hook<Subscriber::ReadyHook>,
                                     boost::intrusive::constant_time_size<false>>;
  Row round_;               // still to be served in this round
  Row next_round_;          // those who had more since it began
  std::size_t pulled_ = 0;  // bytes of events read in this round
  bool poll_scheduled_ = false;
  bool turn_scheduled_ = false;
  core::HistoryPage page_;
};

}  // namespace polyglot::server
