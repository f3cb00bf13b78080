// History: the events of all channels, appended in order and read back by offset.
//
// Appending takes the segment's lock once for any number of events and commits each by one store of its channel's
// `last`. Reading takes no lock: the events are copied, then it is checked that the tail has not passed them and that
// the channel is still in the same life; what was passed meanwhile is treated as gone, which it is. (A channel that
// seems not to exist is looked up once more under the lock, and so is one that writers outrun eight times in a row.)
//
// Thread safety: all of it, across threads and processes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/ack.hpp"
#include "core/buffer.hpp"
#include "core/channel_table.hpp"
#include "core/counters.hpp"
#include "core/idempotency.hpp"
#include "core/record.hpp"
#include "core/replica.hpp"
#include "core/segment.hpp"
#include "core/wake.hpp"

namespace polyglot::core {

// One event to append, and what became of it.
struct Append {
  // REQUIRES: app and channel passed their checks; the envelope ends with `"offset":` (event.hpp), carries this id, and
  // has kMaxOffsetLength writable bytes behind it, where its end is written. Once appended it is the whole envelope.
  std::string_view app;
  std::string_view channel;
  std::span<char> envelope = {};
  Ulid id;
  TimeUs time;
  const IdempotencyKey* key = nullptr;

  // Ok, or: idempotency_mismatch, overloaded (no room for one more key), payload_too_large (more than a quarter of the
  // log).
  Status status = {};
  std::uint64_t offset = 0;
  std::uint64_t epoch = 0;
  // True when the key was known: id, time, offset and epoch are then those of the first time, and nothing was appended.
  bool replayed = false;
  // True when it waits on this host for its engine; offset and epoch are not known yet.
  bool spooled = false;

  Ack ack() const { return {id, time, offset, epoch, replayed, spooled}; }
};

inline constexpr std::size_t kMaxMessage = 65536;  // bytes of a message to the feeds

enum class GapReason : std::uint8_t { none, overwritten, expired, epoch_changed, beyond_end };
std::string_view gap_reason_text(GapReason reason);

struct HistoryQuery {
  std::optional<std::uint64_t> since = {};  // events after this offset; without it the newest ones
  std::optional<std::uint64_t> until = {};  // and up to this offset
  std::optional<std::uint64_t> epoch = {};  // that `since` belongs to; the present one when not given
  std::uint32_t limit = 100;                // 0: only where the channel stands
  bool reverse = false;                     // newest first, and with a range the newest of it
  std::uint64_t size = ~std::uint64_t{0};   // only so many newest events count as kept
  TimeUs not_before = 0;                    // only events from this time on count as kept
  std::size_t lead = 0;                     // bytes left free before the events, for what the caller puts there
  std::size_t enough = ~std::size_t{0};     // bytes of events after which the page ends, with one event at least
};

struct HistoryItem {
  std::uint64_t offset;
  TimeUs time;
  std::size_t begin;  // in HistoryPage::bytes
  std::size_t size;
};

struct HistoryPage {
  std::uint64_t epoch = 0;
  std::uint64_t first = 1;  // oldest readable offset; last + 1 when there is none
  std::uint64_t last = 0;   // newest offset
  TimeUs newest = 0;        // time of the newest event; 0: there is none, or none that can be read
  Buffer bytes = {};        // HistoryQuery::lead bytes, then the envelopes, a comma after each but the last
  std::vector<HistoryItem> items = {};
  // What is missing right after `since`; both ends are 0 when it cannot be known.
  GapReason gap = GapReason::none;
  std::uint64_t gap_from = 0;
  std::uint64_t gap_to = 0;
};

class History {
 public:
  explicit History(Segment& segment)
      : segment_(segment),
        map_(segment.map()),
        table_(map_),
        window_(map_),
        waker_(segment),
        counters_(map_, segment.worker()) {}

  void append(std::span<Append> appends);
  // Tells every feed of the host, whatever it watches (FeedNews::messages); no history shows it and no offset counts
  // it, and who follows from later on never learns of it. payload_too_large beyond kMaxMessage bytes.
  // REQUIRES: app and channel passed their checks or are empty.
  Status announce(std::string_view app, std::string_view channel, std::string_view payload);
  // `page` is overwritten; its storage is reused.
  void read(std::string_view app, std::string_view channel, const HistoryQuery& query, HistoryPage& page);
  // Ends the channel's past; returns its new epoch.
  std::uint64_t forget(std::string_view app, std::string_view channel);

