#include "server/append_wire.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <new>
#include <system_error>

#include "core/channel.hpp"
#include "core/epoch.hpp"
#include "core/file_descriptor.hpp"
#include "core/resp.hpp"

namespace polyglot::server {
namespace {

constexpr std::size_t kKeptCommands = std::size_t{1} << 20;  // bytes of memory

bool would_block() {
  return errno == EAGAIN || errno == EWOULDBLOCK;
}

std::string reason_of(int error) {
  return std::error_code(error, std::generic_category()).message();
}

}  // namespace

AppendWire::AppendWire(boost::asio::io_context& io, core::Gateway& gateway, AppendQueue& queue)
    : io_(io), gateway_(gateway), queue_(queue), connection_(io), timer_(io) {
  queue_.sends = [this] { return send(); };
}

void AppendWire::lend(int fd, core::RedisLayout layout, std::chrono::milliseconds answer_time) {
  auto copy = std::make_shared<core::FileDescriptor>(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy->valid()) throw std::system_error(errno, std::system_category(), "dup");
  lent_.store(true, std::memory_order_release);
  boost::asio::post(io_, [this, copy, layout = std::move(layout), answer_time]() mutable {
    if (connection_.is_open() || !is_lent()) return;
    connection_.assign(copy->release());
    layout_ = std::move(layout);
    answer_time_ = answer_time;
    in_.clear();
    wait_to_read();
  });
}

void AppendWire::revoke() {
  lent_.store(false, std::memory_order_release);
  boost::asio::post(io_, [this] {
    if (connection_.is_open() && !is_lent() && calls_ == nullptr) give_up({});
  });
}

void AppendWire::listed(std::string_view app, std::string_view channel, std::chrono::milliseconds time) {
  const std::lock_guard guard(mutex_);
  if (listed_.size() >= kMostListed) listed_.clear();
  listed_[core::place_of(app, channel)] = Clock::now() + time;
}

bool AppendWire::knows_all(const core::AppendCalls& calls) {
  const Clock::time_point now = Clock::now();
  const std::lock_guard guard(mutex_);
  for (std::size_t call = 0; call < calls.size(); ++call) {
    const auto found = listed_.find(core::place_of(calls.app(call), calls.channel(call)));
    if (found == listed_.end() || found->second <= now) return false;
  }
  return true;
}

std::optional<AppendWire::Left> AppendWire::take() {
  const std::lock_guard guard(mutex_);
  return std::exchange(left_, std::nullopt);
}

bool AppendWire::send() {
  if (!connection_.is_open() || !is_lent()) return false;
  away_ = queue_.take();
  if (away_.empty()) return true;  // somebody who was woken before was faster
  try {
    pack();
  } catch (const std::bad_alloc&) {
    calls_.reset();
    queue_.refuse(std::exchange(away_, {}));
    return true;
  }
  if (!knows_all(*calls_)) {
    const std::lock_guard guard(mutex_);
    left_ = Left{std::exchange(away_, {}), std::exchange(calls_, nullptr)};
    queue_.signal();
    return true;
  }
  written_ = 0;
  answered_ = answered_bytes_ = 0;
  sent_at_ = Clock::now();
  deadline_ = sent_at_ + answer_time_;
  if (!timer_runs_) wait_for_deadline();
  write();
  return true;
}

void AppendWire::pack() {
  std::vector<core::Submission*> submissions;
  submissions.reserve(away_.size());
  for (const auto& one : away_) submissions.push_back(one.owned.submission.get());
  calls_ = std::make_shared<core::AppendCalls>(
      layout_, submissions,
      [this](std::string_view app, std::string_view channel) -> const core::ChannelRule& {
        return gateway_.rule(app, channel);
      },
      core::new_epoch);
  out_.clear();
  for (std::size_t call = 0; call < calls_->size(); ++call) out_.append(calls_->command(call));
}

void AppendWire::wait_for_deadline() {
  // It goes on running between the calls, because to set it costs a system call.
  timer_runs_ = true;
  timer_.expires_at(deadline_);
  timer_.async_wait([this](const boost::system::error_code& error) {
    timer_runs_ = false;
    if (error || calls_ == nullptr) return;
    if (Clock::now() >= deadline_) return give_up("no answer");
    wait_for_deadline();
  });
}

void AppendWire::wait_to_read() {
  connection_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                         [this](const boost::system::error_code& error) {
                           if (!error) read();
                         });
}

void AppendWire::wait_to_write() {
  connection_.async_wait(boost::asio::posix::stream_descriptor::wait_write,
                         [this](const boost::system::error_code& error) {
                           if (!error) write();
                         });
}

void AppendWire::write() {
  while (written_ < out_.size()) {
    const ssize_t count = ::send(connection_.native_handle(), out_.data() + written_, out_.size() - written_,
                                 MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && would_block()) return wait_to_write();
    if (count < 0) return give_up(reason_of(errno));
    written_ += static_cast<std::size_t>(count);
  }
}

void AppendWire::read() {
  std::array<char, 16384> bytes;
  while (connection_.is_open()) {
    const ssize_t count = recv(connection_.native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && would_block()) break;
    if (count < 0) return give_up(reason_of(errno));
    if (count == 0) return give_up("Redis closed the connection");
    in_.append(bytes.data(), static_cast<std::size_t>(count));
    if (static_cast<std::size_t>(count) < bytes.size()) break;
  }
  if (calls_ == nullptr && !in_.empty()) return give_up("Redis says what nobody asked");
  while (calls_ != nullptr && answered_ < calls_->size()) {
    const auto size = core::resp_size(std::string_view(in_).substr(answered_bytes_));
    if (!size) return give_up("Redis answers what is no RESP");
    if (*size == 0) break;
    answered_bytes_ += *size;
    ++answered_;
  }
  if (calls_ != nullptr && answered_ == calls_->size()) {
    if (answered_bytes_ != in_.size()) return give_up("Redis says what nobody asked");
    finish();
  }
  if (connection_.is_open()) wait_to_read();
}

void AppendWire::finish() {
  gateway_.counters().add_time(core::Timer::append, std::chrono::nanoseconds(Clock::now() - sent_at_).count());
  if (!settle()) {
    leave({});
  } else {
    calls_.reset();
    queue_.finish(std::exchange(away_, {}), core::Status());
  }
  in_.clear();
  if (out_.capacity() > kKeptCommands) std::string().swap(out_);
  if (!is_lent()) give_up({});
}

// Whether Redis has answered as it does when all goes well.
bool AppendWire::settle() {
  std::string_view left = in_;
  for (std::size_t call = 0; call < calls_->size(); ++call) {
    const std::size_t size = *core::resp_size(left);
    if (!calls_->settle(call, left.substr(0, size))) return false;
    left.remove_prefix(size);
  }
  return true;
}

void AppendWire::give_up(std::string trouble) {
  boost::system::error_code ignored;
  connection_.close(ignored);
  lent_.store(false, std::memory_order_release);
  if (calls_ != nullptr) {
    leave(std::move(trouble));
  } else {
    queue_.signal();
  }
}

void AppendWire::leave(std::string trouble) {
  const std::lock_guard guard(mutex_);
  left_ =
      Left{std::exchange(away_, {}), std::exchange(calls_, nullptr), true, std::exchange(in_, {}), std::move(trouble)};
  queue_.signal();
}

}  // namespace polyglot::server
