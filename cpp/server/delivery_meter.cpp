#include "server/delivery_meter.hpp"

#include <algorithm>
#include <utility>

namespace polyglot::server {

using core::Counter;

void DeliveryMeter::add(std::size_t place, std::uint64_t events, std::uint64_t bytes, core::TimeUs oldest) {
  if (events == 0) return;
  if (place != place_) flush_app();
  place_ = place;
  events_ += events;
  bytes_ += bytes;
  if (oldest == 0) return;
  oldest_ = sends_ == 0 ? oldest : std::min(oldest_, oldest);
  ++sends_;
}

void DeliveryMeter::flush_app() {
  if (events_ == 0) return;
  counters_.add_app(place_, Counter::deliveries, std::exchange(events_, 0));
  counters_.add_app(place_, Counter::delivery_bytes, std::exchange(bytes_, 0));
}

void DeliveryMeter::flush(core::TimeUs now) {
  flush_app();
  if (sends_ != 0) counters_.add_time(core::Timer::delivery, (now - oldest_) * 1000, std::exchange(sends_, 0));
}

}  // namespace polyglot::server
