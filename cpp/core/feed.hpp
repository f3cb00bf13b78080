// Feed: follows the log from a moment on and says which channels were appended to, by any process.
//
// The log is the bus between the workers of a host: each follows it with a cursor of its own. A feed says where there
// is news; the news itself is read from history by offset, so that nothing can be missed twice over. When nothing is
// left, poll marks the worker as sleeping and its descriptor becomes readable with the next append (wake.hpp).
//
// Thread safety: one thread at a time. At most one feed per worker slot.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/counters.hpp"
#include "core/segment.hpp"
#include "core/wake.hpp"

namespace polyglot::core {

struct FeedNews {
  std::vector<std::pair<std::string, std::string>> channels;  // (app, channel), each once
  bool overrun = false;  // the log was overwritten before it was read: any channel may have news
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

  // What was appended since the last poll, of at most kMaxRecords records. No news: the worker sleeps from now on.
  FeedNews poll();
  static constexpr int kMaxRecords = 10000;

 private:
  Feed(Segment& segment, WakePipe pipe);
  // Reads on to head; false when it was overrun.
  bool collect(FeedNews& news, std::uint64_t head);
  SharedU64& sleeping() const { return map_.header().sleeping; }

  const Segment& segment_;
  SegmentMap map_;
  std::uint64_t bit_;
  WakePipe pipe_;
  Counters counters_;
  std::uint64_t cursor_;
};

}  // namespace polyglot::core
