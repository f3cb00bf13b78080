#include "server/websocket_session.hpp"

#include <boost/asio/post.hpp>
#include <utility>

#include "server/loop.hpp"

namespace polyglot::server {
namespace {

// Of replies that the client does not read; then it is not read from either.
constexpr std::size_t kMuchUnread = 65536;
constexpr int kBuffersPerTurn = 4;

}  // namespace

WebSocketSession::WebSocketSession(Loop& loop, Socket socket, Identity identity)
    : SubscriberConnection(loop, std::move(socket)),
      reader_(loop.options.max_batch_bytes),
      phoenix_(loop, *this, std::move(identity)) {
  deadline_ = clock_ms() + kIdleTime;
}

WebSocketSession::~WebSocketSession() = default;

void WebSocketSession::start(std::string_view head, std::string& input) {
  loop().output.clear();
  send(head);
  take({input.data(), input.size()});
  flush_messages();
  wait_to_read();
}

void WebSocketSession::send_message(std::string_view message) {
  append_frame(loop().output, Opcode::text, message);
}

void WebSocketSession::flush_messages() {
  if (loop().output.empty()) return;
  if (is_open() && !is_lingering()) send(loop().output);
  loop().output.clear();
}

void WebSocketSession::on_readable() {
  loop().output.clear();
  for (int i = 0; i < kBuffersPerTurn && is_open() && !is_lingering(); ++i) {
    const std::ptrdiff_t got = receive(loop().input.data(), loop().input.size());
    if (got < 0) break;
    if (got == 0) return close();
    deadline_ = clock_ms() + kIdleTime;
    take({loop().input.data(), static_cast<std::size_t>(got)});
    if (static_cast<std::size_t>(got) < loop().input.size()) break;
  }
  flush_messages();
  if (unsent() < kMuchUnread) wait_to_read();
}

void WebSocketSession::take(std::span<char> bytes) {
  WebSocketMessage message;
  while (is_open() && !is_lingering()) {
    switch (reader_.next(bytes, message)) {
      case WebSocketReader::Next::more:
        return;
      case WebSocketReader::Next::error:
        return end(reader_.error_code(), reader_.error_reason());
      case WebSocketReader::Next::message:
        if (!take_message(message)) return;
    }
  }
}

bool WebSocketSession::take_message(const WebSocketMessage& message) {
  switch (message.opcode) {
    case Opcode::ping:
      append_frame(loop().output, Opcode::pong, message.payload);
      return true;
    case Opcode::pong:
      return true;
    case Opcode::close: {
      std::uint16_t code = 0;
      std::string_view reason;
      const bool right = parse_close(message.payload, code, reason);
      end(right ? code : 1002, {});
      return false;
    }
    default:
      return take_text(message.payload, message.opcode == Opcode::binary);
  }
}

bool WebSocketSession::take_text(std::string_view payload, bool binary) {
  thread_local std::string scratch;
  const auto message = binary ? parse_phoenix_binary(payload, scratch) : parse_phoenix(payload, scratch);
  if (!message.ok()) {
    end(kCloseNotPhoenix, message.status().message());
    return false;
  }
  phoenix_.on_message(message.value());
  return true;
}

void WebSocketSession::too_slow(Subscription&) {
  // Not at once: it may find that the client is gone, and the subscription with it, which the hub still has in hand.
  boost::asio::post(loop().io, [self = std::static_pointer_cast<WebSocketSession>(shared_from_this())] {
    if (!self->is_open() || self->is_lingering()) return;
    self->loop().gateway.counters().add(core::Counter::slow_readers);
    self->loop().output.clear();
    self->end(kCloseTooSlow, "You read too slowly; connect again and resume with since and epoch.");
  });
}

// Sends what was said so far and the close frame, and then waits for the client to go.
void WebSocketSession::end(std::uint16_t code, std::string_view reason) {
  if (!is_open() || is_lingering()) return;
  std::string bytes = std::exchange(loop().output, {});
  append_close(bytes, code, reason);
  send(bytes);
  linger();
}

void WebSocketSession::on_sent() {
  if (!is_open()) return;
  SubscriberConnection::on_sent();
  wait_to_read();
}

void WebSocketSession::on_closed() {
  phoenix_.leave_all();
}

void WebSocketSession::look_at_clock(std::int64_t now) {
  loop().output.clear();
  if (ends_at_ != 0 && now >= ends_at_) return end(kCloseServerStops, "The server stops; connect again.");
  if (now >= deadline_) return end(kCloseIdle, "Nothing came for too long; send heartbeats.");
  phoenix_.look_at_clock(seconds_now());
}

void WebSocketSession::drain(std::int64_t at) {
  ends_at_ = at;
  look_at_clock(clock_ms());
}

}  // namespace polyglot::server
