// DeliveryMeter: what goes to subscribers, counted by app, and how long it was on its way.
//
// It gathers what is sent in a turn of the loop and adds it to the shared counters at the turn's end, with one look at
// the clock: so a delivery costs no atomic operation and no clock. The lag of a send is that of its oldest event at the
// end of the turn.
//
// Thread safety: one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/counters.hpp"
#include "core/timestamp.hpp"

namespace polyglot::server {

class DeliveryMeter {
 public:
  explicit DeliveryMeter(core::Counters& counters) : counters_(counters) {}

  // `place`: of the app (AppTable). `oldest`: time of the oldest event; 0 for what was caught up with from history,
  // which says nothing about the lag.
  void add(std::size_t place, std::uint64_t events, std::uint64_t bytes, core::TimeUs oldest);
  // The turn ends, at `now`.
  void flush(core::TimeUs now);
  // Whether there is something to flush.
  bool has_some() const { return events_ != 0; }

 private:
  void flush_app();

  core::Counters& counters_;
  std::size_t place_ = 0;
  std::uint64_t events_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t sends_ = 0;  // that have a lag
  core::TimeUs oldest_ = 0;
};

}  // namespace polyglot::server
