// News: what Redis tells over one connection, on its way into the history here.
//
// The connection is somebody else's, who writes to it and lets this read. Events that follow what the history has are
// taken over at once; all else that comes, answers and events that something is missing before, is left to that
// somebody, in its order. So whoever reads an answer here knows that all that came before it is in the history, or was
// left.
//
// Thread safety: take and end from any thread; the rest is the server's thread's.
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "core/file_descriptor.hpp"

namespace polyglot::server {

struct Loop;

inline constexpr std::size_t kMostNewsLeft = std::size_t{16} << 20;  // bytes; while so many wait, no more is read

class News : public std::enable_shared_from_this<News> {
 public:
  // Reads from a copy of `fd` from now on, until end(). std::system_error when there are no descriptors left.
  static std::shared_ptr<News> listen(Loop& loop, int fd);

  // Readable when there is something to take.
  int fd() const { return signal_.get(); }
  struct Left {
    std::string bytes;
    bool ended;  // no more will come
  };
  Left take();
  void end();

 private:
  News(Loop& loop, int fd);
  void wait();
  void read();
  void sort_out();
  bool apply(std::string_view message);
  void leave(std::string_view bytes, bool ended);

  Loop& loop_;
  core::FileDescriptor signal_;
  core::FileDescriptor copy_;  // until the server's thread has it
  boost::asio::posix::stream_descriptor connection_;
  std::string come_;     // and not sorted out
  bool is_resp_ = true;  // else all is left

  std::mutex mutex_;
  Left left_{{}, false};
  bool pauses_ = false;
};

}  // namespace polyglot::server
