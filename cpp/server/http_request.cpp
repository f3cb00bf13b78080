#include "server/http_request.hpp"

#include <algorithm>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/impl/basic_parser.ipp>

#include "core/sha256.hpp"
#include "server/http_text.hpp"

namespace polyglot::server {
namespace {

namespace http = boost::beast::http;
using core::Code;

constexpr std::size_t kNone = kKnownFields;

// Which of the known fields this is; kNone for any other.
std::size_t known_field(http::field name, boost::beast::string_view text) {
  const auto is = [text](const char* wanted) { return boost::beast::iequals(text, wanted); };
  switch (name) {
    case http::field::host:
      return static_cast<std::size_t>(Field::host);
    case http::field::content_type:
      return static_cast<std::size_t>(Field::content_type);
    case http::field::content_encoding:
      return static_cast<std::size_t>(Field::content_encoding);
    case http::field::content_length:
      return static_cast<std::size_t>(Field::content_length);
    case http::field::transfer_encoding:
      return static_cast<std::size_t>(Field::transfer_encoding);
    case http::field::expect:
      return static_cast<std::size_t>(Field::expect);
    case http::field::authorization:
      return static_cast<std::size_t>(Field::authorization);
    case http::field::origin:
      return static_cast<std::size_t>(Field::origin);
    case http::field::upgrade:
      return static_cast<std::size_t>(Field::upgrade);
    case http::field::connection:
      return static_cast<std::size_t>(Field::connection);
    case http::field::sec_websocket_key:
      return static_cast<std::size_t>(Field::websocket_key);
    case http::field::sec_websocket_version:
      return static_cast<std::size_t>(Field::websocket_version);
    case http::field::sec_websocket_protocol:
      return static_cast<std::size_t>(Field::websocket_protocol);
    default:
      break;
  }
  switch (text.size()) {
    case 9:
      return is("x-api-key") ? static_cast<std::size_t>(Field::api_key) : kNone;
    case 11:
      return is("traceparent") ? static_cast<std::size_t>(Field::traceparent) : kNone;
    case 12:
      return is("x-request-id") ? static_cast<std::size_t>(Field::request_id) : kNone;
    case 13:
      return is("last-event-id") ? static_cast<std::size_t>(Field::last_event_id) : kNone;
    case 17:
      return is("x-forwarded-proto") ? static_cast<std::size_t>(Field::forwarded_proto) : kNone;
    case 19:
      return is("x-phoenix-authtoken") ? static_cast<std::size_t>(Field::phoenix_token) : kNone;
    case 15:
      if (is("idempotency-key")) return static_cast<std::size_t>(Field::idempotency_key);
      return is("x-forwarded-for") ? static_cast<std::size_t>(Field::forwarded_for) : kNone;
    default:
      return kNone;
  }
}

// Whether the request line has not ended by where it must have, CRLF and all.
bool line_is_too_long(std::string_view bytes) {
  constexpr std::size_t kMost = kMaxRequestLine + 2;
  return bytes.size() >= kMost && bytes.substr(0, kMost).find('\n') == std::string_view::npos;
}

bool only_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// REQUIRES: at most 19 digits.
std::uint64_t number_of(std::string_view digits) {
  std::uint64_t number = 0;
  for (const char c : digits) number = number * 10 + static_cast<std::uint64_t>(c - '0');
  return number;
}

}  // namespace

core::Status body_too_large(std::size_t limit) {
  return {Code::payload_too_large, "The body is larger than the " + std::to_string(limit) + " bytes allowed here."};
}

HttpRequest::HttpRequest() {
  header_limit(kMaxHead);
  body_limit(~std::uint64_t{0});  // ours is looked at elsewhere
}

HttpHead HttpRequest::copy_head() const {
  return {std::string(base_, head_size_), method_text_, target_, version_, {fields_.begin(), fields_.end()}};
}

bool HttpRequest::expects_continue() const {
  return version_ == 11 && has(Field::expect) && equal_ignoring_case(value(Field::expect), "100-continue");
}

Slice HttpRequest::slice(Text text) const {
  return {static_cast<std::uint32_t>(text.data() - base_), static_cast<std::uint32_t>(text.size())};
}

void HttpRequest::fail(Code code, std::string message, Error& error) {
  status_ = core::Status(code, std::move(message));
  error = http::make_error_code(http::error::bad_value);
}

HttpRequest::Progress HttpRequest::parse_head(std::string_view bytes) {
  base_ = bytes.data();
  Error error;
  const std::size_t taken = put({bytes.data(), bytes.size()}, error);
  if (error == http::error::need_more && !is_header_done()) {
    if (line_is_too_long(bytes)) return failed(bytes, http::make_error_code(http::error::bad_target));
    return bytes.size() < kMaxHead ? Progress::more : failed(bytes, http::make_error_code(http::error::header_limit));
  }
  // Beast's limit leaves out the request line, and would let pass more in one piece than in many.
  if (!error && taken > kMaxHead) error = http::make_error_code(http::error::header_limit);
  if (error) return failed(bytes, error);
  head_size_ = taken;
  return Progress::done;
}

bool HttpRequest::repeats(std::string_view head, std::string_view bytes) {
  if (bytes.size() < head.size()) return false;
  const Slice digits = known_[static_cast<std::size_t>(Field::content_length)];
  const std::size_t end = digits.begin + digits.size;
  const bool begins = core::equal_in_constant_time(bytes.substr(0, digits.begin), head.substr(0, digits.begin));
  const bool ends = core::equal_in_constant_time(bytes.substr(end, head.size() - end), head.substr(end));
  const std::string_view length = bytes.substr(digits.begin, digits.size);
  if (!(begins & ends) || (!length.empty() && !only_digits(length))) return false;
  base_ = bytes.data();
  content_length_ = number_of(length);
  return true;
}

HttpRequest::Progress HttpRequest::failed(std::string_view bytes, const Error& error) {
  if (!status_.ok()) return Progress::failed;
  if (head_size_ == 0 && line_is_too_long(bytes)) {
    status_ = core::Status(Code::uri_too_long,
                           "The request line is longer than " + std::to_string(kMaxRequestLine) + " bytes.");
  } else if (error == http::error::header_limit) {
    status_ =
        core::Status(Code::headers_too_large, "The header is larger than " + std::to_string(kMaxHead) + " bytes.");
  } else {
    status_ = core::Status(Code::invalid_request, "The request is not well-formed HTTP/1.1: " + error.message() + ".");
  }
  return Progress::failed;
}

void HttpRequest::on_request_impl(Verb method, Text method_text, Text target, int version, Error& error) {
  method_ = method;
  method_text_ = slice(method_text);
  target_ = slice(target);
  version_ = version;
  if (std::any_of(target.begin(), target.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; })) {
    return fail(Code::invalid_request, "The target has characters outside ASCII; send them percent-encoded.", error);
  }
  if (method_text.size() + target.size() + 10 > kMaxRequestLine) {
    fail(Code::uri_too_long, "The request line is longer than " + std::to_string(kMaxRequestLine) + " bytes.", error);
  }
}

