// HttpSession: the requests that the application answers.
#include <array>
#include <boost/beast/core/string.hpp>
#include <charconv>
#include <ostream>  // Boost 1.74 forgets it

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

}  // namespace polyglot::server
