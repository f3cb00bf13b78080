// HttpSession: HTTP/1.1 on one connection: one request after the other, each answered here or by the application.
//
// Requests that come together are answered together, in order and by one send. Nothing is read while a reply is still
// on its way, or while the application works, so a client cannot make the server keep more than one request and what
// came with it.
//
// Errors: a request that is malformed or comes too late gets a problem document and the end of the connection.
//
// Thread safety: the server's thread alone.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/api_key.hpp"
#include "server/connection.hpp"
#include "server/handoff.hpp"
#include "server/http_reply.hpp"
#include "server/http_request.hpp"
#include "server/longpoll_session.hpp"
#include "server/routes.hpp"
#include "server/socket_request.hpp"
#include "server/source_address.hpp"
#include "server/sse_session.hpp"

namespace polyglot::server {

// Unsent bytes above which a session stops to make more.
inline constexpr std::size_t kMuchUnsent = 262144;

class HttpSession final : public Connection {
 public:
  // `address` is empty on a Unix socket.
  HttpSession(Loop& loop, Socket socket, std::string_view address, std::uint16_t port);
  ~HttpSession() override;

  void start();
  // As start(), where the client has sent `bytes` already.
  void start_with(std::string bytes);
  void drain(std::int64_t at) override;

 private:
  enum class Phase : std::uint8_t { head, body, application, streaming };

  void look_at_clock(std::int64_t now) override;
  void on_readable() override;
  void on_sent() override;
  void on_closed() override;
  void end_of_input();

  // Takes requests from the front of `bytes` until there is no whole one left, or one has to be waited for.
  void take_requests(std::string_view& bytes);
  bool take_head(std::string_view& bytes);
  void begin_request();
  void count_request();
  void route();
  bool take_body(std::string_view& bytes);
  // What is there without a whole request stays in in_.
  void keep(std::string_view bytes);
  bool may_be_whole() const;

  // All that is to be said before the body is there: a refusal, or that it may come. False when it was refused.
  bool welcome_body();
  std::size_t body_limit() const;
  void answer(std::string_view body);
  // What a refusal says beside the status.
  std::string problem_fields(const core::Status& status) const;
  bool takes();
  bool may_be_hot();

  // http_session_refusal.cpp
  void answer_problem(const core::Status& status);
  // Counts it, and logs it when the gateway is at fault. `trace` may be empty.
  void tell_refused(const core::Status& status, std::string_view request_id, std::string_view trace);
  // Of the request that is under way.
  std::string_view trace_id() const;
  void refuse(const core::Status& status);
  void give_up_late(const core::Status& status);

  // http_session_application.cpp
  void hand_off(std::string_view body);
  void on_application_reply(ApplicationReply& part);
  void begin_application_reply(const ApplicationReply& part, bool whole);

  // http_session_append.cpp
  // The answer to a request that had to wait.
  void answer_later(const Reply& reply);
  void refuse_later(const core::Status& status);
  void append(std::string_view body);
  void answer_append(const core::Status& status, const core::Submission& submission);

  // http_session_subscriber.cpp: the connection goes on as something else.
  bool takes_events_request();
  Question question_of(Question::Kind kind) const;
  void ask_hook(core::Scope scope, void (HttpSession::*allowed)(), void (HttpSession::*undecided)());
  void ask_for_token(core::Scope scope, void (HttpSession::*allowed)());
  void wait_for_python();
  // Calls `then` once what is on its way to the client is sent. REQUIRES: is_sending().
  void after_sending(void (HttpSession::*then)()) { after_sending_ = then; }
  void open_events();
  void open_events_by_credential();
  void follow_events();
  void start_allowed_events();
  void start_later_events();
  bool is_presence_for_python() const;
  void open_presence();
  void open_presence_by_credential();
  void answer_presence();
  void start_events(const Recipient& to);
  void open_socket();
  void start_socket(const Verdict& verdict);
  void open_admitted_socket();
  Question may_connect(const SocketRequest& socket) const;
  core::Status admit(Identity& identity, const Verdict& verdict);
  void remember_recipient();

  // Whether the next request may begin with this one's head, and then be known by it.
  bool may_repeat() const;
  void finish_request();
  void flush();
  void take_kept();

  // http_session_longpoll.cpp
  void open_longpoll(std::string_view body);
  void open_longpoll_session(std::string_view query);
  std::string take_longpoll(LongPollSession& session, std::string_view body);
  void poll(LongPollSession& session);
  void refuse_longpoll(const core::Status& status);
  void look_for_end();
  void pass_on();

  Recipient recipient();

  core::ApiKey key_;  // of the request
  SourceAddress::Peer peer_;
  std::string address_;
  std::uint16_t port_;
  Phase phase_ = Phase::head;
  bool keep_alive_ = true;  // after this request
  bool ends_ = false;       // nothing more is answered
  bool paused_ = false;     // in_ may hold whole requests
  bool welcomed_ = false;   // 100 Continue was sent, or was not asked for
  bool chunked_reply_ = false;
  std::string in_;             // the request that is not whole, from its first byte, and what follows it
  std::size_t looked_at_ = 0;  // of in_, for the end of the head
  std::optional<HttpRequest> request_;
  HttpTarget target_;
  Routed routed_;
  std::string path_;  // that routed_ has slices of
  bool native_ = false;
  std::string head_;                               // of the request before; empty when the next can't have it too
  bool repeated_ = false;                          // it has
  SseRequest events_;                              // of a request for them
  std::unique_ptr<SocketRequest> socket_request_;  // while it is decided
  std::weak_ptr<LongPollSession> polled_;          // whose messages this connection waits for
  std::uint32_t pass_to_ = 0;                      // the worker that is to have this connection
  std::string passed_;                             // and the request that goes with it
  void (HttpSession::*after_sending_)() = nullptr;
  std::string later_id_;
  std::string later_origin_;
  std::string later_trace_id_;
  std::uint64_t application_ = 0;  // id of the request that the application has
};

}  // namespace polyglot::server
