#include "server/http_session.hpp"

#include <algorithm>
#include <array>
#include <boost/beast/core/string.hpp>
#include <charconv>

#include "server/loop.hpp"

namespace polyglot::server {
namespace {

using core::Code;
using core::Status;

// Above it the application waits before it sends more of a reply.
constexpr std::size_t kMuchUnsent = 262144;

bool is_token_char(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

Status too_large(std::size_t limit) {
  return {Code::payload_too_large, "The body is larger than the " + std::to_string(limit) + " bytes allowed here."};
}

bool has_body(int status) {
  return status >= 200 && status != 204 && status != 304;
}

}  // namespace

HttpSession::HttpSession(Loop& loop, Socket socket, std::string_view address, std::uint16_t port)
    : Connection(loop, std::move(socket)), peer_(loop.source.peer(address)), address_(address), port_(port) {
  deadline_ = clock_ms() + kIdleTime;
}

HttpSession::~HttpSession() = default;

void HttpSession::start() {
  on_readable();  // most clients have sent something by now
}

Recipient HttpSession::recipient() {
  if (!request_) return {loop().request_ids.choose({}), {}, false, keep_alive_, 11};
  return {loop().request_ids.choose(request_->value(Field::request_id)), request_->value(Field::origin),
          request_->method() == HttpRequest::Verb::head, keep_alive_, request_->version()};
}

void HttpSession::on_readable() {
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
    bool worth = bytes.size() >= kMaxHead || (bytes.size() > kMaxRequestLine && looked_at_ <= kMaxRequestLine);
    for (std::size_t at = bytes.find('\n', from); at != std::string_view::npos && !worth;
         at = bytes.find('\n', at + 1)) {
      worth = at == 0 || bytes[at - 1] != '\r' || (at >= 3 && bytes[at - 2] == '\n');
    }
    if (!worth) {
      looked_at_ = bytes.size();
      return false;
    }
  }
  request_.emplace();
  const auto progress = request_->parse_head(bytes);
  if (progress == HttpRequest::Progress::more) {
    if (looked_at_ == 0) deadline_ = clock_ms() + kHeaderTime;
    looked_at_ = bytes.size();
    request_.reset();
    return false;
  }
  looked_at_ = 0;
  loop().requests.fetch_add(1, std::memory_order_relaxed);
  if (progress == HttpRequest::Progress::failed) {
    const Status status = request_->status();
    request_.reset();
    refuse(status);
    return false;
  }
  keep_alive_ = request_->keep_alive() && !loop().draining;
  phase_ = Phase::body;
  welcomed_ = false;
  return take_body(bytes);
}

// The slices of the route are of memory that all share, so they hold for one turn.
void HttpSession::route() {
  target_ = HttpTarget::parse(request_->target());
  routed_ = find_route(request_->method(), target_, loop().path);
  native_ = routed_.route != Route::other && loop().hot_routes.take(*request_, routed_, target_) &&
            !(routed_.route == Route::ready && loop().draining);
}

bool HttpSession::take_body(std::string_view& bytes) {
  request_->at(bytes.data());
  route();
  const std::size_t head = request_->head_size();
  if (request_->has_chunked_body()) {
    if (!welcomed_ && bytes.size() == head && !welcome_body()) return false;
    std::string_view rest = bytes.substr(head);
    const std::size_t limit = body_limit();
    const auto progress = request_->parse_chunks(rest, limit);
    if (progress == HttpRequest::Progress::failed) {
      if (request_->status().code() == Code::payload_too_large && native_) {
        if (Status status = loop().hot_routes.check(*request_, routed_); !status.ok()) {
          refuse(status);
          return false;
        }
      }
      refuse(request_->status());
      return false;
    }
    if (progress == HttpRequest::Progress::more) {
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
      if (!welcomed_ && !welcome_body()) return false;
      in_.reserve(head + std::min<std::uint64_t>(length, body_limit()));
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
    if (Status status = loop().hot_routes.check(*request_, routed_); !status.ok()) {
      refuse(status);
      return false;
    }
  } else if (request_->content_length() > body_limit()) {
    if (!routed_.takes_events) {
      refuse(too_large(body_limit()));
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
  Status status;
  if (routed_.takes_events) status = loop().hot_routes.check(*request_, routed_);
  Reply reply;
  if (status.ok()) status = loop().hot_routes.answer(*request_, routed_, body, peer_, reply);
  if (!status.ok()) return answer_problem(status);
  loop().replies.append(loop().output, reply, recipient());
}

void HttpSession::answer_problem(const Status& status) {
  loop().gateway.counters().add_refused(status.code());
  loop().replies.append_problem(loop().output, status, recipient());
}

void HttpSession::refuse(const Status& status) {
  keep_alive_ = false;
  answer_problem(status);
  ends_ = true;
}

void HttpSession::finish_request() {
  request_.reset();
  phase_ = Phase::head;
  deadline_ = clock_ms() + (loop().draining ? kDrainIdleTime : kIdleTime);
  if (!keep_alive_) ends_ = true;
}

void HttpSession::hand_off(std::string_view body) {
  phase_ = Phase::application;
  ApplicationRequest request{request_->copy_head(), std::string(body), address_, port_};
  auto self = std::static_pointer_cast<HttpSession>(shared_from_this());
  application_ = loop().handoff.give(
      std::move(request), [self = std::move(self)](ApplicationReply& part) { self->on_application_reply(part); });
}

void HttpSession::begin_application_reply(const ApplicationReply& part, bool whole) {
  std::string& output = loop().output;
  bool has_length = false;
  bool closes = false;
  for (const auto& [name, value] : part.fields) {
    has_length |= boost::beast::iequals(name, "content-length");
    closes |= boost::beast::iequals(name, "connection") && boost::beast::iequals(value, "close");
  }
  int status = 0;
  std::from_chars(part.status.data(), part.status.data() + part.status.size(), status);
  const bool with_body = has_body(status) && request_->method() != HttpRequest::Verb::head;
  chunked_reply_ = !whole && !has_length && with_body && request_->version() == 11;
  if (closes || (!whole && !has_length && !chunked_reply_ && with_body)) keep_alive_ = false;
  if (loop().draining) keep_alive_ = false;
  Recipient recipient;
  recipient.keep_alive = keep_alive_;
  recipient.version = request_->version();
  loop().replies.append_head(output, part.status, recipient);
  for (const auto& [name, value] : part.fields) {
    if (boost::beast::iequals(name, "connection") || boost::beast::iequals(name, "transfer-encoding") ||
        boost::beast::iequals(name, "date") || boost::beast::iequals(name, "server")) {
      continue;
    }
    output.append(name).append(": ").append(value).append("\r\n");
  }
  if (chunked_reply_) output.append("Transfer-Encoding: chunked\r\n");
  if (whole && !has_length && has_body(status)) {
    output.append("Content-Length: ").append(std::to_string(part.body.size())).append("\r\n");
  }
  output.append("\r\n");
  if (whole && with_body) output.append(part.body);
}

void HttpSession::on_application_reply(ApplicationReply& part) {
  if (!is_open()) return;
  using Part = ApplicationReply::Part;
  std::string& output = loop().output;
  output.clear();
  switch (part.part) {
    case Part::whole:
    case Part::begin:
      begin_application_reply(part, part.part == Part::whole);
      phase_ = Phase::streaming;
      break;
    case Part::more:
      if (chunked_reply_ && !part.body.empty()) {
        std::array<char, 16> size{};
        const auto end = std::to_chars(size.data(), size.data() + size.size(), part.body.size(), 16).ptr;
        output.append(size.data(), end).append("\r\n").append(part.body).append("\r\n");
      } else if (request_->method() != HttpRequest::Verb::head) {
        output.append(part.body);
      }
      break;
    case Part::end:
      if (chunked_reply_) output.append("0\r\n\r\n");
      break;
    case Part::abort:
      return close();  // the client must see that the reply is not whole
  }
  if (part.part == Part::whole || part.part == Part::end) {
    application_ = 0;
    finish_request();
    take_kept();
    return flush();
  }
  send(output);
  if (is_open() && unsent() < kMuchUnsent) loop().handoff.tell_room(application_);
}

void HttpSession::on_sent() {
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
  if (application_ == 0) return;
  loop().handoff.forget(application_);
  application_ = 0;
}

void HttpSession::give_up_late(const Status& status) {
  loop().output.clear();
  refuse(status);
  flush();
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

void HttpSession::drain() {
  if (phase_ == Phase::head && in_.empty()) deadline_ = std::min(deadline_, clock_ms() + kDrainIdleTime);
}

}  // namespace polyglot::server
