#include "core/feed.hpp"

#include <algorithm>

#include "core/channel_table.hpp"
#include "core/history.hpp"
#include "core/record.hpp"
#include "core/shared_bytes.hpp"

namespace polyglot::core {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kAcquire = std::memory_order_acquire;

// Where the names begin in an envelope: {"id":"evt_…","app_id":"<app>","channel":"<channel>"
constexpr std::size_t kNamesEnd = kEnvelopeAppAt + kMaxAppLength + kEnvelopeBetween + kMaxChannelLength;

// What a record without damage has.
bool is_sane(const RecordHeader& record, std::uint64_t position, std::uint64_t run) {
  return record.position == position && record.payload <= run - sizeof(RecordHeader) &&
         (record.kind != RecordKind::message || record.payload <= kMaxMessage + kMaxAppLength + kMaxChannelLength);
}

}  // namespace

Result<std::unique_ptr<Feed>> Feed::open(Segment& segment) {
  auto pipe = WakePipe::open(segment);
  if (!pipe.ok()) return pipe.status();
  return std::unique_ptr<Feed>(new Feed(segment, std::move(pipe).value()));
}

Feed::Feed(Segment& segment, WakePipe pipe)
    : segment_(segment),
      map_(segment.map()),
      bit_(std::uint64_t{1} << segment.worker()),
      pipe_(std::move(pipe)),
      counters_(map_, segment.worker()),
      cursor_(map_.header().head.load(kAcquire)) {
  // An earlier feed of this slot, perhaps of a process that was killed, may have left what it watched.
  for (SharedU64& bits : slot().watched) bits.store(0, kRelaxed);
  watch_all(true);
}

Feed::~Feed() {
  if (!segment_.forked()) sleeping().fetch_and(~bit_, kRelaxed);
}

std::uint64_t Feed::hash_of(std::string_view app, std::string_view channel) const {
  return ChannelKey(app, channel, map_.header().seed).hash;
}

void Feed::watch(std::string_view app, std::string_view channel) {
  const std::size_t bit = watched_bit(hash_of(app, channel));
  if (watchers_[bit]++ != 0) return;
  slot().watched[bit / 64].fetch_or(std::uint64_t{1} << bit % 64, kRelaxed);
  // Orders the watch before the reading of the history that follows; pairs with the fence in Waker.
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

void Feed::unwatch(std::string_view app, std::string_view channel) {
  const std::size_t bit = watched_bit(hash_of(app, channel));
  std::uint32_t& watchers = watchers_[bit];
  if (watchers == 0) return;
  if (--watchers != 0) return;
  slot().watched[bit / 64].fetch_and(~(std::uint64_t{1} << bit % 64), kRelaxed);
}

void Feed::watch_all(bool all) {
  watches_all_ = all;
  slot().watches_all.store(all ? 1 : 0, kRelaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);  // as in watch
}

void Feed::stay_awake() {
  if ((sleeping().load(kRelaxed) & bit_) != 0) sleeping().fetch_and(~bit_, kRelaxed);
}

FeedNews Feed::poll() {
  FeedNews news;
  stay_awake();
  // Bytes that come later, from writers who saw an earlier sleep, are found after the next one.
  if (slept_) pipe_.drain();
  slept_ = false;
  const SharedU64& head = map_.header().head;
  // Goes on after records that are no news: whoever gets none sleeps.
  while (news.none()) {
    if (cursor_ == head.load(kAcquire)) {
      slept_ = true;
      sleeping().fetch_or(bit_, kRelaxed);
      // Orders the mark before the last look; pairs with the same fence in Waker.
      std::atomic_thread_fence(std::memory_order_seq_cst);
      if (cursor_ == head.load(kAcquire)) return news;
      sleeping().fetch_and(~bit_, kRelaxed);
    }
    if (!collect(news, head.load(kAcquire))) {
      news.overrun = true;
      cursor_ = head.load(kAcquire);
      counters_.add(Counter::feed_overruns);
    }
  }
  return news;
}

bool Feed::collect(FeedNews& news, std::uint64_t head) {
  ++looks_;
  RecordHeader newest{};  // that named a channel; what follows it is mostly of the same
  std::size_t told = 0;   // bytes of messages
  for (int n = 0; n < kMaxRecords && cursor_ < head && news.channels.size() < kMaxChannels && told < kMaxMessages;
       ++n) {
    const std::uint64_t run = map_.run(cursor_);
    if (run < sizeof(RecordHeader)) {
      cursor_ += run;
      continue;
    }
    const RecordHeader record = load_record(map_.log(cursor_));
    const bool is_message = record.kind == RecordKind::message;
    const bool is_news = is_message || (record.kind != RecordKind::filler &&
                                        (record.channel != newest.channel || record.epoch != newest.epoch));
    std::string text;       // a message's, whole
    char start[kNamesEnd];  // of anything else, as far as the names may reach
    std::string_view bytes;
    const bool sane = is_sane(record, cursor_, run);
    if (sane && is_message) {
      text.resize(record.payload);
      load_shared(text.data(), map_.log(cursor_) + sizeof(record), text.size());
      bytes = text;
    } else if (sane && is_news) {
      bytes = {start, std::min<std::size_t>(record.payload, sizeof(start))};
      load_shared(start, map_.log(cursor_) + sizeof(record), bytes.size());
    }
    std::atomic_thread_fence(kAcquire);
    if (!sane || cursor_ < map_.header().tail.load(kRelaxed)) return false;
    cursor_ += record_bytes(record.payload);
    if (!is_news) continue;

    const bool is_event = record.kind == RecordKind::event;
    const std::size_t app_at = is_event ? kEnvelopeAppAt : 0;
    const std::size_t channel_at = app_at + record.app_length + (is_event ? kEnvelopeBetween : 0);
    const std::size_t end = channel_at + record.channel_length;
    if (record.app_length > kMaxAppLength || record.channel_length > kMaxChannelLength || end > bytes.size())
      return false;
    const std::string_view app = bytes.substr(app_at, record.app_length);
    const std::string_view channel = bytes.substr(channel_at, record.channel_length);
    if (is_message) {
      news.messages.push_back({std::string(app), std::string(channel), text.substr(end)});
      told += text.size();
      continue;
    }
    newest = record;
    const std::uint64_t hash = hash_of(app, channel);
    if (watches_all_ || watchers_[watched_bit(hash)] != 0) add_channel(news, hash, app, channel);
  }
  return true;
}

void Feed::add_channel(FeedNews& news, std::uint64_t hash, std::string_view app, std::string_view channel) {
  for (std::uint64_t at = hash;; ++at) {
    Named& named = named_[at % named_.size()];
    if (named.look != looks_) {
      named = {looks_, hash, news.channels.size()};
      news.channels.emplace_back(app, channel);
      return;
    }
    if (named.hash != hash) continue;
    if (const auto& [known_app, known_channel] = news.channels[named.place];
        known_app == app && known_channel == channel)
      return;
  }
}

}  // namespace polyglot::core
