// Events as publishers send them: {"type": <string>, "data": <any JSON>}, one alone, in a batch, or for several
// channels.
//
// What is kept and delivered is the envelope (core/envelope.hpp), which has an id (core/event_id.hpp) and a time
// (core/timestamp.hpp).
//
// Thread safety: values and pure functions.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "core/envelope.hpp"
#include "core/epoch.hpp"
#include "core/event_id.hpp"
#include "core/status.hpp"
#include "core/timestamp.hpp"

namespace polyglot::core {

inline constexpr std::size_t kMaxTypeLength = 256;  // bytes between the quotes, as sent
inline constexpr std::size_t kEventWrapping = 17;   // bytes of {"type":,"data":}
inline constexpr std::size_t kMaxBatchEvents = 1000;
inline constexpr std::size_t kMaxBroadcastChannels = 100;

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

}  // namespace polyglot::core
