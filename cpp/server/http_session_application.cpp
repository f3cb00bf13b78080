// HttpSession: the requests that the application answers.
#include <array>
#include <charconv>

#include "server/http_session.hpp"
#include "server/loop.hpp"

namespace polyglot::server {
namespace {

bool has_body(int status) {
  return status >= 200 && status != 204 && status != 304;
}

}  // namespace

void HttpSession::hand_off(std::string_view body) {
  phase_ = Phase::application;
  const bool is_https = peer_.trusted && request_->value(Field::forwarded_proto) == "https";
  ApplicationRequest request{request_->copy_head(), std::string(body), address_, port_, is_https};
  auto self = std::static_pointer_cast<HttpSession>(shared_from_this());
  application_ = loop().handoff.give(std::move(request), [self = std::move(self)](ApplicationReply& part) {
    self->guard([&] { self->on_application_reply(part); });
  });
}

void HttpSession::begin_application_reply(const ApplicationReply& part, bool whole) {
  std::string& output = loop().output;
  const bool with_body = has_body(part.code) && request_->method() != HttpRequest::Verb::head;
  chunked_reply_ = !whole && !part.has_length && with_body && request_->version() == 11;
  if (part.closes || (!whole && !part.has_length && !chunked_reply_ && with_body)) keep_alive_ = false;
  if (loop().draining) keep_alive_ = false;
  Recipient recipient;
  recipient.keep_alive = keep_alive_;
  recipient.version = request_->version();
  loop().replies.append_head(output, part.status, recipient);
  output.append(part.fields);
  if (chunked_reply_) output.append("Transfer-Encoding: chunked\r\n");
  if (whole && !part.has_length && has_body(part.code)) {
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

}  // namespace polyglot::server
