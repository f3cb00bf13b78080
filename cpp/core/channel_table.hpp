// The channel table: from (app, channel) to the slot that holds its state, and which channel goes when the table is
// full.
//
// Open addressing with linear probing over bucket -> slot; a bucket is 0 (empty), kTombstone, or slot index + 1. When
// no slot is free, the channel whose newest append is the oldest is evicted: its past ends, and so the void epoch
// changes.
//
// Thread safety: find may run at any time beside a writer. It may miss a channel that is being moved at that moment, so
// a miss that matters is confirmed under the lock. All else needs the lock.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>

#include "core/segment_layout.hpp"

namespace polyglot::core {

struct ChannelRef {
  std::uint32_t index;
  std::uint64_t generation;  // at which the slot held the channel
};

// A name in the form in which slots keep it, and its hash.
struct ChannelKey {
  ChannelKey(std::string_view app, std::string_view channel, std::uint64_t seed);
  ChannelName name;
  std::uint64_t hash;
};

class ChannelTable {
 public:
  explicit ChannelTable(const SegmentMap& map) : map_(map) {}

  std::optional<ChannelRef> find(const ChannelKey& key) const;

  // REQUIRES: the segment's lock. `evicted` is set when a channel had to go.
  ChannelRef find_or_create(const ChannelKey& key, bool& evicted);

  // Builds the buckets anew from the live slots. REQUIRES: the segment's lock.
  static void rebuild(const SegmentMap& map);

 private:
  struct Candidate {
    std::uint32_t index;
    std::uint64_t generation;
    std::uint64_t touched;
  };

  std::uint32_t take_slot(bool& evicted);
  void find_candidates();

  SegmentMap map_;
  // The least recently touched channels at the last scan, oldest first. One that was not touched since is still the
  // oldest of all.
  std::deque<Candidate> candidates_;
};

// Name of a live slot as of `generation`; false when the slot has moved on.
bool read_name(const SegmentMap& map, const ChannelRef& ref, ChannelName& name);
inline std::string_view app_of(const ChannelName& name) {
  return {name.text.data(), name.app_length};
}
inline std::string_view channel_of(const ChannelName& name) {
  return {name.text.data() + name.app_length, name.channel_length};
}

}  // namespace polyglot::core
