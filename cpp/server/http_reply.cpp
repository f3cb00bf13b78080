#include "server/http_reply.hpp"

#include <algorithm>
#include <boost/beast/http/status.hpp>
#include <ostream>  // Boost 1.74 forgets it

#include "server/http_text.hpp"

namespace polyglot::server {
namespace {

constexpr std::string_view kChallenge =
    "WWW-Authenticate: ApiKey realm=\"polyglot-gateway\", header=\"X-API-Key\", Bearer realm=\"polyglot-gateway\"\r\n";

void append_length(std::string& out, std::uint64_t number) {
  char digits[20];
  char* at = digits + sizeof(digits);
  do *--at = static_cast<char>('0' + number % 10);
  while ((number /= 10) != 0);
  out.append(at, digits + sizeof(digits));
}

}  // namespace

ReplyWriter::ReplyWriter(const std::vector<std::string>& cors_origins, core::Counters* counters)
    : counters_(counters),
      origins_(cors_origins),
      any_origin_(std::find(cors_origins.begin(), cors_origins.end(), "*") != cors_origins.end()) {}

void ReplyWriter::append_head(std::string& out, std::string_view status, const Recipient& recipient) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  if (now.tv_sec != date_of_) {
    date_of_ = now.tv_sec;
    std::tm parts{};
    gmtime_r(&date_of_, &parts);
    char text[96];  // IMF-fixdate of RFC 9110 §5.6.7; the program's locale is C
    date_.assign(text, std::strftime(text, sizeof(text),
                                     "Server: polyglot-gateway\r\nDate: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts));
  }
  out.append("HTTP/1.1 ").append(status).append("\r\n").append(date_);
  if (!recipient.keep_alive) {
    out.append("Connection: close\r\n");
  } else if (recipient.version == 10) {
    out.append("Connection: keep-alive\r\n");
  }
}

void ReplyWriter::append_fields(std::string& out, const Reply& reply, const Recipient& recipient) {
  if (counters_ != nullptr) counters_->add_response(reply.status);
  if (reply.status == 200) {
    append_head(out, "200 OK", recipient);
  } else {
    std::string status = std::to_string(reply.status) + ' ';
    const auto reason =
        boost::beast::http::obsolete_reason(boost::beast::http::int_to_status(static_cast<unsigned>(reply.status)));
    append_head(out, status.append(reason.data(), reason.size()), recipient);
  }
  if (!reply.content_type.empty()) out.append("Content-Type: ").append(reply.content_type).append("\r\n");
  out.append("X-Request-ID: ").append(recipient.request_id).append("\r\n").append(reply.fields);
  if (origins_.empty()) return;
  out.append("Vary: Origin\r\n");
  const bool known = any_origin_ || std::any_of(origins_.begin(), origins_.end(), [&](const std::string& origin) {
                       return equal_ignoring_case(origin, recipient.origin);
                     });
  if (recipient.origin.empty() || !known) return;
  out.append("Access-Control-Allow-Origin: ").append(any_origin_ ? "*" : recipient.origin);
  out.append("\r\nAccess-Control-Expose-Headers: X-Request-ID, Idempotency-Replayed, Retry-After\r\n");
}

void ReplyWriter::append(std::string& out, const Reply& reply, const Recipient& recipient) {
  append_fields(out, reply, recipient);
  out.append("Content-Length: ");
  append_length(out, reply.body.size());
  out.append("\r\n\r\n");
  if (!recipient.head) out.append(reply.body);
}

void ReplyWriter::append_stream_head(std::string& out, const Reply& reply, const Recipient& recipient) {
  append_fields(out, reply, recipient);
  out.append("\r\n");
}

void ReplyWriter::append_problem(std::string& out, const core::Status& status, const Recipient& recipient,
                                 std::string fields) {
  const core::CodeInfo& info = core::code_info(status.code());
  const std::string body = core::problem_json(status, recipient.request_id);
  const int seconds = status.retry_after();
  if (seconds != 0) fields.append("Retry-After: ").append(std::to_string(seconds)).append("\r\n");
  if (info.http_status == 401) fields.append(kChallenge);
  append(out, {info.http_status, "application/problem+json", body, fields}, recipient);
}

}  // namespace polyglot::server
