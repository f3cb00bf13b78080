// Status and Result: how the core says that something went wrong.
//
// Nothing in cpp/core throws for an expected outcome. A function that can be refused returns a Status, or a Result<T>
// which is a T or a Status. Each Code is part of the public interface: its name is the `code` of the HTTP error, the
// attribute of the Python exception and a label of the metrics, and never changes its meaning.
//
// Thread safety: values; the table of codes is constant.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace polyglot::core {

enum class Code : std::uint8_t {
  ok,
  // The request is wrong.
  invalid_json,
  invalid_event,
  invalid_app,
  invalid_channel,
  invalid_parameter,
  invalid_request,
  unauthorized,
  token_expired,
  forbidden,
  not_found,
  method_not_allowed,
  request_timeout,
  payload_too_large,
  uri_too_long,
  unsupported_media_type,
  idempotency_mismatch,
  rate_limited,
  headers_too_large,
  // The gateway cannot, at the moment.
  overloaded,
  engine_unavailable,
  processor_unavailable,
  internal_error,
  // The processor refused the event. It stands here, as a code's place is that of its counter in files that exist.
  event_rejected,
  // The data folder cannot be used; the gateway does not start.
  storage_busy,
  storage_damaged,
  storage_full,
  storage_unusable,
  storage_version,
};
inline constexpr int kCodeCount = static_cast<int>(Code::storage_version) + 1;

// What the outside world sees of a code.
struct CodeInfo {
  std::string_view name;   // "invalid_json"
  int http_status;         // 400; 500 for the storage codes, which never reach HTTP
  std::string_view title;  // "Invalid JSON"
  std::string_view mend;   // how to mend it, one sentence for the user
  int retry_after;         // seconds for Retry-After; 0: do not send the header
};

// REQUIRES: code is one of the enumerators.
const CodeInfo& code_info(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;  // ok
  Status(Code code, std::string message, std::int64_t position = -1)
      : code_(code), position_(position), message_(std::move(message)) {}

  bool ok() const { return code_ == Code::ok; }
  Code code() const { return code_; }
  // One plain sentence that says what is wrong and where; empty when ok.
  const std::string& message() const { return message_; }
  // Byte in the request body, from 0, at which the trouble was seen; -1 when it has no place.
  std::int64_t position() const { return position_; }
  // Seconds after which to try again; 0 where that is worth nothing.
  int retry_after() const { return retry_after_ != 0 ? retry_after_ : code_info(code_).retry_after; }
  // Instead of what is usual for the code.
  Status& retry_after(int seconds) {
    retry_after_ = seconds;
    return *this;
  }

 private:
  Code code_ = Code::ok;
  int retry_after_ = 0;
  std::int64_t position_ = -1;
  std::string message_;
};

// A T, or the Status that says why there is none. Never holds an ok Status.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : held_(std::in_place_index<0>, std::move(value)) {}         // NOLINT(google-explicit-constructor)
  Result(Status status) : held_(std::in_place_index<1>, std::move(status)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return held_.index() == 0; }
  // REQUIRES: ok().
  T& value() & { return std::get<0>(held_); }
  const T& value() const& { return std::get<0>(held_); }
  T&& value() && { return std::get<0>(std::move(held_)); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  // REQUIRES: !ok().
  const Status& status() const { return std::get<1>(held_); }

 private:
  std::variant<T, Status> held_;
};

// The error body of RFC 9457 (application/problem+json) with the members `code` and `error`; `position` is added
// when the status has one. `request_id` is left out when empty.
std::string problem_json(const Status& status, std::string_view request_id = {});

}  // namespace polyglot::core
