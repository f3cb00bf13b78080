// SseSession: the events of one channel as server-sent events (WHATWG HTML, "Server-sent events").
//
// The `id` of every block is the position after it, <epoch>:<offset>; a client that sends the last one back misses
// nothing. A comment goes out when there was no event for a while. The stream ends when its reader's token or key does,
// or is taken away.
//
// Thread safety: the server's thread alone.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "server/hub.hpp"
#include "server/identity.hpp"
#include "server/subscriber_connection.hpp"

namespace polyglot::server {

inline constexpr std::int64_t kSseHeartbeat = 15'000;  // milliseconds

// What a reader asks for.
struct SseRequest {
  std::string app;
  std::string channel;
  std::string key;    // API key or token in the URL, for browsers, whose EventSource cannot send header fields
  std::string token;  // of the Authorization field
  std::string epoch;  // empty: the present one
  std::optional<std::uint64_t> since;
  bool chunked = true;
  std::shared_ptr<const core::Grant> grant;  // of the token, or of the hook; null without one
};

class SseSession final : public SubscriberConnection {
 public:
  SseSession(Loop& loop, Socket socket, bool chunked);

  // Sends the head and the position, and subscribes. Errors as Hub::subscribe and Gateway::hold; nothing was sent then.
  core::Status start(const SseRequest& request, std::string_view head);
  void drain(std::int64_t at) override;
  core::Gauge kind() const override { return core::Gauge::sse; }
  void serve() override;
  void too_slow(Subscription& subscription) override;
  void went_live(Subscription&) override {}

  // What is said in place of a stream that could not start.
  void send_and_close(std::string_view bytes);

 private:
  void look_at_clock(std::int64_t now) override;
  void on_readable() override;
  void on_closed() override;
  void end();
  bool may_go_on();
  Encoding encoding() const { return chunked_ ? Encoding::sse_chunked : Encoding::sse; }

  bool chunked_;
  Identity reader_;
  std::string channel_;
  std::uint64_t access_version_;  // under which it may read
  std::int64_t ends_at_ = 0;      // once the server stops
  core::Hold connection_;
  core::Hold joined_;
  std::unique_ptr<Subscription> subscription_;
};

}  // namespace polyglot::server
