#include "server/http_session.hpp"

#include <algorithm>
#include <utility>

#include "server/http_text.hpp"
#include "server/loop.hpp"

namespace polyglot::server {
namespace {

using core::Code;
using core::Status;

constexpr std::size_t kMaxKnownHead = 1024;  // bytes

}  // namespace

HttpSession::HttpSession(Loop& loop, Socket socket, std::string_view address, std::uint16_t port)
    : Connection(loop, std::move(socket)), peer_(loop.source.peer(address)), address_(address), port_(port) {
  deadline_ = clock_ms() + kIdleTime;
}

HttpSession::~HttpSession() = default;

void HttpSession::start() {
  on_readable();  // most clients have sent something by now
}

void HttpSession::start_with(std::string bytes) {
  in_ = std::move(bytes);
  loop().output.clear();
  take_kept();
  flush();
}

Recipient HttpSession::recipient() {
  if (phase_ == Phase::head) return {loop().request_ids.choose({}), {}, false, keep_alive_, 11};
  return {loop().request_ids.choose(request_->value(Field::request_id)), request_->value(Field::origin),
          request_->method() == HttpRequest::Verb::head, keep_alive_, request_->version()};
}

void HttpSession::on_readable() {
  if (!polled_.expired()) return look_for_end();
  if (is_sending() || phase_ >= Phase::application) return;
  std::string& output = loop().output;
  output.clear();
  while (is_open()) {
    // A body of known length is read to where it belongs; all else comes through the memory that all share.
    const std::ptrdiff_t got = receive(loop().input.data(), loop().input.size());
    if (got < 0) break;
    if (got == 0) return end_of_input();
    std::string_view bytes(loop().input.data(), static_cast<std::size_t>(got));
    if (in_.empty()) {
      take_requests(bytes);
      keep(bytes);
    } else {
      in_.append(bytes);
      if (phase_ == Phase::body) request_->at(in_.data());
      if (!may_be_whole()) continue;
      bytes = in_;
      take_requests(bytes);
      keep(bytes);
    }
    if (ends_ || paused_ || phase_ >= Phase::application) break;
    if (static_cast<std::size_t>(got) < loop().input.size()) break;
  }
  flush();
}

void HttpSession::end_of_input() {
  if (phase_ == Phase::body || !in_.empty()) {
    refuse({Code::invalid_request, "The connection ended before the request was whole."});
  }
  ends_ = true;
  if (!loop().output.empty()) send(loop().output);
  if (!is_sending()) close();
}

// Is there a chance that the request in in_ can be taken further? Without it, parsing again is a waste.
bool HttpSession::may_be_whole() const {
  if (phase_ == Phase::body) {
    return request_->has_chunked_body() || in_.size() >= request_->head_size() + request_->content_length();
  }
  return true;
}

void HttpSession::keep(std::string_view bytes) {
  if (bytes.empty()) {
    in_.clear();
    if (in_.capacity() > 4096) std::string().swap(in_);
    return;
  }
  if (bytes.data() >= in_.data() && bytes.data() < in_.data() + in_.size()) {
    in_.erase(0, static_cast<std::size_t>(bytes.data() - in_.data()));
  } else {
    in_.assign(bytes);
  }
  if (phase_ != Phase::body) return;
  if (!ends_ && !request_->has_chunked_body()) {
    in_.reserve(request_->head_size() + std::min<std::uint64_t>(request_->content_length(), body_limit()));
  }
  // The memory that all share has other requests next.
  request_->at(in_.data());
}

void HttpSession::take_requests(std::string_view& bytes) {
  paused_ = false;
  while (!bytes.empty() && !ends_ && phase_ < Phase::application) {
    // What is asked for is much more than what asks for it: send some before the rest is looked at.
    paused_ = loop().output.size() > kMuchUnsent;
    if (paused_) return;
    if (phase_ == Phase::head ? !take_head(bytes) : !take_body(bytes)) return;
  }
}

bool HttpSession::take_head(std::string_view& bytes) {
  repeated_ = looked_at_ == 0 && !head_.empty() && request_->repeats(head_, bytes);
  if (repeated_) {
    begin_request();
    return take_body(bytes);
  }
  if (looked_at_ == 0) {
    // RFC 9112 §2.2: empty lines before a request are to be ignored.
    while (bytes.size() >= 2 && bytes[0] == '\r' && bytes[1] == '\n') bytes.remove_prefix(2);
    if (bytes.empty()) return false;
    if (!is_token_char(bytes[0]) && !(bytes == "\r")) {
      refuse({Code::invalid_request, "The request does not begin as HTTP/1.1 does, with a method."});
      return false;
    }
  } else {
    // Only the end of the head, or a line that does not end as it must, makes it worth while to parse again.
    const std::size_t from = std::max<std::size_t>(looked_at_, 3) - 3;
    bool worth = bytes.size() >= kMaxHead || (bytes.size() >= kMaxRequestLine + 2 && looked_at_ < kMaxRequestLine + 2);
    for (std::size_t at = bytes.find('\n', from); at != std::string_view::npos && !worth;
         at = bytes.find('\n', at + 1)) {
      worth = at == 0 || bytes[at - 1] != '\r' || (at >= 3 && bytes[at - 2] == '\n');
    }
    if (!worth) {
      looked_at_ = bytes.size();
      return false;
    }
  }
  head_.clear();
  request_.emplace();
  const auto progress = request_->parse_head(bytes);
  if (progress == HttpRequest::Progress::more) {
    if (looked_at_ == 0) deadline_ = clock_ms() + kHeaderTime;
    looked_at_ = bytes.size();
    request_.reset();
    return false;
  }
  looked_at_ = 0;
  if (progress == HttpRequest::Progress::failed) {
    count_request();
    const Status status = request_->status();
    request_.reset();
    refuse(status);
    return false;
  }
  key_.set(request_->value(Field::api_key));
  begin_request();
  return take_body(bytes);
}

void HttpSession::begin_request() {
  count_request();
  keep_alive_ = request_->keep_alive() && !loop().draining;
  phase_ = Phase::body;
  welcomed_ = false;
}

void HttpSession::count_request() {
  loop().requests.store(loop().requests.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

// What target_ has slices of may move while the body is waited for.
void HttpSession::route() {
  target_ = HttpTarget::parse(request_->target());
  routed_ = find_route(request_->method(), target_, path_);
  native_ = routed_.route != Route::other && takes();
}

bool HttpSession::takes() {
  switch (routed_.route) {
    case Route::websocket:
    case Route::longpoll:
      return true;
    case Route::events:
      return !loop().draining && takes_events_request();
    case Route::presence:
      return is_presence_for_python() || may_be_hot();
    case Route::ready:
      // The application knows why not.
      return !loop().draining && !loop().options.engine_elsewhere && !loop().options.processes;
    case Route::alive:
      return loop().hot_routes.take(*request_, routed_, target_);
    case Route::history:
      return !loop().options.engine_elsewhere && may_be_hot();
    default:
      return may_be_hot();
  }
}

// Unless the application has to ask the hook first.
bool HttpSession::may_be_hot() {
  return !loop().options.asks_python && loop().hot_routes.take(*request_, routed_, target_);
}

bool HttpSession::take_body(std::string_view& bytes) {
  request_->at(bytes.data());
  if (!repeated_) route();
  const std::size_t head = request_->head_size();
  if (request_->has_chunked_body()) {
    if (!welcomed_ && bytes.size() == head && !welcome_body()) return false;
    std::string_view rest = bytes.substr(head);
    const std::size_t limit = body_limit();
    const auto progress = request_->parse_chunks(rest, limit);
    if (progress == HttpRequest::Progress::failed) {
      if (request_->status().code() == Code::payload_too_large && native_) {
        if (Status status = loop().hot_routes.check(*request_, routed_, key_); !status.ok()) {
          refuse(status);
          return false;
        }
      }
      refuse(request_->status());
      return false;
    }
    if (progress == HttpRequest::Progress::more) {
      if (!std::exchange(welcomed_, true)) deadline_ = clock_ms() + kBodyTime;
      // The head stays in front; the chunks that were taken go.
      std::string kept(bytes.substr(0, head));
      kept.append(rest);
      in_ = std::move(kept);
      bytes = in_;
      request_->at(in_.data());
      return false;
    }
    // What the head's slices point to goes once the request is answered.
    const std::string body = std::move(request_->chunked_body());
    answer(body);
    bytes = rest;
  } else {
    const std::uint64_t length = request_->content_length();
    if (bytes.size() - head < length) {
      if (!welcomed_) welcome_body();
      return false;
    }
    const std::string_view body = bytes.substr(head, length);
    answer(body);
    bytes.remove_prefix(head + length);
  }
  if (phase_ == Phase::body) finish_request();
  return true;
}

std::size_t HttpSession::body_limit() const {
  return native_ && routed_.takes_events ? loop().hot_routes.body_limit(routed_) : loop().options.max_batch_bytes;
}

bool HttpSession::welcome_body() {
  welcomed_ = true;
  deadline_ = clock_ms() + kBodyTime;
  if (native_ && routed_.takes_events) {
    if (Status status = loop().hot_routes.check(*request_, routed_, key_); !status.ok()) {
      refuse(status);
      return false;
    }
  } else if (request_->content_length() > body_limit()) {
    if (!routed_.takes_events) {
      refuse(body_too_large(body_limit()));
      return false;
    }
    keep_alive_ = false;  // it refuses what is too long by its length alone
    hand_off({});
    return false;
  }
  if (request_->expects_continue()) loop().output.append("HTTP/1.1 100 Continue\r\n\r\n");
  return true;
}

void HttpSession::answer(std::string_view body) {
  if (!native_) return hand_off(body);
  if (routed_.route == Route::events) return open_events();
  if (is_presence_for_python()) return open_presence();
  if (routed_.route == Route::websocket) return open_socket();
  if (routed_.route == Route::longpoll) return open_longpoll(body);
  Status status;
  if (routed_.takes_events) status = loop().hot_routes.check(*request_, routed_, key_);
  if (status.ok() && routed_.takes_events && loop().publishing.is_needed(routed_.app, routed_.channel))
    return append(body);
  Reply reply;
  if (status.ok()) status = loop().hot_routes.answer(*request_, routed_, body, peer_, key_, reply);
  if (!status.ok()) return answer_problem(status);
  loop().replies.append(loop().output, reply, recipient());
}

bool HttpSession::may_repeat() const {
  // Where these go depends on nothing but their heads.
  return native_ && routed_.takes_events && !request_->has_chunked_body() && request_->head_size() <= kMaxKnownHead;
}

void HttpSession::finish_request() {
  if (!may_repeat()) {
    head_.clear();
    request_.reset();
  } else if (!repeated_) {
    head_ = request_->head();
  }
  phase_ = Phase::head;
  deadline_ = clock_ms() + (loop().draining ? kDrainIdleTime : kIdleTime);
  if (!keep_alive_) ends_ = true;
}

void HttpSession::on_sent() {
  if (after_sending_ != nullptr) {
    loop().output.clear();
    return (this->*std::exchange(after_sending_, nullptr))();
  }
  if (phase_ == Phase::streaming) return loop().handoff.tell_room(application_);
  loop().output.clear();
  take_kept();
  flush();
}

// What came while nothing could be taken.
void HttpSession::take_kept() {
  if (in_.empty() || ends_ || phase_ >= Phase::application) return;
  std::string_view bytes = in_;
  take_requests(bytes);
  keep(bytes);
}

void HttpSession::flush() {
  while (is_open()) {
    if (!loop().output.empty() && send(loop().output)) {
      if (ends_) linger();
      return;  // on_sent goes on
    }
    if (!is_open()) return;
    if (ends_) return linger();
    if (!paused_) break;
    loop().output.clear();
    take_kept();
  }
  if (phase_ < Phase::application) wait_to_read();
}

void HttpSession::on_closed() {
  if (const auto session = polled_.lock()) session->forget_poll();
  if (application_ == 0) return;
  loop().handoff.forget(application_);
  application_ = 0;
}

void HttpSession::look_at_clock(std::int64_t now) {
  if (now < deadline_ || phase_ >= Phase::application || is_sending()) return;
  if (phase_ == Phase::body) {
    give_up_late({Code::request_timeout, "The body did not arrive within " + std::to_string(kBodyTime / 1000) + " s."});
  } else if (in_.empty()) {
    close();
  } else {
    give_up_late(
        {Code::request_timeout, "The header did not arrive within " + std::to_string(kHeaderTime / 1000) + " s."});
  }
}

void HttpSession::drain(std::int64_t) {
  if (phase_ == Phase::head && in_.empty()) deadline_ = std::min(deadline_, clock_ms() + kDrainIdleTime);
}

}  // namespace polyglot::server
