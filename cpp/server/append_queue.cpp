#include "server/append_queue.hpp"

#include <sys/eventfd.h>

#include <boost/asio/post.hpp>
#include <cerrno>
#include <exception>
#include <system_error>
#include <utility>

namespace polyglot::server {

AppendQueue::AppendQueue(boost::asio::io_context& io) : io_(io), signal_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (!signal_.valid()) throw std::system_error(errno, std::system_category(), "eventfd");
}

core::Status AppendQueue::push(OwnedSubmission owned, Done done) {
  const std::size_t events = owned.submission->appends().size();
  if (events_ + events > kMaxAppendsWaiting || bytes_ + owned.texts->size() > kMaxAppendBytesWaiting) {
    return {core::Code::overloaded, "Too many events wait for the engine; send this one again in a moment."};
  }
  events_ += events;
  bytes_ += owned.texts->size();
  bool first = false;
  {
    const std::lock_guard guard(mutex_);
    first = waiting_.empty();
    waiting_.push_back({std::move(owned), std::move(done)});
  }
  // A queue that was not empty has its signal on the way.
  if (first) static_cast<void>(eventfd_write(fd(), 1));
  return {};
}

std::vector<AppendQueue::Waiting> AppendQueue::take() {
  eventfd_t signals = 0;
  static_cast<void>(eventfd_read(fd(), &signals));  // before the queue is emptied: what comes later signals again
  const std::lock_guard guard(mutex_);
  return std::exchange(waiting_, {});
}

void AppendQueue::finish(std::vector<Waiting> finished, const core::Status& status) {
  boost::asio::post(io_, [this, status, all = std::make_shared<std::vector<Waiting>>(std::move(finished))] {
    std::exception_ptr failure;  // of one, which is in the way of no other
    for (Waiting& one : *all) {
      events_ -= one.owned.submission->appends().size();
      bytes_ -= one.owned.texts->size();
      try {
        one.done(status, *one.owned.submission);
      } catch (...) {
        failure = std::current_exception();
      }
    }
    if (failure) std::rethrow_exception(failure);
  });
}

}  // namespace polyglot::server