void HttpRequest::on_field_impl(Verbs name, Text name_text, Text value, Error& error) {
  if (head_size_ != 0) return;  // a trailer
  if (fields_.size() == kMaxFields) {
    return fail(Code::headers_too_large, "There are more than " + std::to_string(kMaxFields) + " header fields.",
                error);
  }
  if (name_text.size() + value.size() > kMaxFieldSize) {
    return fail(Code::headers_too_large,
                "The header field " + std::string(name_text.substr(0, 64)) + " is longer than " +
                    std::to_string(kMaxFieldSize) + " bytes.",
                error);
  }
  // A folded value was joined elsewhere, or begins on another line than its name.
  const char* name_end = name_text.data() + name_text.size();
  if (value.data() < name_end || value.data() - name_end > static_cast<std::ptrdiff_t>(kMaxFieldSize) ||
      std::find(name_end, value.data(), '\r') != value.data()) {
    return fail(Code::invalid_request, "A header field is folded; send it on one line.", error);
  }
  fields_.emplace_back(slice(name_text), value.empty() ? Slice{} : slice(value));
  const std::size_t known = known_field(name, name_text);
  if (known == kNone) return;
  const std::uint32_t bit = 1U << known;
  if ((present_ & bit) != 0) {
    repeated_ |= bit;
    if (known == static_cast<std::size_t>(Field::content_length) || known == static_cast<std::size_t>(Field::host)) {
      fail(Code::invalid_request, "The header field " + std::string(name_text) + " is sent twice.", error);
    }
    return;
  }
  present_ |= bit;
  known_[known] = fields_.back().second;
  if (known == static_cast<std::size_t>(Field::content_length)) {
    const std::string_view digits{value.data(), value.size()};
    if (!only_digits(digits) || digits.size() > 19) {
      return fail(Code::invalid_request, "Content-Length is not a number of bytes.", error);
    }
    content_length_ = number_of(digits);
  } else if (known == static_cast<std::size_t>(Field::transfer_encoding)) {
    if (!boost::beast::iequals(value, "chunked") || version_ == 10) {
      fail(Code::invalid_request, "The only transfer coding that is understood is chunked, in HTTP/1.1.", error);
    }
  }
}

void HttpRequest::on_header_impl(Error& error) {
  if (version_ == 11 && !has(Field::host)) {
    fail(Code::invalid_request, "A request of HTTP/1.1 needs the header field Host.", error);
  } else if (has(Field::content_length) && has(Field::transfer_encoding)) {
    fail(Code::invalid_request, "A request has either Content-Length or Transfer-Encoding, not both.", error);
  } else if (repeated(Field::transfer_encoding)) {
    fail(Code::invalid_request, "The header field Transfer-Encoding is sent twice.", error);
  }
}

std::size_t HttpRequest::on_chunk_body_impl(std::uint64_t, Text body, Error& error) {
  if (body_.size() + body.size() > limit_) {
    status_ = body_too_large(limit_);
    error = http::make_error_code(http::error::body_limit);
    return 0;
  }
  body_.append(body.data(), body.size());
  return body.size();
}

HttpRequest::Progress HttpRequest::parse_chunks(std::string_view& bytes, std::size_t limit) {
  limit_ = limit;
  while (!is_done()) {
    // Beast asserts that a last chunk which is also the first has all of its 5 bytes when it is looked at again.
    if (!chunks_begun_ && bytes.size() < 5 && bytes.starts_with('0')) return Progress::more;
    Error error;
    const std::size_t taken = put({bytes.data(), bytes.size()}, error);
    bytes.remove_prefix(taken);
    if (error == http::error::need_more || (!error && taken == 0 && !is_done())) {
      if (bytes.size() >= kMaxHead) return failed(bytes, http::make_error_code(http::error::header_limit));
      return Progress::more;
    }
    if (error) return failed(bytes, error);
    if (bytes.empty() && !is_done()) return Progress::more;
  }
  return Progress::done;
}

}  // namespace polyglot::server
