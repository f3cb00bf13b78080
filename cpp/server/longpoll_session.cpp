#include "server/longpoll_session.hpp"

#include <sys/random.h>

#include <array>
#include <charconv>
#include <stdexcept>
#include <utility>
#include <vector>

#include "core/epoch.hpp"
#include "core/json_text.hpp"
#include "server/loop.hpp"

namespace polyglot::server {
namespace {

constexpr std::string_view kTokenHead = "longpoll-";

// A token is a credential: whoever has it reads what the session gets.
std::string random_text() {
  std::array<std::uint64_t, 2> words{};
  if (getrandom(words.data(), sizeof(words), 0) != static_cast<ssize_t>(sizeof(words))) {
    throw std::runtime_error("the kernel gives no random numbers");
  }
  return core::epoch_text(words[0]) + core::epoch_text(words[1]);
}

}  // namespace

std::string longpoll_json(int status, std::string_view token, std::string_view messages) {
  std::string json = "{\"status\":" + std::to_string(status) + ",\"token\":";
  if (token.empty()) {
    json += "null";
  } else {
    core::append_json_string(json, token);
  }
  return json.append(",\"messages\":[").append(messages).append("]}");
}

LongPollSession::LongPollSession(Loop& loop, Identity identity, std::string token)
    : loop_(loop),
      token_(std::move(token)),
      phoenix_(loop, *this, std::move(identity)),
      deadline_(clock_ms() + kPollIdleTime) {}

void LongPollSession::send_message(std::string_view message) {
  if (messages_.size() > kMaxBehind) over_ = true;
  if (over_) return;
  if (!messages_.empty()) messages_ += ',';
  core::append_json_string(messages_, message);
}

void LongPollSession::flush_messages() {
  if (messages_.empty() || waiting_ == nullptr) return;
  deadline_ = clock_ms() + kPollIdleTime;
  std::exchange(waiting_, nullptr)(longpoll_json(200, token_, std::exchange(messages_, {})));
}

void LongPollSession::poll(Answer answer) {
  if (waiting_ != nullptr) std::exchange(waiting_, nullptr)(longpoll_json(204, token_));
  waiting_ = std::move(answer);
  deadline_ = clock_ms() + kPollTime;
  flush_messages();
}

void LongPollSession::forget_poll() {
  waiting_ = nullptr;
  deadline_ = clock_ms() + kPollIdleTime;
}

std::string LongPollSession::take(std::string_view body) {
  if (waiting_ == nullptr) deadline_ = clock_ms() + kPollIdleTime;
  std::string scratch;
  while (const auto line = next_phoenix_line(body)) {
    const auto message = parse_phoenix(*line, scratch);
    if (!message.ok()) return longpoll_json(400, token_);
    phoenix_.on_message(message.value());
  }
  flush_messages();
  return longpoll_json(200, token_);
}

// Whole frames of the server's own, without masks.
void LongPollSession::take_frames(std::string_view frames) {
  while (!frames.empty()) {
    std::size_t head = 2;
    std::size_t size = static_cast<unsigned char>(frames[1]);
    if (size >= 126) {
      head += size == 126 ? 2 : 8;
      size = 0;
      for (std::size_t i = 2; i < head; ++i) size = size << 8 | static_cast<unsigned char>(frames[i]);
    }
    send_message(frames.substr(head, size));
    frames.remove_prefix(head + size);
  }
}

void LongPollSession::serve() {
  for (Subscription* subscription : std::exchange(pending_, {})) {
    std::string alone;
    const bool more = loop_.hub.prepare(*subscription, alone);
    take_frames(alone);
    if (more) {
      std::array<iovec, 16> parts;
      std::uint64_t to = 0;
      const std::size_t used = subscription->frames().gather(subscription->cursor(), parts.data(), parts.size(), to);
      for (std::size_t i = 0; i < used; ++i) take_frames({static_cast<char*>(parts[i].iov_base), parts[i].iov_len});
      loop_.hub.advance(*subscription, to);
    }
    loop_.hub.done(*subscription);
  }
  flush_messages();
}

bool LongPollSession::look_at_clock(std::int64_t now) {
  phoenix_.look_at_clock(seconds_now());
  if (over_) return true;
  if (now < deadline_) return false;
  if (waiting_ == nullptr) return true;
  deadline_ = now + kPollIdleTime;
  std::exchange(waiting_, nullptr)(longpoll_json(204, token_));
  return false;
}

void LongPollSession::end() {
  phoenix_.leave_all();
  if (waiting_ != nullptr) std::exchange(waiting_, nullptr)(longpoll_json(kNoSession, {}));
}

std::shared_ptr<LongPollSession> LongPollSessions::open(Loop& loop, Identity identity) {
  std::string token = std::string(kTokenHead) + std::to_string(worker_) + '-' + random_text();
  auto session = std::make_shared<LongPollSession>(loop, std::move(identity), token);
  sessions_.emplace(std::move(token), session);
  return session;
}

std::shared_ptr<LongPollSession> LongPollSessions::find(const std::string& token) const {
  const auto found = sessions_.find(token);
  return found == sessions_.end() ? nullptr : found->second;
}

bool LongPollSessions::parse_token(std::string_view token, std::uint32_t& worker) {
  if (token.substr(0, kTokenHead.size()) != kTokenHead) return false;
  token.remove_prefix(kTokenHead.size());
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), worker);
  return error == std::errc() && end != token.data() + token.size() && *end == '-';
}

void LongPollSessions::look_at_clock(std::int64_t now) {
  std::vector<std::shared_ptr<LongPollSession>> over;
  for (const auto& [token, session] : sessions_) {
    if (session->look_at_clock(now)) over.push_back(session);
  }
  for (const auto& session : over) {
    sessions_.erase(session->token());
    session->end();
  }
}

std::size_t LongPollSessions::waiting_bytes() const {
  std::size_t bytes = 0;
  for (const auto& [token, session] : sessions_) bytes += session->waiting_bytes();
  return bytes;
}

void LongPollSessions::end_all() {
  for (const auto& [token, session] : std::exchange(sessions_, {})) session->end();
}

}  // namespace polyglot::server
