// Listener: takes connections from a listening socket that other processes may share.
//
// When there are no descriptors left, or as many connections as are allowed, it looks again a little later: those that
// wait stay in the socket's queue.
//
// Thread safety: the server's thread alone.
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <string>

#include "server/loop.hpp"

namespace polyglot::server {

// Serves the connection, whose client has sent `bytes` already, on this thread; takes the descriptor over.
void adopt_connection(Loop& loop, int fd, std::string bytes);

class Listener {
 public:
  // Takes the descriptor over. std::system_error when it cannot be waited for.
  Listener(Loop& loop, int fd);

  void start();
  void stop();
  // Takes those that wait, and stops: a client that got a connection is answered.
  void finish();

 private:
  enum class Outcome { taken, none_waits, no_room };

  void wait();
  void take();
  Outcome take_one();
  void rest();

  Loop& loop_;
  boost::asio::posix::stream_descriptor socket_;
  boost::asio::steady_timer timer_;
};

}  // namespace polyglot::server
