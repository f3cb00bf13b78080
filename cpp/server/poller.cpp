#include "server/poller.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <system_error>
#include <utility>

#include "server/connection.hpp"

namespace polyglot::server {
namespace {

constexpr int kToldPerTurn = 128;

int make_set() {
  const int set = epoll_create1(EPOLL_CLOEXEC);
  if (set < 0) throw std::system_error(errno, std::system_category(), "epoll_create1");
  return set;
}

}  // namespace

Poller::Poller(boost::asio::io_context& io, std::function<bool()> others_wait)
    : set_(io, make_set()), others_wait_(std::move(others_wait)) {
  wait();
}

bool Poller::add(int fd, Connection& connection) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = &connection;
  return epoll_ctl(set_.native_handle(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void Poller::remove(int fd) {
  epoll_ctl(set_.native_handle(), EPOLL_CTL_DEL, fd, nullptr);
}

void Poller::wait() {
  set_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    if (error) return;
    try {
      // Under load there is more by now, and to be told so by Asio would cost two calls more.
      int left = kToldPerTurn;
      do {
        const int told = take(left);
        if (told == 0) break;
        left -= told;
      } while (left != 0 && !others_wait_());
    } catch (...) {
      wait();
      throw;
    }
    wait();
  });
}

int Poller::take(int most) {
  std::array<epoll_event, kToldPerTurn> events;
  const int count = epoll_wait(set_.native_handle(), events.data(), most, 0);
  std::exception_ptr failure;
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    try {
      static_cast<Connection*>(event.data.ptr)->on_events(event.events);
    } catch (...) {
      failure = std::current_exception();  // the others are not told again
    }
  }
  if (failure) std::rethrow_exception(failure);
  return std::max(count, 0);
}

}  // namespace polyglot::server
