#include "server/hub.hpp"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <stdexcept>
#include <utility>

#include "core/channel.hpp"

namespace polyglot::server {
namespace {

constexpr int kServedPerTurn = 64;
constexpr std::size_t kPulledPerRound = kMaxBehind / 4;  // who waits for its turn waits for two rounds at most
constexpr std::uint32_t kEventsPerPage = core::kMaxHistoryLimit;

std::unique_ptr<core::Feed> open_feed(core::Gateway& gateway) {
  auto feed = gateway.follow();
  if (!feed.ok()) throw std::runtime_error(feed.status().message());
  return std::move(feed).value();
}

std::string epoch_json(std::uint64_t epoch) {
  return "{\"epoch\":\"" + core::epoch_text(epoch) + "\"}";
}

std::string_view text_of(const core::HistoryPage& page, const core::HistoryItem& item) {
  return page.bytes.text().substr(item.begin, item.size);
}

}  // namespace

Subscription::~Subscription() {
  hub_.leave(*this);
}

Hub::Hub(boost::asio::io_context& io, core::Gateway& gateway)
    : io_(io),
      gateway_(gateway),
      deliveries_(gateway.counters()),
      feed_(open_feed(gateway)),
      wakes_(io, dup(feed_->fd())) {
  feed_->watch_all(false);
  wait();
}

void Hub::wait() {
  wakes_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    if (error) return;
    try {
      poll();
    } catch (...) {
      wait();
      throw;
    }
    wait();
  });
}

ChannelStream* Hub::find(std::string_view app, std::string_view channel) {
  thread_local std::string place;
  place.assign(app).append("/").append(channel);
  const auto found = streams_.find(place);
  return found == streams_.end() ? nullptr : found->second.get();
}

core::Status Hub::read(const ChannelStream& stream, std::optional<std::uint64_t> since, std::uint64_t epoch,
                       std::uint32_t limit) {
  core::HistoryRequest request;
  request.limit = limit;
  request.since = since;
  char text[core::kEpochLength];
  if (epoch != 0) {
    core::write_epoch(epoch, text);
    request.epoch = {text, sizeof(text)};
  }
  return gateway_.read(stream.app, stream.channel, request, page_);
}

core::Result<Hub::Start> Hub::subscribe(Subscriber& subscriber, std::string_view app, std::string_view channel,
                                        Encoding encoding, std::optional<std::uint64_t> since, std::string_view epoch) {
  ChannelStream* stream = find(app, channel);
  if (stream == nullptr) {
    auto made = std::make_unique<ChannelStream>(app, channel);
    feed_->watch(app, channel);  // before the first read: nothing may come in between
    if (core::Status status = read(*made, std::nullopt, 0, 1); !status.ok()) {
      feed_->unwatch(app, channel);
      return status;
    }
    made->epoch = page_.epoch;
    made->offset = page_.last;
    made->app_place = gateway_.apps().place(app);
    stream = made.get();
    streams_.emplace(core::place_of(app, channel), std::move(made));
    if (on_stream) on_stream(*stream, true);
  }
  Start start{std::make_unique<Subscription>(*this, *stream, subscriber, encoding), stream->epoch, stream->offset,
              stream->offset, true};
  ++stream->subscriptions;
  Subscription& subscription = *start.subscription;
  subscription.epoch_ = stream->epoch;
  subscription.offset_ = stream->offset;
  if (!since) return start;
  std::uint64_t given = 0;
  const bool has_epoch = core::parse_epoch(epoch, given);
  if (core::Status status = read(*stream, since, given, 1); !status.ok()) return status;
  subscription.epoch_ = has_epoch ? given : page_.epoch;  // which the stream may not have come to yet
  subscription.offset_ = start.position = *since;
  start.epoch = page_.epoch;
  start.offset = page_.last;
  start.recovered = page_.gap == core::GapReason::none;
  return start;
}

void Hub::begin(Subscription& subscription) {
  const ChannelStream& stream = subscription.stream_;
  if (subscription.epoch_ == stream.epoch && subscription.offset_ == stream.offset) {
    return go_live(subscription, subscription.frames().end());
  }
  mark(subscription);
}

void Hub::before_publish() {
  // This thread looks for itself afterwards, so nobody needs to wake it.
  if (!streams_.empty()) feed_->stay_awake();
}

void Hub::after_publish() {
  if (!streams_.empty()) schedule_poll();
}

void Hub::look() {
  poll();
}

