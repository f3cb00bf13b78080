#include "server/handoff.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <system_error>

namespace polyglot::server {

Handoff::Handoff(boost::asio::io_context& io) : io_(io), fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (fd_ < 0) throw std::system_error(errno, std::system_category(), "eventfd");
}

Handoff::~Handoff() {
  close(fd_);
}

std::uint64_t Handoff::give(ApplicationRequest request, Reply reply) {
  const std::uint64_t id = ++last_id_;
  replies_.emplace(id, std::move(reply));
  push({id, std::move(request)});
  return id;
}

void Handoff::ask(Question question, Decide decide) {
  const std::uint64_t id = ++last_id_;
  decisions_.emplace(id, std::move(decide));
  push({id, std::move(question)});
}

void Handoff::push(HandoffJob job) {
  bool first = false;
  {
    const std::lock_guard guard(mutex_);
    first = jobs_.empty();
    jobs_.push_back(std::move(job));
  }
  // A queue that was not empty has its signal on the way.
  if (first) static_cast<void>(eventfd_write(fd_, 1));
}

std::vector<HandoffJob> Handoff::take() {
  eventfd_t signals = 0;
  static_cast<void>(eventfd_read(fd_, &signals));  // before the queue is emptied: what comes later signals again
  std::vector<HandoffJob> taken;
  const std::lock_guard guard(mutex_);
  taken.swap(jobs_);
  return taken;
}

void Handoff::reply(std::uint64_t id, ApplicationReply part) {
  boost::asio::post(io_, [this, id, part = std::move(part)]() mutable {
    const auto found = replies_.find(id);
    if (found == replies_.end()) return;
    using Part = ApplicationReply::Part;
    const bool last = part.part == Part::whole || part.part == Part::end || part.part == Part::abort;
    const Reply reply = last ? std::move(found->second) : found->second;
    if (last) replies_.erase(found);
    reply(part);
  });
}

void Handoff::decide(std::uint64_t id, Verdict verdict) {
  boost::asio::post(io_, [this, id, verdict = std::move(verdict)] {
    const auto found = decisions_.find(id);
    if (found == decisions_.end()) return;
    const Decide decide = std::move(found->second);
    decisions_.erase(found);
    decide(verdict);
  });
}

}  // namespace polyglot::server
