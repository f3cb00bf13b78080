// HttpSession: what is refused here: answered, counted, and logged when the gateway is at fault.
#include "server/http_session.hpp"
#include "server/loop.hpp"
#include "server/trace_parent.hpp"

namespace polyglot::server {

using core::Status;

void HttpSession::answer_problem(const Status& status) {
  const Recipient to = recipient();
  tell_refused(status, to.request_id, phase_ == Phase::head ? std::string_view() : trace_id());
  loop().replies.append_problem(loop().output, status, to, problem_fields(status));
}

std::string HttpSession::problem_fields(const Status& status) const {
  if (status.code() != core::Code::rate_limited || !routed_.takes_events) return {};
  return loop().hot_routes.rate_limit_fields(routed_.app);
}

std::string_view HttpSession::trace_id() const {
  return trace_id_of(traceparent_of(*request_));
}

void HttpSession::tell_refused(const Status& status, std::string_view request_id, std::string_view trace) {
  loop().gateway.counters().add_refused(status.code());
  const core::CodeInfo& info = core::code_info(status.code());
  if (info.http_status < 500) return;
  loop().handoff.log({.event = "refused",
                      .reason = status.message(),
                      .code = std::string(info.name),
                      .request_id = std::string(request_id),
                      .trace_id = std::string(trace)});
}

void HttpSession::refuse(const Status& status) {
  keep_alive_ = false;
  answer_problem(status);
  ends_ = true;
}

void HttpSession::give_up_late(const Status& status) {
  loop().output.clear();
  refuse(status);
  flush();
}

}  // namespace polyglot::server
