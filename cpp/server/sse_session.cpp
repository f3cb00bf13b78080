#include "server/sse_session.hpp"

#include <boost/asio/post.hpp>
#include <charconv>
#include <utility>

#include "core/epoch.hpp"
#include "server/loop.hpp"

namespace polyglot::server {
namespace {

constexpr std::string_view kRetry = "retry: 2000\nid: ";

std::string in_chunk(std::string_view text) {
  char size[16];
  std::string chunk(size, std::to_chars(size, size + sizeof(size), text.size(), 16).ptr);
  return chunk.append("\r\n").append(text).append("\r\n");
}

}  // namespace

SseSession::SseSession(Loop& loop, Socket socket, bool chunked)
    : SubscriberConnection(loop, std::move(socket)), chunked_(chunked), access_version_(loop.access_version) {}

core::Status SseSession::start(const SseRequest& request, std::string_view head) {
  auto connection = loop().gateway.hold(request.app, core::Quota::connections);
  if (!connection.ok()) return connection.status();
  auto joined = loop().gateway.hold(request.app, core::Quota::subscriptions);
  if (!joined.ok()) return joined.status();
  auto started = loop().hub.subscribe(*this, request.app, request.channel, encoding(), request.since, request.epoch);
  if (!started.ok()) return started.status();
  reader_ = {request.app, request.key, request.grant, {}};
  channel_ = request.channel;
  // A position without data, to come back to before the first event.
  std::string block(kRetry);
  block += request.epoch.empty() ? core::epoch_text(started->epoch) : request.epoch;
  block += ':' + std::to_string(started->position) + "\n\n";
  std::string bytes(head);
  send(bytes.append(chunked_ ? in_chunk(block) : block));
  if (!is_open()) return {};
  connection_ = std::move(connection).value();
  joined_ = std::move(joined).value();
  subscription_ = std::move(started->subscription);
  loop().hub.begin(*subscription_);
  deadline_ = clock_ms() + kSseHeartbeat;
  wait_to_read();
  if (loop().draining) drain(clock_ms());  // what had to wait may come after all others were asked to go
  return {};
}

void SseSession::send_and_close(std::string_view bytes) {
  send(bytes);
  linger();
}

void SseSession::serve() {
  if (is_lingering()) return;  // the deadline is for its end by then
  SubscriberConnection::serve();
  deadline_ = served_at() + kSseHeartbeat;
}

void SseSession::look_at_clock(std::int64_t now) {
  if (subscription_ != nullptr && !may_go_on()) return end();
  if (ends_at_ != 0 && now >= ends_at_) return end();
  if (now < deadline_ || is_sending()) return;
  deadline_ = now + kSseHeartbeat;
  send(chunked_ ? in_chunk(":\n\n") : ":\n\n");
}

bool SseSession::may_go_on() {
  const core::Grant* grant = reader_.grant.get();
  const bool is_over = grant != nullptr && grant->expires_at() != 0 && seconds_now() >= grant->expires_at();
  if (!is_over && access_version_ == loop().access_version) return true;
  access_version_ = loop().access_version;
  return reader_.may(loop().gateway, channel_, core::kSubscribe).ok();
}

void SseSession::on_readable() {
  // Nothing is expected but the end.
  if (receive(loop().input.data(), loop().input.size()) == 0) return close();
  wait_to_read();
}

void SseSession::on_closed() {
  subscription_.reset();
  joined_ = {};
  connection_ = {};
}

void SseSession::too_slow(Subscription&) {
  // Not at once: it may find that the client is gone, and the subscription with it, which the hub still has in hand.
  boost::asio::post(loop().io, [self = std::static_pointer_cast<SseSession>(shared_from_this())] { self->end(); });
}

void SseSession::end() {
  if (is_lingering()) return;
  if (chunked_) send("0\r\n\r\n");
  linger();
}

void SseSession::drain(std::int64_t at) {
  ends_at_ = at;
  look_at_clock(clock_ms());
}

}  // namespace polyglot::server
