// HttpSession: the requests of long polling.
#include <boost/asio/post.hpp>
#include <utility>

#include "core/json_text.hpp"
#include "server/http_session.hpp"
#include "server/loop.hpp"

namespace polyglot::server {
namespace {

using core::Status;

// What the client understands of a refusal: the status 403, whatever the reason.
std::string refusal_json(const Status& status) {
  std::string json = "{\"status\":403,\"token\":null,\"messages\":[],\"code\":\"";
  json.append(core::code_info(status.code()).name).append("\",\"error\":");
  core::append_json_string(json, status.message());
  return json += '}';
}

// The session's token among the parameters, and the query without it: the client's own token has the same name.
std::string take_session_token(std::string_view query, std::string& rest) {
  std::string found;
  std::uint32_t worker = 0;
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    constexpr std::string_view kName = "token=";
    if (pair.substr(0, kName.size()) == kName && LongPollSessions::parse_token(pair.substr(kName.size()), worker)) {
      found = pair.substr(kName.size());
    } else {
      rest.append(rest.empty() ? "" : "&").append(pair);
    }
  }
  return found;
}

}  // namespace

void HttpSession::open_longpoll(std::string_view body) {
  std::string query;
  const std::string token = take_session_token(target_.query, query);
  remember_recipient();
  std::uint32_t worker = 0;
  if (LongPollSessions::parse_token(token, worker) && worker != loop().gateway.segment().worker() &&
      !request_->has_chunked_body()) {
    pass_to_ = worker;
    passed_ = request_->copy_head().bytes;
    passed_ += body;
    phase_ = Phase::application;
    // What the client sent behind this request is kept by then.
    auto self = std::static_pointer_cast<HttpSession>(shared_from_this());
    return boost::asio::post(loop().io, [self] { self->guard([&] { self->pass_on(); }); });
  }
  const auto session = loop().longpolls.find(token);
  const bool posts = request_->method() == HttpRequest::Verb::post;
  if (posts || (session == nullptr && loop().draining)) {
    const std::string json =
        posts && session != nullptr ? take_longpoll(*session, body) : longpoll_json(kNoSession, {});
    loop().replies.append(loop().output, {200, "application/json", json}, recipient());
    return;
  }
  phase_ = Phase::application;
  if (session != nullptr) return poll(*session);
  open_longpoll_session(query);
}

std::string HttpSession::take_longpoll(LongPollSession& session, std::string_view body) {
  // Its messages are made in the memory where the answers to earlier requests of this turn are.
  std::string before = std::exchange(loop().output, {});
  std::string json = session.take(body);
  loop().output = std::move(before);
  return json;
}

void HttpSession::poll(LongPollSession& session) {
  polled_ = session.weak_from_this();
  auto self = std::static_pointer_cast<HttpSession>(shared_from_this());
  session.poll([self = std::move(self)](std::string json) {
    self->polled_.reset();
    // Not at once: this may be called in the midst of another request of the same connection.
    boost::asio::post(self->loop().io,
                      [self, json = std::move(json)] { self->guard([&] { self->answer_later({.body = json}); }); });
  });
  wait_to_read();
}

// While a poll waits: messages for a client that has hung up are better kept for its next request.
void HttpSession::look_for_end() {
  const std::ptrdiff_t there = peek();
  if (there == 0) return close();
  if (there < 0) wait_to_read();  // else the next request is there, and is read when this one is answered
}

void HttpSession::open_longpoll_session(std::string_view query) {
  auto parsed = parse_socket_request(*request_, query);
  auto self = std::static_pointer_cast<HttpSession>(shared_from_this());
  if (!parsed.ok()) {
    boost::asio::post(loop().io,
                      [self, status = parsed.status()] { self->guard([&] { self->refuse_longpoll(status); }); });
    return;
  }
  auto request = std::make_shared<SocketRequest>(std::move(parsed).value());
  Identity& identity = request->identity;
  identity.source_ip = loop().source.of(peer_, request_->value(Field::forwarded_for));
  const auto open = [self, request](const Verdict& verdict) {
    if (!self->is_open()) return;
    self->guard([&] {
      const Status status = self->admit(request->identity, verdict);
      if (!status.ok()) return self->refuse_longpoll(status);
      const auto session = self->loop().longpolls.open(self->loop(), std::move(request->identity));
      self->answer_later({.body = longpoll_json(kNoSession, session->token())});
    });
  };
  if (!loop().options.asks_python && request->token.empty()) {
    boost::asio::post(loop().io, [open] { open({}); });
    return;
  }
  loop().handoff.ask(may_connect(*request), open);
}

void HttpSession::refuse_longpoll(const Status& status) {
  loop().gateway.counters().add_refused(status.code());
  answer_later({.status = 403, .body = refusal_json(status)});
}

void HttpSession::pass_on() {
  if (!is_open()) return;
  if (is_sending()) return after_sending(&HttpSession::pass_on);
  if (loop().relay.pass(pass_to_, fd(), passed_ + in_)) return close();
  answer_later({.body = longpoll_json(kNoSession, {})});  // the worker is gone, and the session with it
}

}  // namespace polyglot::server
