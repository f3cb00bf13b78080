#include "core/feed.hpp"

#include <algorithm>
#include <set>
#include <tuple>

#include "core/record.hpp"
#include "core/shared_bytes.hpp"

namespace polyglot::core {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kAcquire = std::memory_order_acquire;

// Where the names begin in an envelope: {"id":"evt_…","app_id":"<app>","channel":"<channel>"
constexpr std::size_t kAppAt = 7 + kEventIdLength + 12;
constexpr std::size_t kBetween = 13;
constexpr std::size_t kNamesEnd = kAppAt + kMaxAppLength + kBetween + kMaxChannelLength;

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
  pipe_.drain();
}

Feed::~Feed() {
  if (!segment_.forked()) sleeping().fetch_and(~bit_, kRelaxed);
}

FeedNews Feed::poll() {
  FeedNews news;
  sleeping().fetch_and(~bit_, kRelaxed);
  pipe_.drain();
  const SharedU64& head = map_.header().head;
  // Goes on after records that are no news: whoever gets none sleeps.
  while (news.channels.empty() && !news.overrun) {
    if (cursor_ == head.load(kAcquire)) {
      sleeping().fetch_or(bit_, kRelaxed);
      // Orders the mark before the last look; pairs with the same fence in Waker::wake.
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
  std::set<std::tuple<std::uint32_t, std::uint64_t>> seen;
  std::set<std::pair<std::string, std::string>> named;  // a channel may have had several lives
  for (int n = 0; n < kMaxRecords && cursor_ < head; ++n) {
    if (map_.run(cursor_) < sizeof(RecordHeader)) {
      cursor_ += map_.run(cursor_);
      continue;
    }
    const RecordHeader record = load_record(map_.log(cursor_));
    char names[kNamesEnd];
    const bool sane = record.position == cursor_ && record.payload <= map_.run(cursor_) - sizeof(RecordHeader);
    const std::size_t wanted = sane ? std::min<std::size_t>(record.payload, sizeof(names)) : 0;
    load_shared(names, map_.log(cursor_) + sizeof(record), wanted);
    std::atomic_thread_fence(kAcquire);
    if (!sane || cursor_ < map_.header().tail.load(kRelaxed)) return false;
    cursor_ += record_bytes(record.payload);
    if (record.kind == RecordKind::filler || !seen.emplace(record.channel, record.epoch).second) continue;
    const std::size_t app_at = record.kind == RecordKind::event ? kAppAt : 0;
    const std::size_t channel_at = app_at + record.app_length + (record.kind == RecordKind::event ? kBetween : 0);
    if (channel_at + record.channel_length > wanted) return false;
    const auto [name, is_new] = named.emplace(std::string(names + app_at, record.app_length),
                                              std::string(names + channel_at, record.channel_length));
    if (is_new) news.channels.push_back(*name);
  }
  return true;
}

}  // namespace polyglot::core
