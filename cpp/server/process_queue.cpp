#include "server/process_queue.hpp"

#include <sys/eventfd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <exception>
#include <functional>
#include <string_view>
#include <system_error>
#include <utility>

namespace polyglot::server {

ProcessQueue::ProcessQueue(boost::asio::io_context& io, core::Gateway& gateway, std::size_t most_away)
    : io_(io), gateway_(gateway), most_away_(most_away), timer_(io), signal_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (!signal_.valid()) throw std::system_error(errno, std::system_category(), "eventfd");
}

ProcessQueue::Places ProcessQueue::places_of(const core::Submission& submission) const {
  const std::hash<std::string_view> hash;
  Places places;
  for (const auto& item : submission.items()) {
    if (!item.status.ok() || !gateway_.rule(submission.app(), item.channel).processor) continue;
    const std::size_t place = hash(item.channel) * 31 + hash(submission.app());
    if (places.empty() || places.back() != place) places.push_back(place);
  }
  return places;
}

core::Status ProcessQueue::push(OwnedSubmission owned, Places places, Done done) {
  const std::size_t events = owned.submission->appends().size();
  const std::size_t bytes = owned.texts->size();
  if (events_ + events > kMaxProcessWaiting || bytes_ + bytes > kMaxProcessBytesWaiting) {
    return {core::Code::overloaded, "Too many events wait for the processor; send this one again in a moment."};
  }
  events_ += events;
  bytes_ += bytes;
  waiting_events_ += events;
  waiting_.push_back({std::move(owned), std::move(done), std::move(places), events});
  look();
  return {};
}

void ProcessQueue::look() {
  while (!waiting_.empty() && batches_away_ < most_away_) {
    const Clock::time_point now = Clock::now();
    const Clock::time_point begins = batches_away_ > 0 ? patience_ends_ : gather_ends_;
    if (waiting_events_ < kManyToProcess && now < begins) return look_at(begins);
    auto batch = next();
    if (batch == nullptr) return;
    ++batches_away_;
    patience_ends_ = now + kProcessPatience;
    const std::lock_guard guard(mutex_);
    given_.push_back(std::move(batch));
    static_cast<void>(eventfd_write(fd(), 1));
  }
}

void ProcessQueue::look_at(Clock::time_point time) {
  if (timer_runs_ && timer_.expiry() <= time) return;
  timer_runs_ = true;
  timer_.expires_at(time);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    timer_runs_ = false;
    look();
  });
}

// The oldest that may go; nothing when all wait for channels that are away.
std::shared_ptr<ProcessQueue::Batch> ProcessQueue::next() {
  auto batch = std::make_shared<Batch>();
  std::unordered_set<std::size_t> blocked;  // by those that stay, whom nobody may overtake
  std::deque<Waiting> stay;
  std::vector<core::Submission*> submissions;
  std::size_t events = 0;
  for (Waiting& one : waiting_) {
    const bool goes = events < kMostToProcess &&
                      std::none_of(
                          one.places.begin(), one.places.end(),
                          [&](const auto& at) { return places_away_.contains(at) || blocked.contains(at); });
    if (!goes) {
      blocked.insert(one.places.begin(), one.places.end());
      stay.push_back(std::move(one));
      continue;
    }
    events += one.owned.submission->appends().size();
    submissions.push_back(one.owned.submission.get());
    batch->waiting.push_back(std::move(one));
  }
  waiting_ = std::move(stay);
  if (submissions.empty()) return nullptr;
  waiting_events_ -= events;
  for (const Waiting& one : batch->waiting) places_away_.insert(one.places.begin(), one.places.end());
  batch->call = std::make_shared<core::ProcessCall>(
      submissions, [this](std::string_view app, std::string_view channel) -> const core::ChannelRule& {
        return gateway_.rule(app, channel);
      });
  return batch;
}

std::shared_ptr<ProcessQueue::Batch> ProcessQueue::take() {
  const std::lock_guard guard(mutex_);
  eventfd_t signals = 0;
  static_cast<void>(eventfd_read(fd(), &signals));
  if (given_.empty()) return nullptr;
  auto batch = std::move(given_.front());
  given_.pop_front();
  return batch;
}

void ProcessQueue::finish(std::shared_ptr<Batch> batch) {
  boost::asio::post(io_, [this, batch = std::move(batch)] { take_back(*batch); });
}

void ProcessQueue::take_back(Batch& batch) {
  --batches_away_;
  std::exception_ptr failure;  // of one, which is in the way of no other
  for (Waiting& one : batch.waiting) {
    for (const std::size_t place : one.places) places_away_.erase(place);
    bytes_ -= one.owned.texts->size();
    events_ -= one.events;
    try {
      one.done(std::move(one.owned));
    } catch (...) {
      failure = std::current_exception();
    }
  }
  // Whoever was answered may have more to say.
  if (batch.call->events().size() >= kFewToProcess) gather_ends_ = Clock::now() + kProcessGatherTime;
  look();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace polyglot::server
