#include "connection.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace polyglot::load {
namespace {

constexpr int kPatienceMilliseconds = 10'000;

int connect_to(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0) {
    throw std::runtime_error(host + ":" + port + ": " + gai_strerror(error));
  }
  int descriptor = -1;
  int reason = 0;
  for (const addrinfo* address = found; address != nullptr && descriptor < 0; address = address->ai_next) {
    descriptor = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC, address->ai_protocol);
    if (descriptor < 0) {
      reason = errno;
    } else if (connect(descriptor, address->ai_addr, address->ai_addrlen) != 0) {
      reason = errno;
      close(descriptor);
      descriptor = -1;
    }
  }
  freeaddrinfo(found);
  if (descriptor < 0) throw std::runtime_error("cannot connect to " + host + ":" + port + ": " + std::strerror(reason));
  const int on = 1;
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fcntl(descriptor, F_SETFL, O_NONBLOCK);
  return descriptor;
}

}  // namespace

Connection::Connection(const std::string& host, const std::string& port) : descriptor_(connect_to(host, port)) {}

Connection::Connection(Connection&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      closed_(other.closed_),
      kept_(std::move(other.kept_)),
      unsent_(std::move(other.unsent_)) {}

Connection::~Connection() {
  if (descriptor_ >= 0) close(descriptor_);
}

std::string_view Connection::read(Buffer& buffer) {
  if (kept_.size() + kBufferBytes / 2 > buffer.size()) buffer.resize(kept_.size() + kBufferBytes);
  std::copy(kept_.begin(), kept_.end(), buffer.begin());
  const ssize_t count = recv(descriptor_, buffer.data() + kept_.size(), buffer.size() - kept_.size(), 0);
  if (count <= 0) {
    if (count == 0 || (errno != EAGAIN && errno != EINTR)) closed_ = true;
    return {};
  }
  const std::size_t whole = kept_.size() + static_cast<std::size_t>(count);
  kept_.clear();
  return {buffer.data(), whole};
}

void Connection::keep(std::string_view rest) {
  kept_ = rest;
}

void Connection::wait() const {
  pollfd wanted{.fd = descriptor_, .events = POLLIN, .revents = 0};
  if (poll(&wanted, 1, kPatienceMilliseconds) != 1) throw std::runtime_error("the server does not answer");
}

void Connection::send(std::string_view bytes) {
  unsent_ += bytes;
  flush();
}

void Connection::flush() {
  if (closed_ || unsent_.empty()) return;
  const ssize_t count = ::send(descriptor_, unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
  if (count > 0) {
    unsent_.erase(0, static_cast<std::size_t>(count));
  } else if (count < 0 && errno != EAGAIN && errno != EINTR) {
    closed_ = true;
  }
}

}  // namespace polyglot::load
