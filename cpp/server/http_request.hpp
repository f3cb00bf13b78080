// One HTTP/1.1 request: its head as slices of the bytes that came, and the body when it comes in chunks.
//
// The grammar is Beast's (RFC 9112); what Beast lets pass and we do not: a Content-Length that is repeated or a list, a
// transfer coding other than `chunked`, one in HTTP/1.0, folded fields (RFC 9112 §5.2), no Host or two in HTTP/1.1,
// and more or longer fields than the limits below.
//
// Thread safety: a value for one thread. Slices count from the request's first byte, so the bytes may move while more
// of them arrive; whoever keeps them calls at(), which needs to know where they are now.
#pragma once

#include <array>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/verb.hpp>
#include <boost/container/small_vector.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.hpp"

namespace polyglot::server {

inline constexpr std::size_t kMaxRequestLine = 4094;
inline constexpr std::size_t kMaxFields = 64;
inline constexpr std::size_t kMaxFieldSize = 8190;
inline constexpr std::size_t kMaxHead = 65536;

// payload_too_large, of a body.
core::Status body_too_large(std::size_t limit);

struct Slice {
  std::uint32_t begin = 0;
  std::uint32_t size = 0;
};

// A head of its own, apart from the bytes that it came in.
struct HttpHead {
  std::string bytes = {};
  Slice method = {};
  Slice target = {};
  int version = 11;
  std::vector<std::pair<Slice, Slice>> fields = {};

  std::string_view text(Slice slice) const { return std::string_view(bytes).substr(slice.begin, slice.size); }
};

// Fields that the server itself looks at.
enum class Field : std::uint8_t {
  host,
  content_type,
  content_encoding,
  content_length,
  transfer_encoding,
  expect,
  authorization,
  origin,
  upgrade,
  connection,
  api_key,
  idempotency_key,
  request_id,
  traceparent,
  forwarded_for,
  forwarded_proto,
  last_event_id,
  phoenix_token,
  websocket_key,
  websocket_version,
  websocket_protocol,
};
inline constexpr std::size_t kKnownFields = static_cast<std::size_t>(Field::websocket_protocol) + 1;

class HttpRequest : boost::beast::http::basic_parser<true> {
 public:
  using Verb = boost::beast::http::verb;
  enum class Progress : std::uint8_t { more, done, failed };

  HttpRequest();

  // `bytes` begins with the request's first byte. more: come again with more bytes, from the first one again, and a new
  // HttpRequest.
  Progress parse_head(std::string_view bytes);
  // Whether `bytes` begins with `head`, which this one was parsed of, but for the digits of its Content-Length; then
  // this is the request that they begin. A publisher sends the same head again and again. In a time that depends on the
  // lengths only: the head before may be another client's, of the same proxy. REQUIRES: no chunked body.
  bool repeats(std::string_view head, std::string_view bytes);
  // Where the request's bytes are now. REQUIRES: at least head_size() of them.
  void at(const char* base) { base_ = base; }
  std::size_t head_size() const { return head_size_; }
  // Why parsing failed.
  const core::Status& status() const { return status_; }

  Verb method() const { return method_; }
  std::string_view method_text() const { return text(method_text_); }
  std::string_view target() const { return text(target_); }
  int version() const { return version_; }  // 10 or 11
  bool keep_alive() const { return boost::beast::http::basic_parser<true>::keep_alive(); }
  bool upgrades() const { return boost::beast::http::basic_parser<true>::upgrade(); }
  bool expects_continue() const;

  bool has(Field field) const { return (present_ >> static_cast<unsigned>(field) & 1) != 0; }
  bool repeated(Field field) const { return (repeated_ >> static_cast<unsigned>(field) & 1) != 0; }
  // The first one's value; empty when there is none.
  std::string_view value(Field field) const { return text(known_[static_cast<std::size_t>(field)]); }
  std::string_view head() const { return {base_, head_size_}; }
  HttpHead copy_head() const;

  bool has_chunked_body() const { return boost::beast::http::basic_parser<true>::chunked(); }
  // Of a body that is not chunked.
  std::uint64_t content_length() const { return content_length_; }
  // Takes from the front of `bytes`, the bytes behind the head. failed with payload_too_large as soon as more than
  // `limit` bytes have come. The trailer is read and dropped.
  Progress parse_chunks(std::string_view& bytes, std::size_t limit);
  std::string& chunked_body() { return body_; }

 private:
  using Error = boost::beast::error_code;
  using Text = boost::beast::string_view;
  using Verbs = boost::beast::http::field;

  void on_request_impl(Verb method, Text method_text, Text target, int version, Error& error) override;
  void on_response_impl(int, Text, int, Error&) override {}
  void on_field_impl(Verbs name, Text name_text, Text value, Error& error) override;
  void on_header_impl(Error& error) override;
  void on_body_init_impl(const boost::optional<std::uint64_t>&, Error&) override {}
  std::size_t on_body_impl(Text body, Error&) override { return body.size(); }
  void on_chunk_header_impl(std::uint64_t, Text, Error&) override { chunks_begun_ = true; }
  std::size_t on_chunk_body_impl(std::uint64_t remain, Text body, Error& error) override;
  void on_finish_impl(Error&) override {}

  void fail(core::Code code, std::string message, Error& error);
  Progress failed(std::string_view bytes, const Error& error);
  std::string_view text(Slice slice) const { return {base_ + slice.begin, slice.size}; }
  Slice slice(Text text) const;

  const char* base_ = nullptr;
  std::size_t head_size_ = 0;
  core::Status status_;
  Verb method_ = Verb::unknown;
  Slice method_text_, target_;
  int version_ = 11;
  std::uint32_t present_ = 0;
  std::uint32_t repeated_ = 0;
  std::array<Slice, kKnownFields> known_{};
  boost::container::small_vector<std::pair<Slice, Slice>, 12> fields_;
  std::uint64_t content_length_ = 0;
  std::string body_;
  bool chunks_begun_ = false;
  std::size_t limit_ = 0;
};

}  // namespace polyglot::server
