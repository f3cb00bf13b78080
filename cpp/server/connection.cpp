#include "server/connection.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <cerrno>

#include "server/loop.hpp"

namespace polyglot::server {
namespace {

// What a connection keeps ready for what it could not send; more is given back once it was.
constexpr std::size_t kKeptOutput = 4096;

// send(2) and recv(2) past libc, whose own are points where a thread may be cancelled; to be one costs two atomic
// operations for each call, in a process that has threads (pthreads(7)). Nobody cancels this one.
ssize_t send_bytes(int fd, const void* data, std::size_t size) {
  return syscall(SYS_sendto, fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT, nullptr, 0);
}

ssize_t receive_bytes(int fd, void* data, std::size_t size, int flags) {
  return syscall(SYS_recvfrom, fd, data, size, MSG_DONTWAIT | flags, nullptr, nullptr);
}

bool is_for_later(int error) {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

// Of recv(2), as receive() says it.
std::ptrdiff_t outcome(ssize_t got) {
  if (got >= 0) return got;
  return is_for_later(errno) ? -1 : 0;
}

}  // namespace

Connection::Connection(Loop& loop, Socket socket) : loop_(loop), socket_(std::move(socket)) {
  loop_.connections.push_back(*this);
  ++loop_.connection_count;
}

Connection::~Connection() {
  --loop_.connection_count;
}

void Connection::wait_to_read() {
  if (reading_ || !is_open()) return;
  reading_ = true;
  join();
  if (!readable_ || again_) return;
  // In a turn of its own, so that a client that sends without end holds up nobody.
  boost::asio::post(loop_.io, [self = shared_from_this()] {
    self->again_ = false;
    self->on_events(0);
  });
  again_ = true;
}

void Connection::wait_to_write() {
  writing_ = true;
  join();
}

void Connection::join() {
  if (self_ != nullptr) return;
  self_ = shared_from_this();
  if (!loop_.poller.add(fd(), *this)) close();
}

void Connection::on_events(std::uint32_t events) {
  guard([this, events] { on_readiness(events); });
}

void Connection::on_readiness(std::uint32_t events) {
  constexpr std::uint32_t kEnd = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
  if (!is_open()) return;  // since a moment ago
  if ((events & kEnd) != 0) ended_ = true;
  if ((events & (EPOLLIN | kEnd)) != 0) readable_ = true;
  if (writing_ && (events & (EPOLLOUT | kEnd)) != 0) on_writable();
  if (!reading_ || !readable_ || again_ || !is_open()) return;
  reading_ = false;
  lingering_ ? drop_input() : on_readable();
}

bool Connection::send(std::string_view bytes) {
  if (!is_open()) return false;
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
  ssize_t sent = 0;
  if (count == 1) {
    sent = send_bytes(fd(), parts->iov_base, parts->iov_len);  // the cheaper call
  } else {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(parts);
    message.msg_iovlen = count;
    sent = ::sendmsg(fd(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  if (sent >= 0) return sent;
  if (is_for_later(errno)) return 0;
  close();
  return -1;
}

void Connection::send_later(std::string_view rest) {
  out_.assign(rest);
  sent_at_ = clock_ms();
  wait_to_write();
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
  const ssize_t got = receive_bytes(fd(), data, size, 0);
  // Less than there was room for is all there was. (Urgent data and passed descriptors would end a read early too; who
  // sends them is answered with the next bytes.)
  if (got < static_cast<ssize_t>(size) && !ended_) readable_ = false;
  return outcome(got);
}

std::ptrdiff_t Connection::peek() {
  char byte = 0;
  const std::ptrdiff_t there = outcome(receive_bytes(fd(), &byte, 1, MSG_PEEK));
  if (there < 0) readable_ = false;
  return there;
}

void Connection::linger() {
  if (!is_open() || lingering_) return;
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
  if (!is_open()) return;
  let_go();
  socket_ = Socket();
  out_.clear();
  on_closed();
}

Connection::Socket Connection::release() {
  let_go();
  return std::move(socket_);
}

// Whoever called may be at work with this connection, and the poller may have it in hand: it goes a little later.
void Connection::let_go() {
  if (self_ == nullptr) return;
  boost::asio::post(loop_.io, [self = self_] {});
  loop_.poller.remove(fd());
  self_.reset();
}

}  // namespace polyglot::server
