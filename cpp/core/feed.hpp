// Feed: follows the log from a moment on and says which channels were appended to, by any process, and what the workers
// told each other.
//
// The log is the bus between the workers of a host: each follows it with a cursor of its own. A feed says where there
// is news; the news itself is read from history by offset, so that nothing can be missed twice over. Messages
// (History::announce) are in no history: a feed that was overrun has lost them. When nothing is left, poll marks the
// worker as sleeping and its descriptor becomes readable with the next append that it watches, or the next message
// (wake.hpp).
//
// A feed begins by watching every channel. After watch_all(false) it has news only of those that are watched, or share
// one of 8192 bits with such a channel; whoever calls watch() and then reads the history misses nothing.
//
// Thread safety: one thread at a time. At most one feed per worker slot.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/counters.hpp"
#include "core/segment.hpp"
#include "core/wake.hpp"

namespace polyglot::core {

struct FeedMessage {
  std::string app;  // empty when it concerns no app or channel
  std::string channel;
  std::string payload;
};

struct FeedNews {
  std::vector<std::pair<std::string, std::string>> channels;  // (app, channel), each once
  std::vector<FeedMessage> messages;                          // in the order of the log
  bool overrun = false;  // the log was overwritten before it was read: any channel may have news, messages are lost

  // True when the worker sleeps from now on.
  bool none() const { return channels.empty() && messages.empty() && !overrun; }
};

class Feed {
 public:
  // Starts at the present head. storage_unusable when the wake-up pipe can't be made.
  static Result<std::unique_ptr<Feed>> open(Segment& segment);
  ~Feed();
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;

  // Readable when there may be news. Belongs to the feed.
  int fd() const { return pipe_.fd(); }

  // What was appended since the last poll, of at most kMaxRecords records, in kMaxChannels channels, and with messages
  // of kMaxMessages bytes and then the rest of one. None: the worker sleeps from now on.
  FeedNews poll();
  static constexpr int kMaxRecords = 10000;
  static constexpr std::size_t kMaxChannels = 1024;
  static constexpr std::size_t kMaxMessages = std::size_t{1} << 20;

  // Each call of watch needs an unwatch of its own.
  void watch(std::string_view app, std::string_view channel);
  void unwatch(std::string_view app, std::string_view channel);
  void watch_all(bool all);
  // Ends the sleep, so that nobody wakes a worker that is at work, not even itself with what it appends. Call poll
  // before waiting again.
  void stay_awake();

 private:
  // Which channels one look at the log has named already: a hash table of places in FeedNews::channels.
  struct Named {
    std::uint64_t look = 0;
    std::uint64_t hash = 0;
    std::size_t place = 0;
  };

  Feed(Segment& segment, WakePipe pipe);
  // Reads on to head; false when it was overrun.
  bool collect(FeedNews& news, std::uint64_t head);
  void add_channel(FeedNews& news, std::uint64_t hash, std::string_view app, std::string_view channel);
  std::uint64_t hash_of(std::string_view app, std::string_view channel) const;
  SharedU64& sleeping() const { return map_.header().sleeping; }
  WorkerSlot& slot() const { return map_.worker(segment_.worker()); }

  const Segment& segment_;
  SegmentMap map_;
  std::uint64_t bit_;
  WakePipe pipe_;
  Counters counters_;
  std::uint64_t cursor_;
  bool slept_ = true;  // since the pipe was emptied
  bool watches_all_ = true;
  std::array<std::uint32_t, kWatchedBits> watchers_{};  // of each bit
  std::uint64_t looks_ = 0;
  std::array<Named, 2 * kMaxChannels> named_{};
};

}  // namespace polyglot::core
