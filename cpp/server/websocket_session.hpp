// WebSocketSession: a Phoenix socket over WebSocket (RFC 6455).
//
// Close codes: 1001 nothing came for too long, 1002, 1007 and 1009 as the RFC has them (1007 also for what is no
// Phoenix message), 1012 the server stops: connect again, 4008 the client reads too slowly and has to resume.
//
// Thread safety: the server's thread alone.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "server/phoenix_socket.hpp"
#include "server/subscriber_connection.hpp"
#include "server/websocket_frame.hpp"

namespace polyglot::server {

inline constexpr std::uint16_t kCloseIdle = 1001;
inline constexpr std::uint16_t kCloseNotPhoenix = 1007;
inline constexpr std::uint16_t kCloseServerStops = 1012;
inline constexpr std::uint16_t kCloseTooSlow = 4008;

class WebSocketSession final : public SubscriberConnection, public PhoenixTransport {
 public:
  WebSocketSession(Loop& loop, Socket socket, Identity identity);
  ~WebSocketSession() override;

  // Sends the answer to the handshake; `input` is what came behind it.
  void start(std::string_view head, std::string& input);
  void drain(std::int64_t at) override;
  core::Gauge kind() const override { return core::Gauge::websocket; }
  void too_slow(Subscription& subscription) override;
  void went_live(Subscription& subscription) override { phoenix_.on_live(subscription); }

 private:
  void send_message(std::string_view message) override;
  void flush_messages() override;
  Subscriber& subscriber() override { return *this; }
  std::weak_ptr<void> life() override { return shared_from_this(); }

  void look_at_clock(std::int64_t now) override;
  void on_readable() override;
  void on_sent() override;
  void on_closed() override;
  void take(std::span<char> bytes);
  bool take_message(const WebSocketMessage& message);
  bool take_text(std::string_view payload, bool binary);
  void end(std::uint16_t code, std::string_view reason);

  WebSocketReader reader_;
  PhoenixSocket phoenix_;
  std::int64_t ends_at_ = 0;  // once the server stops
};

}  // namespace polyglot::server
