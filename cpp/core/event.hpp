// Events: what a publisher sends, what the gateway adds, and the envelope that is kept and delivered.
//
// sent:      {"type": <string>, "data": <any JSON>}
// envelope:  {"id":"evt_01JD…","app_id":"demo-app","channel":"room:test","type":"message","data":{"text":"Hello"},
//             "meta":{"user_id":null,"ts":"2025-11-17T18:39:56.107549Z","source_ip":"127.0.0.1"},"offset":42}
//
// (on one line, without spaces). The envelope is serialised once, by append_envelope, all but its end: the offset is
// known only when history gives it, and is written by write_offset. `type` and `data` are copied byte for byte.
//
// Thread safety: values and pure functions; EventIds may be used from several threads.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.hpp"

namespace polyglot::core {

inline constexpr std::size_t kMaxTypeLength = 256;  // bytes between the quotes, as sent
inline constexpr std::size_t kMaxBatchEvents = 1000;
inline constexpr std::size_t kMaxBroadcastChannels = 100;
inline constexpr std::size_t kEventIdLength = 30;    // "evt_" and 26 characters
inline constexpr std::size_t kTimestampLength = 27;  // "2025-11-17T18:39:56.107549Z"

// Microseconds since 1970-01-01T00:00:00Z.
using TimeUs = std::int64_t;

// A ULID (https://github.com/ulid/spec): 48 bits of milliseconds, 80 random bits, big endian; sorts by time.
using Ulid = std::array<std::uint8_t, 16>;

// Gives ids that strictly increase within the process, even when the clock stands still or is set back.
class EventIds {
 public:
  EventIds();
  Ulid next(TimeUs now);

 private:
  std::mutex mutex_;
  std::mt19937_64 random_;
  std::uint64_t milliseconds_ = 0;
  std::uint64_t high_ = 0;  // the upper 16 of the random bits
  std::uint64_t low_ = 0;   // the lower 64
};

// Write exactly kEventIdLength / kTimestampLength characters. Timestamps are RFC 3339 in UTC with six decimals.
void write_event_id(const Ulid& id, char* out);
void write_timestamp(TimeUs time, char* out);
std::string event_id_text(const Ulid& id);
std::string timestamp_text(TimeUs time);

// One event as it was sent; slices of the request body.
struct SentEvent {
  std::string_view channel;  // of a batch, without quotes; empty for a single publish, where the route names it
  std::string_view type;     // with its quotes, escapes untouched; 1..kMaxTypeLength bytes between the quotes
  std::string_view data;     // any JSON value, exactly as sent
  std::size_t position = 0;  // of the event's first byte in the body
};

// The body of a publish. invalid_json when it is not strict JSON (every byte is checked, also those behind an error of
// meaning); invalid_event when it is JSON but not an event: not an object, `type` or `data` missing, `type` not a
// string or of a wrong length, a member given twice, a member that is not known (it names the member).
Result<SentEvent> parse_event(std::string_view body);

// One event of a batch: either parsed or refused on its own. A refused event keeps its channel if it could be read.
struct BatchItem {
  SentEvent event;
  Status status;
};

// {"events":[{"channel":…,"type":…,"data":…},…]}. The whole body must be strict JSON of this shape
// with 1..kMaxBatchEvents events, else one Status for all; an item that is not an event is refused alone. The name of a
// channel is not checked here, but it must be written without escapes, which no character of a name needs: it is handed
// out as a slice.
Result<std::vector<BatchItem>> parse_batch(std::string_view body);
// application/x-ndjson: one such event a line, lines end with \n or \r\n, empty lines are skipped. A line that is not
// JSON is refused alone; a Status for all only when there is no event or more than kMaxBatchEvents. Positions count
// from the start of the body.
Result<std::vector<BatchItem>> parse_ndjson(std::string_view body);

struct Broadcast {
  std::vector<std::string_view> channels;  // 1..kMaxBroadcastChannels, without quotes; names are not checked here
  SentEvent event;
};
// {"channels":[…],"type":…,"data":…}; a channel named twice is invalid_event.
Result<Broadcast> parse_broadcast(std::string_view body);

// What the gateway adds.
struct EventMeta {
  std::string_view app;
  std::string_view channel;
  Ulid id;
  TimeUs time;
  std::string_view user_id;    // UTF-8 text; empty is written as null
  std::string_view source_ip;  // UTF-8 text; empty is written as null
};

// Appends the envelope up to and with `"offset":` to `out`.
// REQUIRES: app and channel passed check_app and check_channel; the event came from a parse_* function.
void append_envelope(std::string& out, const EventMeta& meta, const SentEvent& event);

// The end of the envelope: `42}`. Writes at most kMaxOffsetLength bytes and returns how many.
inline constexpr std::size_t kMaxOffsetLength = 21;
std::size_t write_offset(std::uint64_t offset, char* out);

// The id in an envelope made by append_envelope. REQUIRES: envelope.size() >= 7 + kEventIdLength.
inline std::string_view envelope_id(std::string_view envelope) {
  return envelope.substr(7, kEventIdLength);
}

// Epochs are written as 16 lower-case hex digits.
void write_epoch(std::uint64_t epoch, char* out);
std::string epoch_text(std::uint64_t epoch);
// False unless text is exactly 16 hex digits of either case.
bool parse_epoch(std::string_view text, std::uint64_t& epoch);

}  // namespace polyglot::core
