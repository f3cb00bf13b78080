// LongPollSession: a Phoenix socket whose messages are fetched by requests, for clients behind something that lets no
// WebSocket through. The protocol is that of the phoenix client's LongPoll transport.
//
// A session lives in the worker that opened it and has a token that names that worker: a request that comes to another
// one is passed on, connection and all (connection_relay.hpp). It ends when nobody fetches for a while, or what waits
// becomes too much.
//
// Thread safety: the server's thread alone.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "server/phoenix_socket.hpp"
#include "server/subscription.hpp"

namespace polyglot::server {

inline constexpr int kNoSession = 410;                 // the client's word for: a session was opened, or has to be
inline constexpr std::int64_t kPollTime = 10'000;      // a request waits so long for a message, in milliseconds
inline constexpr std::int64_t kPollIdleTime = 30'000;  // a session without a request ends

class LongPollSession final : public Subscriber,
                              public PhoenixTransport,
                              public std::enable_shared_from_this<LongPollSession> {
 public:
  // Called once, with the JSON to answer a request with.
  using Answer = std::function<void(std::string)>;

  LongPollSession(Loop& loop, Identity identity, std::string token);

  const std::string& token() const { return token_; }
  // Bytes that wait for the client's next request.
  std::size_t waiting_bytes() const { return messages_.size(); }
  // Answers as soon as there are messages, or when the time is over. A request that waits already is answered first.
  void poll(Answer answer);
  // Whoever waited is gone; its messages wait for the next one.
  void forget_poll();
  // Takes the messages of a request, one a line; the JSON to answer with.
  std::string take(std::string_view body);
  // True when the session is over.
  bool look_at_clock(std::int64_t now);
  // Answers who waits; the session is of no use any more.
  void end();

  void serve() override;
  void too_slow(Subscription&) override { over_ = true; }
  void went_live(Subscription& subscription) override { phoenix_.on_live(subscription); }

 private:
  void send_message(std::string_view message) override;
  void flush_messages() override;
  Subscriber& subscriber() override { return *this; }
  std::weak_ptr<void> life() override { return shared_from_this(); }
  void take_frames(std::string_view frames);

  Loop& loop_;
  std::string token_;
  PhoenixSocket phoenix_;
  std::string messages_;  // JSON strings, with commas between them
  Answer waiting_;
  std::int64_t deadline_;
  bool over_ = false;
};

// The sessions of this worker, by token.
class LongPollSessions {
 public:
  explicit LongPollSessions(std::uint32_t worker) : worker_(worker) {}

  std::shared_ptr<LongPollSession> open(Loop& loop, Identity identity);
  // Null when there is none, or no longer.
  std::shared_ptr<LongPollSession> find(const std::string& token) const;
  // Whether the text is a token of a session, and of which worker.
  static bool parse_token(std::string_view token, std::uint32_t& worker);
  void look_at_clock(std::int64_t now);
  void end_all();
  std::size_t size() const { return sessions_.size(); }
  // Of all of them.
  std::size_t waiting_bytes() const;

 private:
  std::uint32_t worker_;
  std::unordered_map<std::string, std::shared_ptr<LongPollSession>> sessions_;
};

// {"status":…,"token":…,"messages":[…]}; `token` empty is null.
std::string longpoll_json(int status, std::string_view token, std::string_view messages = {});

}  // namespace polyglot::server
