#include "server/listener.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>

#include "server/http_session.hpp"

namespace polyglot::server {
namespace {

// Connections taken at a time: another worker that was woken as well is to have some too.
constexpr int kAcceptedAtATime = 16;
constexpr std::chrono::milliseconds kRest{100};

// The address as text, empty on a Unix socket; sets the port.
std::string address_text(const sockaddr_storage& address, std::uint16_t& port) {
  char text[INET6_ADDRSTRLEN + 1] = "";
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
    port = ntohs(v4.sin_port);
  } else if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
    port = ntohs(v6.sin6_port);
  }
  return text;
}

}  // namespace

void adopt_connection(Loop& loop, int fd, std::string bytes) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  Connection::Socket socket(fd);
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return;
  std::uint16_t port = 0;
  const std::string text = address_text(address, port);
  std::make_shared<HttpSession>(loop, std::move(socket), text, port)->start_with(std::move(bytes));
}

Listener::Listener(Loop& loop, int fd) : loop_(loop), socket_(loop.io, fd), timer_(loop.io) {
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

void Listener::start() {
  wait();
}

void Listener::stop() {
  boost::system::error_code ignored;
  socket_.close(ignored);
  timer_.cancel();
}

void Listener::wait() {
  if (!socket_.is_open()) return;
  socket_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    if (error) return;
    try {
      take();
    } catch (...) {
      rest();
      throw;
    }
  });
}

void Listener::rest() {
  timer_.expires_after(kRest);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) wait();
  });
}

void Listener::take() {
  for (int i = 0; i < kAcceptedAtATime; ++i) {
    if (loop_.connection_count >= loop_.options.max_connections) return rest();
    const Outcome outcome = take_one();
    if (outcome == Outcome::no_room) return rest();
    if (outcome == Outcome::none_waits) break;
  }
  wait();
}

void Listener::finish() {
  while (socket_.is_open() && take_one() == Outcome::taken) {
  }
  stop();
}

Listener::Outcome Listener::take_one() {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  const int fd =
      accept4(socket_.native_handle(), reinterpret_cast<sockaddr*>(&address), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) {
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) return Outcome::no_room;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return Outcome::none_waits;
    return Outcome::taken;  // of that one connection alone
  }
  Connection::Socket socket(fd);
  if (address.ss_family != AF_UNIX) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  std::uint16_t port = 0;
  const std::string text = address_text(address, port);
  std::make_shared<HttpSession>(loop_, std::move(socket), text, port)->start();
  return Outcome::taken;
}

}  // namespace polyglot::server
