// HttpSession: events that cannot be acknowledged at once, and answers to requests that had to wait.
#include <utility>

#include "server/http_session.hpp"
#include "server/loop.hpp"

namespace polyglot::server {

using core::Status;

void HttpSession::append(std::string_view body) {
  auto prepared = loop().hot_routes.prepare(*request_, routed_, body, peer_);
  if (!prepared.ok()) return answer_problem(prepared.status());
  core::Submission& submission = *prepared->submission;
  if (submission.appends().empty()) {
    loop().gateway.count(submission);
    const std::string fields = loop().hot_routes.rate_limit_fields(routed_.app);
    return loop().replies.append(loop().output, {.body = submission.results(), .fields = fields}, recipient());
  }
  remember_recipient();
  if (may_repeat() && !repeated_) {
    // What the request is slices of is gone when it is finished.
    head_ = request_->head();
    repeated_ = true;
  }
  phase_ = Phase::application;
  auto self = std::static_pointer_cast<HttpSession>(shared_from_this());
  const Status status =
      loop().publishing.push(std::move(prepared).value(), [self](const Status& asked, core::Submission& kept) {
        // The refusal of a single event is counted where it is said.
        const bool is_kept = self->routed_.route != Route::publish || kept.outcome().ok();
        if (asked.ok() && is_kept) self->loop().gateway.count(kept);
        if (self->is_open()) self->guard([&] { self->answer_append(asked, kept); });
      });
  if (status.ok()) return;
  phase_ = Phase::body;
  answer_problem(status);
}

void HttpSession::answer_append(const Status& status, const core::Submission& submission) {
  if (!status.ok()) return refuse_later(status);
  std::string fields = loop().hot_routes.rate_limit_fields(routed_.app);
  if (routed_.route != Route::publish) return answer_later({.body = submission.results(), .fields = fields});
  if (!submission.outcome().ok()) return refuse_later(submission.outcome());
  const core::Append& append = submission.appends().front();
  std::string json;
  core::append_ack_json(json, append.ack());
  if (append.replayed) fields += "Idempotency-Replayed: true\r\n";
  answer_later({.status = append.spooled ? 202 : 200, .body = json, .fields = fields});
}

void HttpSession::answer_later(const Reply& reply) {
  if (!is_open()) return;
  loop().output.clear();
  if (loop().draining) keep_alive_ = false;
  loop().replies.append(loop().output, reply, {later_id_, later_origin_, false, keep_alive_, request_->version()});
  finish_request();
  take_kept();
  flush();
}

void HttpSession::refuse_later(const Status& status) {
  loop().output.clear();
  if (loop().draining) keep_alive_ = false;
  tell_refused(status, later_id_, later_trace_id_);
  loop().replies.append_problem(loop().output, status,
                                {later_id_, later_origin_, false, keep_alive_, request_->version()},
                                problem_fields(status));
  finish_request();
  take_kept();
  flush();
}

}  // namespace polyglot::server
