// A TCP connection of the load tool: non-blocking, with as little memory of its own as possible, so that many thousands
// of them are cheap. What was read lies in a buffer that all connections share; only an unfinished rest is kept.
//
// Errors: std::runtime_error when the server cannot be reached; after that a lost connection is `closed`.
// Thread safety: a value for one thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace polyglot::load {

// Where every connection reads into.
using Buffer = std::vector<char>;
inline constexpr std::size_t kBufferBytes = std::size_t{1} << 20;

class Connection {
 public:
  // Connects, and waits for it.
  Connection(const std::string& host, const std::string& port);
  Connection(Connection&& other) noexcept;
  Connection& operator=(Connection&&) = delete;
  ~Connection();

  int descriptor() const { return descriptor_; }
  bool closed() const { return closed_; }

  // Reads once what is there. Returns the rest that was kept and the new bytes, in `buffer`; empty when nothing came.
  std::string_view read(Buffer& buffer);
  // Keeps what is unfinished for the next read.
  void keep(std::string_view rest);
  // Waits until there is something to read. Throws std::runtime_error after some seconds.
  void wait() const;

  // Sends at once what the kernel takes, and the rest by `flush`, when it takes more.
  void send(std::string_view bytes);
  void flush();
  // Is there a rest to send?
  bool pending() const { return !unsent_.empty(); }

 private:
  int descriptor_;
  bool closed_ = false;
  std::string kept_;
  std::string unsent_;
};

}  // namespace polyglot::load
