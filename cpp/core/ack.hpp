// Ack: what a publisher is told of an event that was taken.
//
// Thread safety: values and pure functions.
#pragma once

#include <cstdint>
#include <string>

#include "core/event_id.hpp"

namespace polyglot::core {

struct Ack {
  Ulid id;
  TimeUs time;
  std::uint64_t offset;
  std::uint64_t epoch;
  bool replayed;         // it had been taken before, under the same idempotency key
  bool spooled = false;  // it waits on this host for its engine, which will say offset and epoch
};

// {"id":"evt_…","timestamp":"…","offset":42,"epoch":"…"}, or with "spooled":true in place of offset and epoch.
void append_ack_json(std::string& out, const Ack& ack);
// The same without the braces.
void append_ack_members(std::string& out, const Ack& ack);

}  // namespace polyglot::core
