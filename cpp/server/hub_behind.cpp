// The subscribers that are behind: what is done with those that read too slowly, so that one costs no more than its
// share of memory and holds up nobody.
#include <algorithm>
#include <utility>

#include "server/hub.hpp"

namespace polyglot::server {

bool Hub::conflates(const ChannelStream& stream) const {
  return gateway_.rule(stream.app, stream.channel).conflate;
}

bool Hub::is_far_behind(const Subscription& subscription) const {
  const FrameLog& frames = subscription.frames();
  const std::uint64_t behind = frames.end() - subscription.cursor_;
  if (behind <= kMaxBehindConflating) return false;
  // The newest event alone may be as large.
  return (behind > kMaxBehind || conflates(subscription.stream_)) && subscription.cursor_ < frames.newest_event();
}

void Hub::trim(ChannelStream& stream) {
  for (ChannelStream::Readers& readers : stream.readers) {
    const FrameLog& frames = readers.frames;
    if (frames.end() - frames.begin() <= 2 * kMaxBehind) continue;
    for (Subscription* reader : std::vector<Subscription*>(readers.live)) {
      if (is_far_behind(*reader)) fall_behind(*reader);
    }
    std::uint64_t least = frames.end();
    for (const Subscription* reader : readers.live) least = std::min(least, reader->cursor_);
    readers.frames.drop_until(least);
  }
}

void Hub::fall_behind(Subscription& subscription) {
  ChannelStream& stream = subscription.stream_;
  const FrameLog& frames = subscription.frames();
  if (conflates(stream)) {
    const std::uint64_t newest = frames.newest_event();
    if (newest <= subscription.cursor_) return;
    if (!std::exchange(subscription.skipped_, true)) {
      subscription.epoch_ = stream.epoch;
      subscription.offset_ = frames.offset_before(subscription.cursor_);
    }
    subscription.cursor_ = newest;
  } else if (subscription.encoding_ == Encoding::websocket) {
    leave_live(subscription);
    subscription.cut_ = true;
    subscription.subscriber_.too_slow(subscription);
  } else {
    catch_up_from(subscription, stream.epoch, frames.offset_before(subscription.cursor_));
  }
}

void Hub::tell_skipped(Subscription& subscription, std::string& alone) {
  const ChannelStream& stream = subscription.stream_;
  const std::uint64_t to = subscription.frames().offset_before(subscription.cursor_);
  // Across epochs it cannot be known what there was.
  const bool known = subscription.epoch_ == stream.epoch;
  const Gap gap{known ? subscription.offset_ + 1 : 0, known ? to : 0, "conflated", stream.epoch, to};
  if (!known || to > subscription.offset_) stream.write_gap(alone, subscription.encoding_, gap);
  subscription.skipped_ = false;
  // Other messages were skipped too.
  subscription.subscriber_.went_live(subscription);
}

void Hub::catch_up_from(Subscription& subscription, std::uint64_t epoch, std::uint64_t offset) {
  leave_live(subscription);
  subscription.epoch_ = epoch;
  subscription.offset_ = offset;
  mark(subscription);
}

// Readers that may have to go back to the history later cannot do so across a gap: an offset before it would mean
// something else behind it. They go back now, and history tells each what it misses.
void Hub::send_back(ChannelStream& stream) {
  for (const Encoding encoding : {Encoding::sse, Encoding::sse_chunked}) {
    const ChannelStream::Readers& readers = stream.readers[static_cast<std::size_t>(encoding)];
    for (Subscription* reader : std::vector<Subscription*>(readers.live)) {
      const bool has_all = reader->cursor_ == readers.frames.end();
      catch_up_from(*reader, stream.epoch, has_all ? stream.offset : readers.frames.offset_before(reader->cursor_));
    }
  }
}

}  // namespace polyglot::server
