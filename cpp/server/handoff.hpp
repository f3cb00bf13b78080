// The way between the server's thread and Python: requests that the application answers, and questions that only Python
// can decide or do. A queue and a descriptor in one direction, functions called on the server's thread in the other.
//
// Thread safety: take, and the calls that say so, from any thread; all else from the server's thread. What is asked is
// remembered here until it is answered or the server ends, so an answer always finds whom it is for, or nobody.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "core/grant.hpp"
#include "core/status.hpp"
#include "server/http_request.hpp"

namespace polyglot::server {

// A request for the application. Its body is whole.
struct ApplicationRequest {
  HttpHead head;
  std::string body;
  std::string peer;  // address; empty on a Unix socket
  std::uint16_t peer_port = 0;
  bool is_https = false;  // as a trusted proxy says
};

// May this client connect, or join that channel; what does this token allow; or, what does the hook say of a request
// that asks to subscribe, or for the members?
struct Question {
  enum class Kind : std::uint8_t { connect, join, verify, subscribe, history };
  Kind kind = Kind::connect;
  std::string app;
  std::string channel;  // empty on connect
  std::string token;    // as it was sent; an API key or a token
  std::string api_key;  // of the header
  std::string params;   // JSON object, or empty
  std::string source_ip;
  HttpHead head;  // of the request; empty on join and verify
};

// Bring the history here up to what an engine elsewhere has of this channel, from after `since` on, and keep it so.
struct Follow {
  std::string app;
  std::string channel;
  std::optional<std::uint64_t> since;
  std::string epoch;  // that `since` belongs to; empty for the present one
};

// Nobody here reads this channel any more.
struct Unfollow {
  std::string app;
  std::string channel;
};

// The application can send more of this reply.
struct Room {};

// The client of this reply is gone.
struct Gone {};

// A line for the log. What is empty is not known.
struct LogLine {
  std::string event;
  std::string reason;
  std::string code = {};
  std::string request_id = {};
  std::string trace_id = {};
  std::uint64_t held_back = 0;  // lines like it that were not written since the last one
};

// To be told to the other workers, behind what was announced before.
struct Announcement {
  std::string message;
};

struct HandoffJob {
  std::uint64_t id;
  std::variant<ApplicationRequest, Question, Follow, Unfollow, Room, Gone, LogLine, Announcement> what;
};

struct Verdict {
  core::Status status;                       // ok: it may
  std::shared_ptr<const core::Grant> grant;  // nothing: what the API key may, or what held before
};

// The application's reply, or a part of it.
struct ApplicationReply {
  enum class Part : std::uint8_t { whole, begin, more, end, abort };

  // False for what is no status ("200 OK"), and for a field that RFC 9110 §5 does not allow: either could break out of
  // the head. Fields that are the server's own to set are left out.
  bool set_status(std::string_view text);
  bool add_field(std::string_view name, std::string_view value);

  Part part = Part::whole;
  int code = 0;
  std::string status = {};
  std::string fields = {};  // lines, each with its CRLF
  bool has_length = false;  // Content-Length is among them
  bool closes = false;      // the application wants the connection closed
  std::string body = {};
};

class Handoff {
 public:
  // Called for each part of a reply.
  using Reply = std::function<void(ApplicationReply&)>;
  using Decide = std::function<void(const Verdict&)>;

  explicit Handoff(boost::asio::io_context& io);
  ~Handoff();
  Handoff(const Handoff&) = delete;
  Handoff& operator=(const Handoff&) = delete;

  std::uint64_t give(ApplicationRequest request, Reply reply);
  void ask(std::variant<Question, Follow> what, Decide decide);
  void unfollow(Unfollow channel) { push({0, std::move(channel)}); }
  void tell_room(std::uint64_t id) { push({id, Room{}}); }
  // Of lines with the same event and code one a second is written; what was held back is said by the next one.
  void log(LogLine line);
  // To be called now and then: says what was held back when no other line like it came.
  void log_held_back();
  void announce(std::string message) { push({0, Announcement{std::move(message)}}); }
  // Nobody waits for this reply any more; what comes of it is dropped, and the application is told.
  void forget(std::uint64_t id) {
    if (replies_.erase(id) != 0) push({id, Gone{}});
  }

  // Any thread: readable when take() has something to give.
  int fd() const { return fd_; }
  // Any thread.
  std::vector<HandoffJob> take();
  // Any thread: the application's answer, given on the server's thread.
  void reply(std::uint64_t id, ApplicationReply part);
  void decide(std::uint64_t id, Verdict verdict);

 private:
  struct Held {
    std::int64_t until = 0;  // clock_ms
    LogLine last = {};
    std::uint64_t lines = 0;
  };
  void push(HandoffJob job);
  void write(Held& held);

  boost::asio::io_context& io_;
  int fd_;
  std::uint64_t last_id_ = 0;
  std::unordered_map<std::uint64_t, Reply> replies_;
  std::unordered_map<std::uint64_t, Decide> decisions_;
  std::unordered_map<std::string, Held> held_;  // by event and code, of which there are few
  std::mutex mutex_;
  std::vector<HandoffJob> jobs_;
};

}  // namespace polyglot::server
