#include "server/news.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <boost/asio/post.hpp>
#include <cerrno>
#include <system_error>
#include <utility>

#include "core/append_calls.hpp"
#include "core/replica.hpp"
#include "core/resp.hpp"
#include "server/loop.hpp"

namespace polyglot::server {
namespace {

constexpr int kReadsPerTurn = 8;

int copy_of(int fd) {
  const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) throw std::system_error(errno, std::system_category(), "dup");
  return copy;
}

}  // namespace

News::News(Loop& loop, int fd)
    : loop_(loop), signal_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)), copy_(copy_of(fd)), connection_(loop.io) {
  if (!signal_.valid()) throw std::system_error(errno, std::system_category(), "eventfd");
}

std::shared_ptr<News> News::listen(Loop& loop, int fd) {
  const std::shared_ptr<News> news(new News(loop, fd));
  boost::asio::post(loop.io, [news] {
    news->connection_.assign(news->copy_.release());
    news->read();
  });
  return news;
}

News::Left News::take() {
  const std::lock_guard guard(mutex_);
  eventfd_t signals = 0;
  static_cast<void>(eventfd_read(fd(), &signals));
  if (std::exchange(pauses_, false)) boost::asio::post(loop_.io, [self = shared_from_this()] { self->read(); });
  return {std::exchange(left_.bytes, {}), left_.ended};
}

void News::end() {
  boost::asio::post(loop_.io, [self = shared_from_this()] {
    boost::system::error_code ignored;
    self->connection_.close(ignored);
  });
}

void News::wait() {
  connection_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                         [self = shared_from_this()](const boost::system::error_code& error) {
                           if (!error) self->read();
                         });
}

void News::read() {
  for (int n = 0; n < kReadsPerTurn && connection_.is_open(); ++n) {
    const ssize_t count = recv(connection_.native_handle(), loop_.input.data(), loop_.input.size(), MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (count <= 0) return leave({}, true);
    come_.append(loop_.input.data(), static_cast<std::size_t>(count));
    sort_out();
    if (static_cast<std::size_t>(count) < loop_.input.size()) break;
  }
  if (!connection_.is_open()) return;
  {
    const std::lock_guard guard(mutex_);
    pauses_ = left_.bytes.size() >= kMostNewsLeft;
    if (pauses_) return;
  }
  wait();
}

void News::sort_out() {
  std::string_view bytes = come_;
  std::string left;
  while (is_resp_ && !bytes.empty()) {
    const auto size = core::resp_size(bytes);
    is_resp_ = size.has_value();
    if (!size || *size == 0) break;
    const std::string_view message = bytes.substr(0, *size);
    if (!apply(message)) left.append(message);
    bytes.remove_prefix(*size);
  }
  if (!is_resp_) left.append(std::exchange(bytes, {}));
  come_.erase(0, come_.size() - bytes.size());
  if (!left.empty()) leave(left, false);
}

bool News::apply(std::string_view message) {
  core::RespParts parts(message);
  std::size_t length = 0;
  std::string_view kind;
  std::string_view stream;
  std::string_view payload;
  if (!parts.take_array(length) || length != 3 || !parts.take_text(kind) || kind != "smessage" ||
      !parts.take_text(stream) || !parts.take_text(payload)) {
    return false;
  }
  const auto names = core::RedisLayout::names_in(stream);
  const auto replica = names ? core::Replica::parse(payload) : std::nullopt;
  if (!replica) return false;
  loop_.hub.before_publish();
  const auto applied = loop_.gateway.replicate(names->first, names->second, *replica);
  loop_.hub.after_publish();
  return applied.ok() && applied.value();
}

void News::leave(std::string_view bytes, bool ended) {
  const std::lock_guard guard(mutex_);
  left_.bytes.append(bytes);
  left_.ended = left_.ended || ended;
  static_cast<void>(eventfd_write(fd(), 1));
}

}  // namespace polyglot::server
