// SubscriberConnection: a connection that gets the frames of channels, straight from their logs.
//
// All that is pending, of all its channels, leaves in one system call. When the socket takes only part of it, the rest
// of the frame that was cut is copied, and nothing else.
//
// Thread safety: the server's thread alone.
#pragma once

#include "server/connection.hpp"
#include "server/subscription.hpp"

namespace polyglot::server {

class SubscriberConnection : public Connection, public Subscriber {
 public:
  using Connection::Connection;

  void serve() override;
  bool is_subscriber() const override { return true; }

 protected:
  void on_sent() override;
  // When frames last went out.
  std::int64_t served_at() const { return served_at_; }

 private:
  std::int64_t served_at_ = 0;
};

}  // namespace polyglot::server
