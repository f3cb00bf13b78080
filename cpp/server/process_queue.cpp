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

ProcessQueue::ProcessQueue(boost::asio::io_context& io, core::Gateway& gateway, std::size_t most_away, Now now)
    : io_(io),
      gateway_(gateway),
      most_away_(most_away),
      now_(now),
      timer_(io),
      signal_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
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
  while (waiting_.size() > held_up_ && batches_away_ < most_away_) {
    const Clock::time_point now = now_();
    const Clock::time_point begins = batches_away_ > 0 ? patience_ends_ : gather_ends_;
    if (waiting_events_ - held_up_events_ < kManyToProcess && now < begins) return look_at(begins);
    auto batch = next();
    if (batch == nullptr) return;
    ++batches_away_;
    patience_ends_ = now + kProcessPatience;
    if (!sends || !sends(batch)) give(std::move(batch));
  }
}

void ProcessQueue::give(std::shared_ptr<Batch> batch) {
  const std::lock_guard guard(mutex_);
  given_.push_back(std::move(batch));
  static_cast<void>(eventfd_write(fd(), 1));
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

bool ProcessQueue::is_held_up(const Waiting& one) const {
  return std::any_of(one.places.begin(), one.places.end(), [this](const std::size_t place) {
    return places_away_.contains(place) || places_held_up_.contains(place);
  });
}

// The oldest that may go; nothing when all are held up.
std::shared_ptr<ProcessQueue::Batch> ProcessQueue::next() {
  auto batch = std::make_shared<Batch>();
  std::vector<core::Submission*> submissions;
  std::size_t events = 0;
  auto looked_at = waiting_.begin() + static_cast<std::ptrdiff_t>(held_up_);
  auto stays = looked_at;
  for (; looked_at != waiting_.end(); ++looked_at) {
    Waiting& one = *looked_at;
    if (is_held_up(one)) {
      places_held_up_.insert(one.places.begin(), one.places.end());
      held_up_events_ += one.events;
      ++held_up_;
      if (stays != looked_at) *stays = std::move(one);
      ++stays;
      continue;
    }
    if (events > 0 && events + one.events > kMostToProcess) break;
    events += one.events;
    submissions.push_back(one.owned.submission.get());
    batch->waiting.push_back(std::move(one));
  }
  waiting_.erase(stays, looked_at);
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

void ProcessQueue::finish(const std::shared_ptr<Batch>& batch) {
  boost::asio::post(io_, [this, batch] {
    Batch back = std::move(*batch);
    take_back(back);
  });
}

void ProcessQueue::let_go_of(const Waiting& one) {
  for (const std::size_t place : one.places) {
    places_away_.erase(place);
    if (!places_held_up_.contains(place)) continue;
    held_up_ = held_up_events_ = 0;
    places_held_up_.clear();
  }
}

void ProcessQueue::take_back(Batch& batch) {
  --batches_away_;
  std::exception_ptr failure;  // of one, which is in the way of no other
  for (Waiting& one : batch.waiting) {
    let_go_of(one);
    bytes_ -= one.owned.texts->size();
    events_ -= one.events;
    try {
      one.done(std::move(one.owned));
    } catch (...) {
      failure = std::current_exception();
    }
  }
  // Whoever was answered may have more to say.
  if (batch.call->events().size() >= kFewToProcess) gather_ends_ = now_() + kProcessGatherTime;
  look();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace polyglot::server
