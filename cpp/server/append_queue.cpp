#include "server/append_queue.hpp"

#include <boost/asio/post.hpp>
#include <cerrno>
#include <exception>
#include <system_error>
#include <utility>

namespace polyglot::server {

AppendQueue::AppendQueue(boost::asio::io_context& io)
    : io_(io), timer_(io), signal_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (!signal_.valid()) throw std::system_error(errno, std::system_category(), "eventfd");
}

void AppendQueue::ask() {
  state_ = State::asked;
  {
    const std::lock_guard guard(mutex_);
    offered_ = true;
  }
  if (!sends || !sends()) signal();
}

void AppendQueue::gather() {
  state_ = State::gathering;
  timer_.expires_after(kGatherTime);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    if (is_empty()) {
      state_ = State::idle;
    } else {
      ask();
    }
  });
}

bool AppendQueue::is_empty() {
  const std::lock_guard guard(mutex_);
  return waiting_.empty();
}

core::Status AppendQueue::push(OwnedSubmission&& owned, Done done) {
  const std::size_t events = owned.submission->appends().size();
  if (events_ + events > kMaxAppendsWaiting || bytes_ + owned.texts->size() > kMaxAppendBytesWaiting) {
    return {core::Code::overloaded, "Too many events wait for the engine; send this one again in a moment."};
  }
  events_ += events;
  bytes_ += owned.texts->size();
  {
    const std::lock_guard guard(mutex_);
    waiting_.push_back({std::move(owned), std::move(done)});
  }
  if (state_ == State::idle) ask();
  return {};
}

std::vector<AppendQueue::Waiting> AppendQueue::take() {
  eventfd_t signals = 0;
  static_cast<void>(eventfd_read(fd(), &signals));
  const std::lock_guard guard(mutex_);
  return std::exchange(offered_, false) ? std::exchange(waiting_, {}) : std::vector<Waiting>();
}

void AppendQueue::refuse(std::vector<Waiting> refused) {
  finish(std::move(refused), {core::Code::overloaded,
                              "The gateway has no memory left to send these events to the engine; nothing was kept. "
                              "Send them again in a moment."});
}

void AppendQueue::finish(std::vector<Waiting> finished, const core::Status& status) {
  boost::asio::post(io_, [this, status, all = std::make_shared<std::vector<Waiting>>(std::move(finished))] {
    std::size_t appended = 0;
    std::exception_ptr failure;  // of one, which is in the way of no other
    for (Waiting& one : *all) {
      appended += one.owned.submission->appends().size();
      bytes_ -= one.owned.texts->size();
      try {
        one.done(status, *one.owned.submission);
      } catch (...) {
        failure = std::current_exception();
      }
    }
    events_ -= appended;
    if (appended >= kManyAppends) {
      gather();
    } else if (is_empty()) {
      state_ = State::idle;
    } else {
      ask();
    }
    if (failure) std::rethrow_exception(failure);
  });
}

}  // namespace polyglot::server
