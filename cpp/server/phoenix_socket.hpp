// PhoenixSocket: what one client of Phoenix Channels has joined and what it says, whatever carries its messages.
//
// A topic is a channel. Joins, pushes and tokens are answered by a `phx_reply` each; a refusal's response is
// {"code","error"}, with the codes of REST. Who may join is decided by the socket's identity or, where a token comes
// with the join or a hook wants to be asked, by Python; then checked here.
//
// Thread safety: the server's thread alone.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "server/handoff.hpp"
#include "server/identity.hpp"
#include "server/phoenix.hpp"
#include "server/subscription.hpp"

namespace polyglot::server {

struct Loop;

// Channels that one socket may have joined at a time.
inline constexpr std::size_t kMaxJoined = 10'000;

// What carries the messages of a socket.
class PhoenixTransport {
 public:
  virtual ~PhoenixTransport() = default;
  // One message, after all that were given before.
  virtual void send_message(std::string_view message) = 0;
  // What was given is to go out; called after messages that no message of the client caused.
  virtual void flush_messages() = 0;
  virtual Subscriber& subscriber() = 0;
  // Expires with the transport.
  virtual std::weak_ptr<void> life() = 0;
};

class PhoenixSocket {
 public:
  PhoenixSocket(Loop& loop, PhoenixTransport& transport, Identity identity);
  ~PhoenixSocket();

  void on_message(const PhoenixMessage& message);
  // The subscription has reached what is new; called once for each join.
  void on_live(const Subscription& subscription);
  // Ends the joins that are no longer allowed: their token or key is over, or what is allowed was changed. `now` in
  // seconds since 1970.
  void look_at_clock(std::int64_t now);
  // Leaves every channel without a word.
  void leave_all();

 private:
  struct Joined {
    std::string join_ref;                        // as sent, with quotes
    std::unique_ptr<Subscription> subscription;  // null while it is decided
    core::Hold hold;
    std::shared_ptr<const core::Grant> grant;  // in place of the identity's
    std::string presence_key;                  // empty: not a member
    std::string presence_ref;
  };
  using Channels = std::unordered_map<std::string, Joined>;

  void join(const PhoenixMessage& message);
  // `payload`: of the join.
  void finish_join(const std::string& channel, std::string_view ref, std::string_view payload, const Verdict& verdict);
  void complete_join(const std::string& channel, std::string_view ref, std::string_view payload,
                     const core::Status& allowed);
  core::Status subscribe(const std::string& channel, Joined& joined, const JoinParameters& parameters,
                         std::string& response);
  void enter(const std::string& channel, Joined& joined, const JoinParameters& parameters);
  void publish(const PhoenixMessage& message, const Joined& joined);
  void append(const PhoenixMessage& message, const core::Sender& sender);
  void take_token(const PhoenixMessage& message);
  void leave(Channels::iterator place);

  void reply(const PhoenixMessage& message, bool ok, std::string_view response);
  void refuse(const PhoenixMessage& message, const core::Status& status);
  void refuse(std::string_view join_ref, std::string_view ref, std::string_view topic_json, const core::Status& status);
  void push(std::string_view join_ref, std::string_view channel, std::string_view event, std::string_view payload);
  // The join that has this ref still waits for its answer.
  bool is_joining(const std::string& channel, std::string_view join_ref) const;
  // `act`, if the socket lives by then; with an argument, for an answer that comes later.
  template <typename Argument>
  std::function<void(Argument)> later(std::function<void(Argument)> act);
  void ask(Question::Kind kind, std::string_view channel, std::string_view token, std::string_view params,
           Handoff::Decide decide);
  void note_expiry(const core::Grant* grant);

  Loop& loop_;
  PhoenixTransport& transport_;
  Identity identity_;
  Channels joined_;
  std::int64_t expires_at_;       // the soonest of its tokens; INT64_MAX without one
  std::uint64_t access_version_;  // under which its joins are allowed
};

}  // namespace polyglot::server
