// ChannelStream: one channel as this worker's subscribers get it: where it stands, a log of frames for each encoding
// that somebody reads, and who reads.
//
// Thread safety: one thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/history.hpp"
#include "server/frame_log.hpp"

namespace polyglot::server {

enum class Encoding : std::uint8_t {
  websocket,    // text frames of Phoenix messages
  sse,          // blocks of server-sent events
  sse_chunked,  // the same in the chunks of HTTP/1.1 (RFC 9112 §7.1)
};
inline constexpr std::size_t kEncodings = 3;

class Subscription;

// A gap as it is told, and where the reader stands behind it.
struct Gap {
  std::uint64_t from;
  std::uint64_t to;
  std::string_view reason;
  std::uint64_t epoch;
  std::uint64_t offset;
};

struct ChannelStream {
  struct Readers {
    FrameLog frames;
    std::vector<Subscription*> live;  // each at its position in `frames`
    std::size_t behind = 0;           // of them, those that have not had everything
    std::size_t unmarked = 0;         // of them, those that nobody has told yet
  };

  ChannelStream(std::string_view the_app, std::string_view the_channel);

  // Each writes one frame to each encoding that has readers.
  void append_event(std::uint64_t offset, std::string_view envelope, core::TimeUs time = 0);
  void append_gap(const Gap& gap);
  // A Phoenix message to every socket; `payload` is JSON.
  void append_message(std::string_view event, std::string_view payload);

  // The same frames for one reader alone.
  void write_event(std::string& out, Encoding encoding, std::uint64_t at_epoch, std::uint64_t offset,
                   std::string_view envelope) const;
  void write_gap(std::string& out, Encoding encoding, const Gap& gap) const;
  // A Phoenix message as a frame.
  void write_message(std::string& out, std::string_view event, std::string_view payload) const;

  std::string app;
  std::string channel;
  std::uint64_t epoch = 0;  // the logs hold everything up to here
  std::uint64_t offset = 0;
  std::size_t subscriptions = 0;
  std::size_t app_place = 0;  // among the counters by app
  bool dirty = false;         // there is news that was not read
  std::array<Readers, kEncodings> readers;

 private:
  std::string event_head_;  // [null,null,"room:test","event",
};

// What is missing at the beginning of a page, for whoever asked for it.
Gap gap_of(const core::HistoryPage& page);

}  // namespace polyglot::server
