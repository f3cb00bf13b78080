#include "core/status.hpp"

#include <array>
#include <cstddef>

#include "core/json.hpp"

namespace polyglot::core {
namespace {

constexpr std::array<CodeInfo, kCodeCount> kCodes = {{
    {"ok", 200, "OK", "Nothing needs to be done.", 0},
    {"invalid_json", 400, "Invalid JSON",
     "Send a body that is strict JSON (RFC 8259) in UTF-8 without a byte order mark; `position` is the byte to look "
     "at.",
     0},
    {"invalid_event", 400, "Invalid event",
     "Send what the route asks for: an event is an object with the members \"type\", a string, and \"data\", any JSON.",
     0},
    {"invalid_app", 400, "Invalid app id", "Use 1 to 64 of the characters A-Z a-z 0-9 _ - for an app id.", 0},
    {"invalid_channel", 400, "Invalid channel name",
     "Use 1 to 200 of the characters A-Z a-z 0-9 _ - = @ , . ; : ~ / for a channel name.", 0},
    {"invalid_parameter", 400, "Invalid parameter", "Correct the parameter that `error` names.", 0},
    {"invalid_request", 400, "Invalid request", "Send a request that is well-formed HTTP/1.1 (RFC 9112).", 0},
    {"unauthorized", 401, "Unauthorized",
     "Send a key of this app in the header X-API-Key, or a token for it in Authorization: Bearer.", 0},
    {"token_expired", 401, "Token expired", "Get a new token from whoever issued this one, and send it again.", 0},
    {"forbidden", 403, "Forbidden", "Use a key or a token that has the scope which `error` names.", 0},
    {"not_found", 404, "Not found", "Check the path; /openapi.json lists every route.", 0},
    {"method_not_allowed", 405, "Method not allowed", "Use a method that the header Allow lists.", 0},
    {"request_timeout", 408, "Request timeout", "Send the whole request without long pauses, on a new connection.", 0},
    {"payload_too_large", 413, "Payload too large",
     "Send a smaller body, or raise `max_event_bytes` in the rule of the channel.", 0},
    {"uri_too_long", 414, "URI too long", "Send a shorter URL; a token can go in the header Authorization.", 0},
    {"unsupported_media_type", 415, "Unsupported media type",
     "Send the body as application/json, or a batch also as application/x-ndjson.", 0},
    {"idempotency_mismatch", 422, "Idempotency key used for another request",
     "Use a new Idempotency-Key for each new request, and the same one only to repeat a request unchanged.", 0},
    {"rate_limited", 429, "Too many requests", "Wait as long as the header Retry-After says, then send it again.", 1},
    {"headers_too_large", 431, "Headers too large", "Send fewer or shorter headers.", 0},
    {"overloaded", 503, "Overloaded", "Wait as long as the header Retry-After says, then send it again.", 1},
    {"engine_unavailable", 503, "Engine unavailable",
     "Wait as long as the header Retry-After says, then send it again; /ready says what is missing.", 1},
    {"processor_unavailable", 503, "Processor unavailable",
     "Wait as long as the header Retry-After says, then send it again; /ready says what is missing.", 1},
    {"internal_error", 500, "Internal error",
     "This is a fault of the gateway: report it with the request id; its log has the details.", 0},
    {"event_rejected", 422, "Event rejected", "Send an event that the processor accepts; `error` says what it refused.",
     0},
    {"storage_busy", 500, "Data folder in use", "Stop the process that uses the data folder, or use another folder.",
     0},
    {"storage_damaged", 500, "Data file damaged",
     "Move the damaged file away, or restore it from a copy, then start again.", 0},
    {"storage_full", 500, "No space for the data file", "Free space on the disk, or ask for a smaller history.", 0},
    {"storage_unusable", 500, "Data folder unusable",
     "Give a folder that exists, on a local disk, in which the gateway may write.", 0},
    {"storage_version", 500, "Data file of another version in use",
     "Stop the gateway of the other version that uses the folder, or use another folder.", 0},
}};

// A message may quote what a client sent; what is not UTF-8 in it becomes U+FFFD.
void append_message(std::string& out, std::string_view message) {
  std::string mended;
  for (Status checked = check_utf8(message); !checked.ok(); checked = check_utf8(message)) {
    const auto good = static_cast<std::size_t>(checked.position());
    mended.append(message.substr(0, good)).append("\xEF\xBF\xBD");
    message.remove_prefix(good + 1);
  }
  append_json_string(out, mended.append(message));
}

}  // namespace

const CodeInfo& code_info(Code code) {
  return kCodes[static_cast<std::size_t>(code)];
}

std::string problem_json(const Status& status, std::string_view request_id) {
  const CodeInfo& info = code_info(status.code());
  std::string out;
  out.append(R"({"type":"urn:polyglot-gateway:)").append(info.name);
  out.append(R"(","title":)");
  append_json_string(out, info.title);
  out.append(R"(,"status":)").append(std::to_string(info.http_status));
  out.append(R"(,"detail":)");
  append_json_string(out, info.mend);
  out.append(R"(,"code":")").append(info.name);
  out.append(R"(","error":)");
  append_message(out, status.message());
  if (status.position() >= 0) {
    out.append(R"(,"position":)").append(std::to_string(status.position()));
  }
  if (!request_id.empty()) {
    out.append(R"(,"request_id":)");
    append_message(out, request_id);
  }
  return out.append("}");
}

}  // namespace polyglot::core