void Hub::schedule_poll() {
  if (poll_scheduled_) return;
  poll_scheduled_ = true;
  boost::asio::post(io_, [this] {
    poll_scheduled_ = false;
    poll();
  });
}

void Hub::poll() {
  if (nobody_waits()) pulled_ = 0;
  const core::FeedNews news = feed_->poll();
  for (const auto& [app, channel] : news.channels) {
    if (ChannelStream* stream = find(app, channel)) soil(*stream);
  }
  if (news.overrun) {
    for (const auto& [place, stream] : streams_) soil(*stream);
  }
  if (on_messages && (news.overrun || !news.messages.empty())) on_messages(news.messages, news.overrun);
  // One that has more goes behind those whose turn does not come this time.
  for (std::size_t left = dirty_.size(); left != 0 && !has_pulled_enough(); --left) {
    ChannelStream& stream = *dirty_.front();
    dirty_.pop_front();
    stream.dirty = false;
    if (pull(stream)) soil(stream);
  }
  // What is left comes after the round.
  if (!news.none() || (!dirty_.empty() && nobody_waits())) schedule_poll();
}

void Hub::soil(ChannelStream& stream) {
  if (!std::exchange(stream.dirty, true)) dirty_.push_back(&stream);
}

bool Hub::has_pulled_enough() const {
  return pulled_ > kPulledPerRound;
}

bool Hub::pull(ChannelStream& stream) {
  bool more = true;
  while (more && !has_pulled_enough()) {
    if (!read(stream, stream.offset, stream.epoch, kEventsPerPage).ok()) {
      more = false;
      break;
    }
    pulled_ += page_.bytes.text().size();
    const bool has_gap = page_.gap != core::GapReason::none;
    if (has_gap || page_.epoch != stream.epoch) send_back(stream);
    if (page_.epoch != stream.epoch) enter_epoch(stream, !has_gap);
    if (has_gap) {
      const Gap gap = gap_of(page_);
      stream.offset = gap.offset;
      stream.append_gap(gap);
    }
    for (const core::HistoryItem& item : page_.items) {
      stream.append_event(item.offset, text_of(page_, item), item.time);
      stream.offset = item.offset;
    }
    more = stream.offset < page_.last && !page_.items.empty();
    trim(stream);
  }
  tell(stream);
  return more;
}

void Hub::enter_epoch(ChannelStream& stream, bool says_so) {
  stream.epoch = page_.epoch;
  // A channel without a past begins its first epoch with its first event, and nothing is missing. Sockets, whose events
  // do not carry the epoch, have to know it all the same, to resume.
  if (says_so) stream.append_message("epoch", epoch_json(stream.epoch));
}

void Hub::tell(ChannelStream& stream) {
  for (ChannelStream::Readers& readers : stream.readers) {
    if (readers.unmarked == 0 || readers.behind == 0) continue;
    for (Subscription* reader : readers.live) {
      if (!reader->pending_ && reader->cursor_ != readers.frames.end()) mark(*reader);
    }
  }
}

bool Hub::prepare(Subscription& subscription, std::string& alone) {
  if (subscription.cut_) return false;
  if (!subscription.live_) catch_up(subscription, alone);
  if (!subscription.live_) return false;
  const FrameLog& frames = subscription.frames();
  if (is_far_behind(subscription)) {
    fall_behind(subscription);
    if (!subscription.live_) return false;
  }
  if (subscription.skipped_ && subscription.cursor_ != frames.end()) tell_skipped(subscription, alone);
  return subscription.cursor_ != frames.end();
}

void Hub::catch_up(Subscription& subscription, std::string& alone) {
  ChannelStream& stream = subscription.stream_;
  if (has_pulled_enough() || pull(stream)) soil(stream);
  if (!read(stream, subscription.offset_, subscription.epoch_, kEventsPerPage).ok()) {
    subscription.cut_ = true;
    return subscription.subscriber_.too_slow(subscription);
  }
  if (page_.gap != core::GapReason::none) {
    const Gap gap = gap_of(page_);
    stream.write_gap(alone, subscription.encoding_, gap);
    subscription.offset_ = gap.offset;
  } else if (page_.epoch != subscription.epoch_ && subscription.encoding_ == Encoding::websocket) {
    stream.write_message(alone, "epoch", epoch_json(page_.epoch));
  }
  subscription.epoch_ = page_.epoch;
  const std::size_t bytes_before = alone.size();
  std::uint64_t events = 0;
  for (const core::HistoryItem& item : page_.items) {
    // From here on the log has them.
    if (page_.epoch == stream.epoch && item.offset > stream.offset) break;
    stream.write_event(alone, subscription.encoding_, page_.epoch, item.offset, text_of(page_, item));
    subscription.offset_ = item.offset;
    ++events;
  }
  deliveries_.add(stream.app_place, events, alone.size() - bytes_before, 0);
  if (subscription.epoch_ == stream.epoch && subscription.offset_ == stream.offset) {
    go_live(subscription, subscription.frames().end());
    subscription.subscriber_.went_live(subscription);
  }
}