  // For a channel whose events are kept elsewhere, and here in part.
  //
  // Whether it has a life here.
  bool holds(std::string_view app, std::string_view channel) const {
    return table_.find(ChannelKey(app, channel, map_.header().seed)).has_value();
  }
  // Takes over those of the events that are not here yet. False, and nothing is done, when they do not follow what is
  // here: another epoch, or a hole before them.
  bool replicate(std::string_view app, std::string_view channel, const Replica& replica);
  // The channel is from now on what the replica says, which for its readers happens at once. `seen`: the epoch that was
  // here (HistoryPage::epoch) before the replica was asked for. What was taken over of the same epoch since then stays.
  // False, and nothing is done, when the epoch is no longer `seen`, or what would have to stay does not follow the
  // replica: then another one has to be asked for.
  bool replace(std::string_view app, std::string_view channel, std::uint64_t seen, const Replica& replica);
  // The names of the app's live channels that are greater than `after`, in order, at most `limit`.
  std::vector<std::string> list(std::string_view app, std::string_view after, std::size_t limit) const;
  std::size_t channels() const;
  std::size_t channels(std::string_view app) const;
  // Bytes of the log that hold something: what was appended and not overwritten yet.
  std::uint64_t log_used() const;
  // The time of the oldest event whose record the log has, though its channel may show it no longer; 0: there is none.
  TimeUs oldest() const;
  // Everything appended before this position is what sync() has to bring to the disk.
  std::uint64_t head() const { return map_.header().head.load(std::memory_order_acquire); }

 private:
  struct Prepared;

  // All of these need the lock.
  void append_one(Append& append, const Prepared& prepared);
  std::uint64_t make_room(std::uint64_t bytes);
  void write_record(RecordHeader& header, const char* payload, std::uint32_t payload_crc);
  // The record, which is written, is the channel's newest event from now on.
  void commit(ChannelSlot& slot, ChannelLife& life, const RecordHeader& record) {
    map_.ring(record.channel, record.offset).store(record.position, std::memory_order_release);
    life.last.store(record.offset, std::memory_order_release);  // the commit
    slot.touched.store(record.position, std::memory_order_relaxed);
    slot.newest_us.store(static_cast<std::uint64_t>(record.time_us), std::memory_order_relaxed);
    map_.header().head.store(record.position + record_bytes(record.payload), std::memory_order_release);
  }
  // The channel's next life, which nobody sees before its generation is stored.
  ChannelLife& next_life(ChannelSlot& slot, std::uint64_t generation, std::uint64_t epoch, std::uint64_t first,
                         std::uint64_t last);
  // Tells the followers of a new life, of which they would otherwise learn with the next event.
  void append_life_notice(const ChannelKey& key, std::uint32_t channel, std::uint64_t epoch, TimeUs newest);
  // Writes the record of a replica's event; its place in the ring and its commit are left. Nothing when it is too large
  // or no event of this channel.
  struct Copy;
  std::optional<RecordHeader> write_copy(const ChannelKey& key, std::uint32_t channel, std::uint64_t epoch,
                                         const Copy& copy);
  // Appends a record for the feeds, whose payload is complete in `text`, and moves the head over it.
  void append_notice(RecordHeader& header, std::string_view text, std::uint32_t text_crc);

  bool try_read(const ChannelRef& ref, const HistoryQuery& query, HistoryPage& page) const;
  bool copy_event(const ChannelRef& ref, std::uint64_t epoch, std::uint64_t offset, HistoryPage& page) const;
  struct Found {
    RecordHeader record;
    const std::byte* payload;
  };
  std::optional<Found> find_record(const ChannelRef& ref, std::uint64_t offset) const;
  std::uint64_t first_readable(const ChannelRef& ref, std::uint64_t first, std::uint64_t last) const;

  void count_wakes(unsigned woken) {
    if (woken != 0) counters_.add(Counter::wakes, woken);
  }

  Segment& segment_;
  SegmentMap map_;
  ChannelTable table_;  // its eviction candidates are guarded by the segment's lock
  IdempotencyWindow window_;
  Waker waker_;
  Counters counters_;
};

}  // namespace polyglot::core
