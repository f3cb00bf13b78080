#include "server/connection.hpp"

#include <sys/socket.h>

#include <cerrno>

#include "server/loop.hpp"

namespace polyglot::server {
namespace {

// What a connection keeps ready for what it could not send; more is given back once it was.
constexpr std::size_t kKeptOutput = 4096;

}  // namespace

Connection::Connection(Loop& loop, Socket socket) : loop_(loop), socket_(std::move(socket)) {
  loop_.connections.push_back(*this);
  ++loop_.connection_count;
}

Connection::~Connection() {
  --loop_.connection_count;
}

void Connection::wait_to_read() {
  if (reading_ || !socket_.is_open()) return;
  reading_ = true;
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](const boost::system::error_code& error) {
    self->reading_ = false;
    if (error) return;
    if (self->lingering_) return self->drop_input();
    self->on_readable();
  });
}

bool Connection::send(std::string_view bytes) {
  if (!socket_.is_open()) return false;
  if (writing_) {
    out_.append(bytes);
    return true;
  }
  const iovec part = {const_cast<char*>(bytes.data()), bytes.size()};
  const std::ptrdiff_t sent = send_now(&part, 1);
  if (sent < 0 || sent == static_cast<std::ptrdiff_t>(bytes.size())) return false;
  send_later(bytes.substr(static_cast<std::size_t>(sent)));
  return true;
}

std::ptrdiff_t Connection::send_now(const iovec* parts, std::size_t count) {
  constexpr int kFlags = MSG_NOSIGNAL | MSG_DONTWAIT;
  ssize_t sent = 0;
  if (count == 1) {
    sent = ::send(fd(), parts->iov_base, parts->iov_len, kFlags);  // the cheaper call
  } else {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(parts);
    message.msg_iovlen = count;
    sent = ::sendmsg(fd(), &message, kFlags);
  }
  if (sent >= 0) return sent;
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return 0;
  close();
  return -1;
}

void Connection::send_later(std::string_view rest) {
  out_.assign(rest);
  sent_at_ = clock_ms();
  wait_to_write();
}

void Connection::wait_to_write() {
  writing_ = true;
  socket_.async_wait(Socket::wait_write, [self = shared_from_this()](const boost::system::error_code& error) {
    if (!error) self->on_writable();
  });
}

void Connection::on_writable() {
  if (!out_.empty()) {
    const iovec part = {out_.data(), out_.size()};
    const std::ptrdiff_t sent = send_now(&part, 1);
    if (sent < 0) return;
    if (sent > 0) {
      out_.erase(0, static_cast<std::size_t>(sent));
      sent_at_ = clock_ms();
    }
    if (!out_.empty()) return wait_to_write();
  }
  writing_ = false;
  if (out_.capacity() > kKeptOutput) std::string().swap(out_);
  if (lingering_) {
    ::shutdown(fd(), SHUT_WR);
    return wait_to_read();
  }
  on_sent();
}

void Connection::check_clock(std::int64_t now) {
  if (writing_ && now - sent_at_ > kWriteTime) return close();
  if (!lingering_) return look_at_clock(now);
  if (now > deadline_) close();
}

std::ptrdiff_t Connection::receive(char* data, std::size_t size) {
  return take(data, size, MSG_DONTWAIT);
}

std::ptrdiff_t Connection::peek() {
  char byte = 0;
  return take(&byte, 1, MSG_DONTWAIT | MSG_PEEK);
}

std::ptrdiff_t Connection::take(char* data, std::size_t size, int flags) {
  const ssize_t got = ::recv(fd(), data, size, flags);
  if (got >= 0) return got;
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? -1 : 0;
}

void Connection::linger() {
  if (!socket_.is_open() || lingering_) return;
  lingering_ = true;
  deadline_ = clock_ms() + kLingerTime;
  if (writing_) return;
  ::shutdown(fd(), SHUT_WR);
  wait_to_read();
}

void Connection::drop_input() {
  // One look, so that a client that goes on sending holds up nobody; the deadline ends it.
  if (receive(loop_.input.data(), loop_.input.size()) == 0) return close();
  wait_to_read();
}

void Connection::close() {
  if (!socket_.is_open()) return;
  boost::system::error_code ignored;
  socket_.close(ignored);
  out_.clear();
  on_closed();
}

Connection::Socket Connection::release() {
  return std::move(socket_);
}

}  // namespace polyglot::server
