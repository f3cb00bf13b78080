#include "round.hpp"

#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>

#include "clock.hpp"

namespace polyglot::load {
namespace {

constexpr std::uint64_t kPatience = 2 * kSecond;
constexpr std::uint64_t kHeartbeat = 30 * kSecond;
constexpr int kTurnMilliseconds = 20;
constexpr std::uint64_t kPublisher = ~0ULL, kTimer = ~1ULL, kInput = ~2ULL;  // tags; a subscriber's is its place

// A descriptor for each subscriber and a few more.
void allow_descriptors(std::size_t wanted) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max < wanted) {
    throw std::runtime_error("this needs " + std::to_string(wanted) + " open files and the limit is " +
                             std::to_string(limit.rlim_max) + "; raise it with ulimit -Hn");
  }
}

}  // namespace

Round::Round(const Options& options)
    : options_(options), epoll_(epoll_create1(EPOLL_CLOEXEC)), timer_(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)) {
  allow_descriptors(options_.subscribers + 32);
  for (std::size_t i = 0; i < options_.subscribers; ++i) {
    watch(subscribers_.emplace_back(options_, buffer_, tally_).descriptor(), i);
  }
  heartbeat_due_ = now();
}

Round::~Round() {
  close(timer_);
  close(epoll_);
}

void Round::watch(int descriptor, std::uint64_t tag, int operation, std::uint32_t events) const {
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag;
  epoll_ctl(epoll_, operation, descriptor, &event);
}

void Round::publish() {
  publisher_ = std::make_unique<Publisher>(options_);
  watch(publisher_->descriptor(), kPublisher);
  first_ = last_ = now();
  end_ = first_ + static_cast<std::uint64_t>(options_.seconds * static_cast<double>(kSecond));
  publishing_ = true;
  if (options_.rate > 0) {
    watch(timer_, kTimer);
    start_timer(first_);
  } else {
    publish_next();
  }
  while (publishing_ || !all_has_come()) {
    const std::uint64_t before = tally_.deliveries + publisher_->answers().total();
    turn();
    if (tally_.deliveries + publisher_->answers().total() != before) {
      last_ = now();
    } else if (now() > std::max(last_, end_) + kPatience) {
      return;
    }
  }
}

void Round::idle() {
  watch(STDIN_FILENO, kInput);  // a file cannot be watched: then only a signal ends this
  while (!input_ended_) turn();
}

void Round::turn() {
  std::array<epoll_event, 1024> events{};
  // An open loop measures latencies. A reader that sleeps would have the server wake it (an interrupt to another
  // processor, in a virtual machine by way of its host), as often as the scheduler's moods have it.
  const int patience = publishing_ && options_.rate > 0 ? 0 : kTurnMilliseconds;
  const int ready = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), patience);
  for (int i = 0; i < ready; ++i) {
    const std::uint64_t tag = events[static_cast<std::size_t>(i)].data.u64;
    if (tag == kPublisher) {
      publisher_->flush();
      publisher_->receive(buffer_);
      if (options_.rate == 0) publish_next();
    } else if (tag == kTimer) {
      publish_due();
    } else if (tag == kInput) {
      std::array<char, 256> ignored{};
      input_ended_ = ::read(STDIN_FILENO, ignored.data(), ignored.size()) <= 0;
    } else {
      Subscriber& subscriber = subscribers_[static_cast<std::size_t>(tag)];
      subscriber.receive(buffer_, tally_);
      if (subscriber.closed()) epoll_ctl(epoll_, EPOLL_CTL_DEL, subscriber.descriptor(), nullptr);
    }
  }
  if (publisher_ && publisher_->pending() != publisher_waits_) {
    publisher_waits_ = publisher_->pending();
    watch(publisher_->descriptor(), kPublisher, EPOLL_CTL_MOD, EPOLLIN | (publisher_waits_ ? EPOLLOUT : 0U));
  }
  send_heartbeats();
}

// Closed loop: the next requests once all are answered, until the time is over.
void Round::publish_next() {
  if (!publishing_ || publisher_->unanswered() > 0) return;
  const std::uint64_t time = now();
  if (time < end_) {
    publisher_->publish(options_.window, time);
  } else {
    publishing_ = false;
  }
}

// Open loop: the request that is due and those that should have been sent already, each with the time when it was due,
// so that a server that holds up the sender is charged for it.
void Round::publish_due() {
  std::uint64_t expirations = 0;
  if (::read(timer_, &expirations, sizeof expirations) != sizeof expirations) return;
  for (const std::uint64_t time = now(); publishing_;) {
    const std::uint64_t due = first_ + requests_ * options_.batch * kSecond / options_.rate;
    if (due > time) return;
    if (due >= end_) {
      publishing_ = false;
      itimerspec never{};
      timerfd_settime(timer_, 0, &never, nullptr);
      return;
    }
    publisher_->publish(1, due);
    ++requests_;
  }
}

void Round::start_timer(std::uint64_t first) const {
  const std::uint64_t interval = std::max<std::uint64_t>(1, options_.batch * kSecond / options_.rate);
  const auto time = [](std::uint64_t nanoseconds) {
    return timespec{.tv_sec = static_cast<time_t>(nanoseconds / kSecond),
                    .tv_nsec = static_cast<long>(nanoseconds % kSecond)};
  };
  const itimerspec times{.it_interval = time(interval), .it_value = time(first)};
  timerfd_settime(timer_, TFD_TIMER_ABSTIME, &times, nullptr);
}

bool Round::all_has_come() const {
  if (publisher_->unanswered() > 0) return false;
  const std::uint64_t published = publisher_->published();
  return std::ranges::all_of(subscribers_, [published](const Subscriber& subscriber) {
    return subscriber.newest() == published || subscriber.closed();
  });
}

std::uint64_t Round::lost() const {
  const std::uint64_t published = publisher_->published();
  std::uint64_t lost = options_.conflate ? 0 : tally_.skipped;
  for (const Subscriber& subscriber : subscribers_) {
    const std::uint64_t missing = published - std::min(published, subscriber.newest());
    lost += options_.conflate ? static_cast<std::uint64_t>(missing > 0) : missing;
  }
  return lost;
}

// Spread evenly, so that they are no burst of their own.
void Round::send_heartbeats() {
  if (subscribers_.empty()) return;
  for (const std::uint64_t time = now(); heartbeat_due_ <= time; heartbeat_due_ += kHeartbeat / subscribers_.size()) {
    subscribers_[next_heartbeat_++ % subscribers_.size()].heartbeat();
  }
}

}  // namespace polyglot::load
