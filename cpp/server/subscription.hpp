// Subscription: one subscriber's place in one channel. Subscriber: whoever has them, and is told when there is more.
//
// A subscription is live, a position in its channel's log of frames, or it catches up, an offset in the channel's
// history, until it has reached where the log begins for it.
//
// Thread safety: the server's thread alone.
#pragma once

#include <boost/intrusive/list.hpp>
#include <cstdint>
#include <vector>

#include "server/channel_stream.hpp"

namespace polyglot::server {

class Hub;
class Subscription;

struct ReadyTag;
class Subscriber : public boost::intrusive::list_base_hook<boost::intrusive::tag<ReadyTag>,
                                                           boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
 public:
  using ReadyHook = boost::intrusive::list_base_hook<boost::intrusive::tag<ReadyTag>,
                                                     boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;
  virtual ~Subscriber() = default;

  // There is more for some of its subscriptions: takes what it can, and is called again only when there is still more.
  virtual void serve() = 0;
  // It is so far behind that the frames it stands at go away. REQUIRES: the subscription outlives this call.
  virtual void too_slow(Subscription& subscription) = 0;
  // It has caught up. What is said now goes out before anything that is new.
  virtual void went_live(Subscription& subscription) = 0;

 protected:
  std::vector<Subscription*> pending_;  // those that have more; each once

  friend class Hub;
};

class Subscription {
 public:
  Subscription(Hub& hub, ChannelStream& stream, Subscriber& subscriber, Encoding encoding)
      : hub_(hub), stream_(stream), subscriber_(subscriber), encoding_(encoding) {}
  // Leaves the channel.
  ~Subscription();
  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;

  ChannelStream& stream() const { return stream_; }
  Encoding encoding() const { return encoding_; }
  ChannelStream::Readers& readers() const { return stream_.readers[static_cast<std::size_t>(encoding_)]; }
  const FrameLog& frames() const { return readers().frames; }
  bool is_live() const { return live_; }
  std::uint64_t cursor() const { return cursor_; }

 private:
  Hub& hub_;
  ChannelStream& stream_;
  Subscriber& subscriber_;
  Encoding encoding_;
  bool live_ = false;
  bool pending_ = false;
  std::uint64_t cursor_ = 0;  // when live
  std::size_t place_ = 0;     // when live, among Readers::live
  std::uint64_t epoch_ = 0;   // when it catches up, or has skipped something: what it has had
  std::uint64_t offset_ = 0;
  bool skipped_ = false;  // events were left out, which was not told yet
  bool cut_ = false;      // too slow: gets nothing more

  friend class Hub;
};

}  // namespace polyglot::server
