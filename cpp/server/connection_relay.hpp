// ConnectionRelay: gives a client's connection to another worker of the host, with what it has sent so far.
//
// Each worker has a socket by name in DATA_DIR/wake, which takes descriptors (unix(7), SCM_RIGHTS): the connection, and
// a file in memory with the bytes.
//
// Thread safety: the server's thread alone.
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <string>
#include <string_view>

namespace polyglot::server {

struct Loop;

class ConnectionRelay {
 public:
  // std::system_error when the socket cannot be made.
  explicit ConnectionRelay(Loop& loop);
  ~ConnectionRelay();
  ConnectionRelay(const ConnectionRelay&) = delete;
  ConnectionRelay& operator=(const ConnectionRelay&) = delete;

  // False when there is no such worker, or it is too busy; the connection is then as before. Else it is the other
  // worker's, and the caller lets go of its own descriptor.
  bool pass(std::uint32_t worker, int connection, std::string_view bytes);

 private:
  void wait();
  void take();

  Loop& loop_;
  int folder_;  // of the sockets; names that begin there are short, whatever DATA_DIR is
  std::string name_;
  boost::asio::posix::stream_descriptor socket_;
};

}  // namespace polyglot::server
