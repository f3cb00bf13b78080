// Poller: waits for all connections of a worker at once, in an epoll set of its own.
//
// Asio waits for the set as for any descriptor (see epoll(7) for sets within sets). What Asio itself waits for it arms
// anew each time, at a system call each; a connection enters the set once, and is told of what changes
// (edge-triggered), so that one which asks again and again costs nothing more.
//
// Errors: what a connection throws goes on to who runs the loop, once the others of this look were told.
//
// Thread safety: the server's thread alone.
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <functional>

namespace polyglot::server {

class Connection;

class Poller {
 public:
  // `others_wait` says whether there is other work for the loop, which is to come first.
  // std::system_error when there are no descriptors left.
  Poller(boost::asio::io_context& io, std::function<bool()> others_wait);

  // Until remove() the connection is told when its descriptor, which does not block, comes to have bytes, or room for
  // some, or an end; first of what is so now. False when the kernel has no memory for it.
  bool add(int fd, Connection& connection);
  // To be called before the descriptor is closed: another process may have it too.
  void remove(int fd);

 private:
  void wait();
  // Tells so many of those that are ready; returns how many it told.
  int take(int most);

  boost::asio::posix::stream_descriptor set_;
  std::function<bool()> others_wait_;
};

}  // namespace polyglot::server
