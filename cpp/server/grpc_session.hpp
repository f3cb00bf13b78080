// GrpcSession: the client's side of an HTTP/2 connection that carries unary calls of gRPC. Bytes to answers, without
// I/O.
//
// Sources: "gRPC over HTTP2" (doc/PROTOCOL-HTTP2.md of grpc/grpc) for the calls; nghttp2 knows RFC 9113.
//
// Errors: a call whose connection ends before it has an answer ends with the status unavailable. Memory that is not to
// be had: std::bad_alloc.
//
// Thread safety: one thread at a time.
#pragma once

#include <nghttp2/nghttp2.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace polyglot::server {

inline constexpr std::size_t kMostGrpcBytes = std::size_t{64} << 20;  // of an answer
inline constexpr std::size_t kGrpcPrefix = 5;                         // bytes before a message

// Statuses that begin here; the service gives any.
inline constexpr int kGrpcUnknown = 2;
inline constexpr int kGrpcDeadlineExceeded = 4;
inline constexpr int kGrpcResourceExhausted = 8;
inline constexpr int kGrpcInternal = 13;
inline constexpr int kGrpcUnavailable = 14;

struct GrpcAnswer {
  int status = kGrpcUnavailable;
  bool unseen = false;    // the service has certainly not looked at the call
  std::string text = {};  // with the status 0 the message, else the details that the service gave, as they came
};

class GrpcSession {
 public:
  using Id = std::int32_t;
  struct Method {
    std::string path;
    std::string authority;
    std::string authorization;  // empty: none is sent
  };
  struct Ended {
    Id id;
    GrpcAnswer answer;
  };

  explicit GrpcSession(Method method);
  ~GrpcSession();
  GrpcSession(const GrpcSession&) = delete;
  GrpcSession& operator=(const GrpcSession&) = delete;

  // The service has said that it speaks HTTP/2, and takes calls.
  bool is_ready() const { return greeted_ && !is_closing(); }
  // It takes no more of them.
  bool is_closing() const;
  // Nothing more will come of the connection; then end() it.
  bool is_over() const;

  // Calls with `message`, before which there are kGrpcPrefix bytes for its prefix. The service is told the time.
  Id call(std::string message, std::chrono::milliseconds time);
  // The call ends, and is not among those that ended.
  void cancel(Id id);
  // Appends what is to be sent now.
  void pack(std::string& out);
  // Of the service. False: they are no HTTP/2.
  bool receive(std::string_view bytes);
  // The connection is no more.
  void end();
  // Since it was asked last.
  std::vector<Ended> take_ended();

 private:
  struct Call {
    std::string message;  // what was not sent yet begins at `sent`
    std::size_t sent = 0;
    bool begun = false;  // its head was packed
    bool too_long = false;
    std::optional<int> status;
    std::string details;
    std::string answer;
  };
  struct Closer {
    void operator()(nghttp2_session* session) const { nghttp2_session_del(session); }
  };
  struct Callbacks;

  void end_waiting();
  GrpcAnswer answer_of(Call& call, std::uint32_t error) const;

  const Method method_;
  std::unique_ptr<nghttp2_session, Closer> session_;
  std::unordered_map<Id, Call> calls_;
  std::vector<Ended> ended_;
  bool greeted_ = false;
  bool closing_ = false;
};

}  // namespace polyglot::server
