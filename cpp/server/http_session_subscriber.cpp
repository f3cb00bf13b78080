// HttpSession: the requests after which the connection carries events: server-sent events and WebSocket.
#include <boost/asio/post.hpp>
#include <utility>

#include "core/channel.hpp"
#include "core/epoch.hpp"
#include "server/http_session.hpp"
#include "server/loop.hpp"
#include "server/websocket_session.hpp"

namespace polyglot::server {
namespace {

using core::Status;

constexpr std::string_view kSseFields = "Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n";

// <epoch>:<offset>, or only <offset> where the epoch may be left out.
bool parse_position(std::string_view text, bool epoch_needed, SseRequest& request) {
  const std::size_t colon = text.rfind(':');
  std::uint64_t number = 0;
  if (colon == std::string_view::npos ? epoch_needed : !core::parse_epoch(text.substr(0, colon), number)) return false;
  const std::string_view offset = colon == std::string_view::npos ? text : text.substr(colon + 1);
  if (!parse_offset(offset, number)) return false;
  request.epoch = colon == std::string_view::npos ? std::string_view() : text.substr(0, colon);
  request.since = number;
  return true;
}

Status check_names(const SseRequest& request) {
  const Status status = core::check_app(request.app);
  return status.ok() ? core::check_channel(request.channel) : status;
}

}  // namespace

// Fills events_; false when the application has to say what is wrong with the request.
bool HttpSession::takes_events_request() {
  const HttpRequest& request = *request_;
  if (request.repeated(Field::api_key) || request.repeated(Field::authorization) ||
      request.repeated(Field::last_event_id) || request.repeated(Field::request_id) ||
      request.repeated(Field::origin)) {
    return false;
  }
  const auto parameters = parse_query(target_.query);
  if (!parameters) return false;
  events_ = {};
  int keys = 0;
  int sinces = 0;
  std::string since;
  for (const auto& [name, value] : *parameters) {
    if (name == "key" && ++keys != 0) events_.key = value;
    if (name == "since" && ++sinces != 0) since = value;
  }
  if (keys > 1 || sinces > 1 || !is_plain(events_.key)) return false;
  if (!request.value(Field::last_event_id).empty()) {
    if (!parse_position(request.value(Field::last_event_id), true, events_)) return false;
  } else if (sinces != 0 && !parse_position(since, false, events_)) {
    return false;
  }
  events_.app = routed_.app;
  events_.channel = routed_.channel;
  events_.chunked = request.version() == 11;
  if (request.has(Field::api_key)) {
    events_.key = request.value(Field::api_key);
  } else if (const auto bearer = bearer_token(request.value(Field::authorization)); !bearer.empty()) {
    events_.token = bearer;
    events_.key.clear();
  } else if (looks_like_token(events_.key)) {
    events_.token = std::move(events_.key);
    events_.key.clear();
  }
  return true;
}

// What Python needs of the request, whose bytes are gone when it has decided, is remembered.
void HttpSession::wait_for_python() {
  if (phase_ == Phase::application) return;
  phase_ = Phase::application;
  remember_recipient();
}

Question HttpSession::question_of(Question::Kind kind) const {
  Question question;
  question.kind = kind;
  question.app = events_.app;
  question.channel = events_.channel;
  question.token = events_.token;
  return question;
}

// Lets the hook decide on the request of events_: calls `allowed`, or answers the refusal; `undecided` where the hook
// leaves it to key and token.
void HttpSession::ask_hook(core::Scope scope, void (HttpSession::*allowed)(), void (HttpSession::*undecided)()) {
  Question question = question_of(scope == core::kSubscribe ? Question::Kind::subscribe : Question::Kind::history);
  question.api_key = events_.key;
  if (const auto parameters = parse_query(target_.query)) {
    auto params = params_json(*parameters, "key");
    if (!params.ok()) return answer_problem(params.status());
    question.params = std::move(params).value();
  }
  question.source_ip = loop().source.of(peer_, request_->value(Field::forwarded_for));
  question.head = request_->copy_head();
  wait_for_python();
  auto self = std::static_pointer_cast<HttpSession>(shared_from_this());
  loop().handoff.ask(std::move(question), [self, scope, allowed, undecided](const Verdict& verdict) {
    if (!self->is_open()) return;
    self->guard([&] {
      self->loop().output.clear();
      if (!verdict.status.ok()) return self->refuse_later(verdict.status);
      if (verdict.grant == nullptr) return (self.get()->*undecided)();
      self->events_.grant = verdict.grant;
      const Status status = verdict.grant->check(self->events_.app, self->events_.channel, scope, seconds_now());
      status.ok() ? (self.get()->*allowed)() : self->refuse_later(status);
    });
  });
}

// Lets Python verify the token of events_, which then has to allow `scope`; calls `allowed`, or answers the refusal.
void HttpSession::ask_for_token(core::Scope scope, void (HttpSession::*allowed)()) {
  wait_for_python();
  auto self = std::static_pointer_cast<HttpSession>(shared_from_this());
  loop().handoff.ask(question_of(Question::Kind::verify), [self, scope, allowed](const Verdict& verdict) {
    if (!self->is_open()) return;
    self->guard([&] {
      self->loop().output.clear();
      Status status = verdict.status;
      if (status.ok()) {
        self->events_.grant = verdict.grant;
        status = verdict.grant->check(self->events_.app, self->events_.channel, scope, seconds_now());
      }
      status.ok() ? (self.get()->*allowed)() : self->refuse_later(status);
    });
  });
}

void HttpSession::open_events() {
  if (!loop().options.asks_python) return open_events_by_credential();
  if (const Status status = check_names(events_); !status.ok()) {
    return answer_problem(status);
  }
  ask_hook(core::kSubscribe, &HttpSession::start_allowed_events, &HttpSession::open_events_by_credential);
}

void HttpSession::open_events_by_credential() {
  const Status status = loop().gateway.authorize(events_.app, events_.channel, events_.key, core::kSubscribe);
  if (status.code() == core::Code::unauthorized && !events_.token.empty()) {
    return ask_for_token(core::kSubscribe, &HttpSession::start_allowed_events);
  }
  if (phase_ == Phase::application) return status.ok() ? start_allowed_events() : refuse_later(status);
  if (!status.ok()) return answer_problem(status);
  if (!loop().mirror.is_needed()) return start_events(recipient());
  wait_for_python();
  follow_events();
}

// The engine's part of the channel comes first.
void HttpSession::follow_events() {
  auto self = std::static_pointer_cast<HttpSession>(shared_from_this());
  loop().mirror.follow(events_.app, events_.channel, events_.since, events_.epoch, [self](const Status& status) {
    if (!self->is_open()) return;
    self->guard([&] {
      self->loop().output.clear();
      if (!status.ok()) return self->refuse_later(status);
      // What is let go now would not be followed any more when the stream begins.
      if (self->is_sending()) return self->after_sending(&HttpSession::follow_events);
      self->start_later_events();
    });
  });
}

void HttpSession::start_allowed_events() {
  loop().mirror.is_needed() ? follow_events() : start_later_events();
}

void HttpSession::start_later_events() {
  start_events({later_id_, later_origin_, false, true, 11});
}

// The application, which would ask the hook and verify the token, does not know the members.
bool HttpSession::is_presence_for_python() const {
  if (routed_.route != Route::presence || request_->repeated(Field::authorization) ||
      request_->repeated(Field::api_key)) {
    return false;
  }
  if (loop().options.asks_python) return parse_query(target_.query).has_value();
  return !request_->has(Field::api_key) && !bearer_token(request_->value(Field::authorization)).empty() &&
         loop().gateway.authorize(routed_.app, routed_.channel, {}, core::kHistory).code() == core::Code::unauthorized;
}

// With a bearer token, or for the hook; else it is among the hot routes.
void HttpSession::open_presence() {
  events_ = {};
  events_.app = routed_.app;
  events_.channel = routed_.channel;
  events_.key = request_->value(Field::api_key);
  if (!request_->has(Field::api_key)) events_.token = bearer_token(request_->value(Field::authorization));
  if (!loop().options.asks_python) return open_presence_by_credential();
  if (const Status status = check_names(events_); !status.ok()) {
    return answer_problem(status);
  }
  ask_hook(core::kHistory, &HttpSession::answer_presence, &HttpSession::open_presence_by_credential);
}

void HttpSession::open_presence_by_credential() {
  const Status status = loop().gateway.authorize(events_.app, events_.channel, events_.key, core::kHistory);
  if (status.code() == core::Code::unauthorized && !events_.token.empty()) {
    return ask_for_token(core::kHistory, &HttpSession::answer_presence);
  }
  if (phase_ == Phase::application) return status.ok() ? answer_presence() : refuse_later(status);
  if (!status.ok()) return answer_problem(status);
  const std::string json = loop().presence.members_json(events_.app, events_.channel);
  loop().replies.append(loop().output, {.body = json}, recipient());
}

void HttpSession::answer_presence() {
  answer_later({.body = loop().presence.members_json(events_.app, events_.channel)});
}

void HttpSession::start_events(const Recipient& to) {
  Recipient recipient = to;
  recipient.keep_alive = events_.chunked;
  recipient.version = 11;
  phase_ = Phase::application;
  if (is_sending()) {
    std::string id(to.request_id);
    later_origin_ = std::string(to.origin);
    later_id_ = std::move(id);
    return after_sending(&HttpSession::start_later_events);
  }
  std::string head = std::exchange(loop().output, {});  // answers to what came before
  const std::string before = head;
  std::string fields(kSseFields);
  if (events_.chunked) fields += "Transfer-Encoding: chunked\r\n";
  loop().replies.append_stream_head(head, {200, "text/event-stream", {}, fields}, recipient);
  const auto session = std::make_shared<SseSession>(loop(), release(), events_.chunked);
  if (const Status status = session->start(events_, head); !status.ok()) {
    recipient.keep_alive = false;
    loop().gateway.counters().add_refused(status.code());
    std::string refusal = before;
    loop().replies.append_problem(refusal, status, recipient);
    session->send_and_close(refusal);
  }
}

void HttpSession::open_socket() {
  auto parsed = parse_socket_request(*request_, target_.query);
  Status status = parsed.ok() ? Status() : parsed.status();
  if (status.ok()) status = check_origin(*request_, loop().options.cors_origins, loop().options.local_pages);
  if (status.ok()) status = check_handshake(*request_, parsed.value());
  if (!status.ok()) return answer_problem(status);
  SocketRequest socket = std::move(parsed).value();
  socket.identity.source_ip = loop().source.of(peer_, request_->value(Field::forwarded_for));
  remember_recipient();
  const bool asks = loop().options.asks_python || !socket.token.empty();
  Question question;
  if (asks) question = may_connect(socket);
  socket_request_ = std::make_unique<SocketRequest>(std::move(socket));
  phase_ = Phase::application;
  auto self = std::static_pointer_cast<HttpSession>(shared_from_this());
  const auto start = [self](const Verdict& verdict) {
    if (!self->is_open()) return;
    self->guard([&] {
      self->loop().output.clear();
      self->start_socket(verdict);
    });
  };
  if (asks) return loop().handoff.ask(std::move(question), start);
  // Not at once: what came behind the handshake is the socket's, and is kept only when this read is done with.
  boost::asio::post(loop().io, [start] { start({}); });
}

Question HttpSession::may_connect(const SocketRequest& socket) const {
  Question question;
  question.app = socket.identity.app;
  question.token = socket.token;
  question.api_key = socket.identity.api_key;
  question.params = socket.params;
  question.source_ip = socket.identity.source_ip;
  question.head = request_->copy_head();
  return question;
}

// Whether the socket may open, once Python has had its say; then the identity has its grant.
Status HttpSession::admit(Identity& identity, const Verdict& verdict) {
  if (loop().draining) return {core::Code::overloaded, "This worker is shutting down; connect again."};
  if (!verdict.status.ok()) return verdict.status;
  identity.grant = verdict.grant;
  if (identity.grant != nullptr && identity.grant->app() != identity.app) {
    return {core::Code::forbidden, "The token is for another app."};
  }
  // A key that is none is refused here, though public channels need none; but in development everybody may read.
  if (identity.grant == nullptr && !identity.api_key.empty()) {
    const Status status = loop().gateway.authorize(identity.app, {}, identity.api_key, core::kSubscribe);
    if (!status.ok()) return status;
  }
  auto connection = loop().gateway.hold(identity.app, core::Quota::connections);
  if (!connection.ok()) return connection.status();
  identity.connection = std::move(connection).value();
  return {};
}

void HttpSession::start_socket(const Verdict& verdict) {
  SocketRequest& socket = *socket_request_;
  Identity& identity = socket.identity;
  if (const Status status = admit(identity, verdict); !status.ok()) return refuse_later(status);
  if (is_sending()) return after_sending(&HttpSession::open_admitted_socket);
  open_admitted_socket();
}

void HttpSession::open_admitted_socket() {
  SocketRequest& socket = *socket_request_;
  Identity& identity = socket.identity;
  std::string head = std::exchange(loop().output, {});
  head += handshake_reply(socket, later_id_);
  const auto session = std::make_shared<WebSocketSession>(loop(), release(), std::move(identity));
  session->start(head, in_);
}

// What a reply needs of the request, whose bytes are gone when Python has decided.
void HttpSession::remember_recipient() {
  const Recipient now = recipient();
  later_id_ = now.request_id;
  later_origin_ = now.origin;
  later_trace_id_ = trace_id();
}

}  // namespace polyglot::server