void Hub::advance(Subscription& subscription, std::uint64_t position) {
  ChannelStream::Readers& readers = subscription.readers();
  const bool was_behind = subscription.cursor_ != readers.frames.end();
  const FrameLog::Events sent = readers.frames.events_between(subscription.cursor_, position);
  deliveries_.add(subscription.stream_.app_place, sent.count, position - subscription.cursor_, sent.oldest);
  subscription.cursor_ = position;
  if (was_behind && position == readers.frames.end() && --readers.behind == 0) readers.frames.clear();
}

void Hub::done(Subscription& subscription) {
  subscription.pending_ = false;
  if (subscription.live_) ++subscription.readers().unmarked;
  const bool more = subscription.live_ ? subscription.cursor_ != subscription.frames().end() : !subscription.cut_;
  if (more) mark(subscription);
}

void Hub::mark(Subscription& subscription) {
  if (std::exchange(subscription.pending_, true)) return;
  if (subscription.live_) --subscription.readers().unmarked;
  subscription.subscriber_.pending_.push_back(&subscription);
  ready(subscription.subscriber_);
}

void Hub::ready(Subscriber& subscriber) {
  if (static_cast<Subscriber::ReadyHook&>(subscriber).is_linked()) return;
  next_round_.push_back(subscriber);
  schedule_turn();
}

void Hub::schedule_turn() {
  if (std::exchange(turn_scheduled_, true)) return;
  boost::asio::post(io_, [this] {
    turn_scheduled_ = false;
    try {
      take_turn();
    } catch (...) {
      if (!nobody_waits()) schedule_turn();
      throw;
    }
  });
}

void Hub::take_turn() {
  if (round_.empty()) round_.swap(next_round_);
  for (int served = 0; served < kServedPerTurn && !round_.empty(); ++served) {
    Subscriber& subscriber = round_.front();
    round_.pop_front();
    subscriber.serve();
  }
  if (deliveries_.has_some()) deliveries_.flush(core::system_time_ns() / 1000);
  if (round_.empty()) {
    pulled_ = 0;
    if (!dirty_.empty()) schedule_poll();
  }
  if (!nobody_waits()) schedule_turn();
}

Hub::Load Hub::load() const {
  Load load{};
  for (const auto& [place, stream] : streams_) {
    load.subscriptions += stream->subscriptions;
    for (const ChannelStream::Readers& readers : stream->readers) {
      if (readers.behind == 0) continue;
      for (const Subscription* reader : readers.live) load.waiting_bytes += readers.frames.end() - reader->cursor_;
    }
  }
  return load;
}

void Hub::go_live(Subscription& subscription, std::uint64_t cursor) {
  ChannelStream::Readers& readers = subscription.readers();
  subscription.live_ = true;
  subscription.cursor_ = cursor;
  subscription.place_ = readers.live.size();
  readers.live.push_back(&subscription);
  if (!subscription.pending_) ++readers.unmarked;
  if (cursor != readers.frames.end()) ++readers.behind;
}

void Hub::leave_live(Subscription& subscription) {
  ChannelStream::Readers& readers = subscription.readers();
  subscription.live_ = false;
  readers.live.back()->place_ = subscription.place_;
  std::swap(readers.live[subscription.place_], readers.live.back());
  readers.live.pop_back();
  if (!subscription.pending_) --readers.unmarked;
  if (subscription.cursor_ != readers.frames.end() && --readers.behind == 0) readers.frames.clear();
}

void Hub::leave(Subscription& subscription) {
  if (subscription.live_) leave_live(subscription);
  if (subscription.pending_) std::erase(subscription.subscriber_.pending_, &subscription);
  ChannelStream& stream = subscription.stream_;
  if (--stream.subscriptions != 0) return;
  feed_->unwatch(stream.app, stream.channel);
  if (stream.dirty) std::erase(dirty_, &stream);
  const auto gone = streams_.extract(core::place_of(stream.app, stream.channel));
  if (on_stream) on_stream(*gone.mapped(), false);
}

}  // namespace polyglot::server
