// HTTP replies as bytes: status line, the fields that every reply has, and the body.
//
// Thread safety: of an object, one thread at a time.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "core/counters.hpp"
#include "core/status.hpp"

namespace polyglot::server {

struct Reply {
  int status = 200;
  std::string_view content_type = "application/json";
  std::string_view body = {};
  std::string_view fields = {};  // further header lines, each with its CRLF
};

// Whom a reply goes to.
struct Recipient {
  std::string_view request_id = {};
  std::string_view origin = {};  // the request's field Origin
  bool head = false;             // HEAD: the body is left out
  bool keep_alive = true;
  int version = 11;  // of the request: 10 or 11
};

class ReplyWriter {
 public:
  // Origins whose pages may read replies; "*" among them allows any, none: no CORS fields at all. `counters`: where
  // replies are counted by their status, those apart that begin with append_head.
  explicit ReplyWriter(const std::vector<std::string>& cors_origins, core::Counters* counters = nullptr);

  void append(std::string& out, const Reply& reply, const Recipient& recipient);
  // The status as a problem document (RFC 9457); `fields` as in Reply.
  void append_problem(std::string& out, const core::Status& status, const Recipient& recipient,
                      std::string fields = {});
  // Status line, Date, and Connection where it is needed. `status`: code and reason, "200 OK".
  void append_head(std::string& out, std::string_view status, const Recipient& recipient);
  // The head of a reply without end, up to and with its empty line.
  void append_stream_head(std::string& out, const Reply& reply, const Recipient& recipient);

 private:
  void append_fields(std::string& out, const Reply& reply, const Recipient& recipient);

  core::Counters* counters_;
  std::vector<std::string> origins_;
  bool any_origin_ = false;
  std::time_t date_of_ = 0;
  std::string date_;  // with the line Server before it
};

}  // namespace polyglot::server
