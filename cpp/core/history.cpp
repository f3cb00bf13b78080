#include "core/history.hpp"

#include <algorithm>
#include <cstring>

#include "core/checksum.hpp"
#include "core/record.hpp"
#include "core/shared_bytes.hpp"

namespace polyglot::core {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kAcquire = std::memory_order_acquire;
constexpr auto kRelease = std::memory_order_release;
constexpr int kAttempts = 8;
constexpr std::uint64_t kLooksForOldest = std::uint64_t{1} << 18;  // each of 8 bytes; more than a record has

}  // namespace

std::string_view gap_reason_text(GapReason reason) {
  static constexpr std::array<std::string_view, 5> kTexts = {"none", "overwritten", "expired", "epoch_changed",
                                                             "beyond_end"};
  return kTexts[static_cast<std::size_t>(reason)];
}

// What can be worked out before the lock is taken.
struct History::Prepared {
  Prepared(const Append& append, const ChannelTable& table, std::uint64_t seed)
      : key(append.app, append.channel, seed),
        crc(crc32c(0, append.envelope.data(), append.envelope.size())),
        ref(table.find(key)) {}

  ChannelKey key;
  std::uint32_t crc;  // between the writing and the reading of the key, which by then is in the cache
  std::optional<ChannelRef> ref;
};

void History::append(std::span<Append> appends) {
  if (appends.size() == 1) {
    const Prepared prepared(appends.front(), table_, map_.header().seed);
    {
      const Segment::Lock lock(segment_);
      append_one(appends.front(), prepared);
    }
    count_wakes(waker_.wake({&prepared.key.hash, 1}));
  } else {
    std::vector<Prepared> prepared;
    std::vector<std::uint64_t> hashes;
    prepared.reserve(appends.size());
    hashes.reserve(appends.size());
    for (const Append& append : appends) {
      hashes.push_back(prepared.emplace_back(append, table_, map_.header().seed).key.hash);
    }
    {
      const Segment::Lock lock(segment_);
      for (std::size_t i = 0; i < appends.size(); ++i) append_one(appends[i], prepared[i]);
    }
    count_wakes(waker_.wake(hashes));
  }
}

void History::append_one(Append& append, const Prepared& prepared) {
  Header& header = map_.header();
  std::optional<std::uint64_t> key_slot;
  if (append.key != nullptr) {
    const auto found = window_.find(*append.key, append.time);
    using Kind = IdempotencyWindow::Found::Kind;
    if (found.kind == Kind::mismatch) {
      append.status =
          Status(Code::idempotency_mismatch, "The Idempotency-Key was used before in this channel, with another body.");
      return;
    }
    if (found.kind == Kind::full) {
      append.status = Status(Code::overloaded,
                             "The idempotency window has no room for another key; idempotency_keys sets its size.");
      return;
    }
    if (found.kind == Kind::known) {
      const IdempotencySlot& slot = map_.idempotency(found.index);
      append.id = slot.id;
      append.time = slot.time_us;
      append.offset = slot.offset;
      append.epoch = slot.epoch;
      append.replayed = true;
      return;
    }
    key_slot = found.index;
  }
  const std::uint64_t bytes = record_bytes(append.envelope.size() + kMaxOffsetLength);
  if (bytes > map_.geometry().log_bytes / 4) {
    append.status = Status(Code::payload_too_large, "The event is larger than a quarter of history_bytes.");
    return;
  }

  ChannelRef ref{};
  if (prepared.ref && map_.channel(prepared.ref->index).generation.load(kRelaxed) == prepared.ref->generation) {
    ref = *prepared.ref;
  } else {
    bool evicted = false;
    ref = table_.find_or_create(prepared.key, evicted);
    if (evicted) counters_.add(Counter::evictions);
  }
  ChannelSlot& slot = map_.channel(ref.index);
  ChannelLife& life = SegmentMap::life(slot, ref.generation);
  append.epoch = life.epoch.load(kRelaxed);
  append.offset = life.last.load(kRelaxed) + 1;

  char* ending = append.envelope.data() + append.envelope.size();
  const std::size_t ending_size = write_offset(append.offset, ending);
  RecordHeader record{};
  record.kind = RecordKind::event;
  record.app_length = prepared.key.name.app_length;
  record.channel_length = prepared.key.name.channel_length;
  record.position = make_room(bytes);
  record.offset = append.offset;
  record.epoch = append.epoch;
  record.time_us = std::max(append.time, static_cast<TimeUs>(slot.newest_us.load(kRelaxed)));
  record.channel = ref.index;
  append.envelope = {append.envelope.data(), append.envelope.size() + ending_size};
  record.payload = static_cast<std::uint32_t>(append.envelope.size());
  write_record(record, append.envelope.data(), crc32c(prepared.crc, ending, ending_size));

  if (key_slot) {
    header.idempotency_pending.store(*key_slot + 1, kRelease);
    window_.write(*key_slot,
                  {append.key->key, append.key->event_hash, append.time, append.id, append.offset, append.epoch});
  }
  commit(slot, life, record);
  if (key_slot) header.idempotency_pending.store(0, kRelease);
}

std::uint64_t History::make_room(std::uint64_t bytes) {
  Header& header = map_.header();
  std::uint64_t head = header.head.load(kRelaxed);
  const std::uint64_t run = map_.run(head);
  const std::uint64_t skipped = run < bytes ? run : 0;
  const std::uint64_t end = head + skipped + bytes;
  if (end > map_.geometry().log_bytes && end - map_.geometry().log_bytes > header.tail.load(kRelaxed)) {
    header.tail.store(end - map_.geometry().log_bytes, kRelaxed);
  }
  // Readers who see any byte written from here on also see the tail.
  std::atomic_thread_fence(kRelease);
  if (skipped != 0) {
    if (skipped >= sizeof(RecordHeader)) {
      RecordHeader filler{};
      filler.kind = RecordKind::filler;
      filler.position = head;
      filler.payload = static_cast<std::uint32_t>(skipped - sizeof(RecordHeader));
      store_record(map_.log(head), filler);
    }
    head += skipped;
    header.head.store(head, kRelease);
  }
  return head;
}

void History::write_record(RecordHeader& header, const char* payload, std::uint32_t payload_crc) {
  header.crc = record_crc(payload_crc, header);
  std::byte* at = map_.log(header.position);
  store_record(at, header);
  store_shared(at + sizeof(header), payload, header.payload);
}

Status History::announce(std::string_view app, std::string_view channel, std::string_view payload) {
  if (payload.size() > kMaxMessage) {
    return {Code::payload_too_large, "The message has " + std::to_string(payload.size()) + " bytes; allowed are " +
                                         std::to_string(kMaxMessage) + "."};
  }
  std::string text;
  text.reserve(app.size() + channel.size() + payload.size());
  text.append(app).append(channel).append(payload);
  const std::uint32_t crc = crc32c(0, text.data(), text.size());
  RecordHeader record{};
  record.kind = RecordKind::message;
  record.app_length = static_cast<std::uint8_t>(app.size());
  record.channel_length = static_cast<std::uint8_t>(channel.size());
  {
    const Segment::Lock lock(segment_);
    append_notice(record, text, crc);
  }
  count_wakes(waker_.wake_all());
  return {};
}

void History::append_notice(RecordHeader& header, std::string_view text, std::uint32_t text_crc) {
  header.payload = static_cast<std::uint32_t>(text.size());
  header.position = make_room(record_bytes(text.size()));
  write_record(header, text.data(), text_crc);
  map_.header().head.store(header.position + record_bytes(text.size()), kRelease);
}

void History::read(std::string_view app, std::string_view channel, const HistoryQuery& query, HistoryPage& page) {
  const ChannelKey key(app, channel, map_.header().seed);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const auto ref = table_.find(key);
    if (!ref) break;
    if (try_read(*ref, query, page)) return;
  }
  const Segment::Lock lock(segment_);
  if (const auto ref = table_.find(key); ref && try_read(*ref, query, page)) return;
  page = HistoryPage{.bytes = std::move(page.bytes), .items = std::move(page.items)};
  page.bytes.clear();
  page.bytes.grow(query.lead);
  page.items.clear();
  page.epoch = map_.header().void_epoch.load(kRelaxed);
  if (query.since && query.epoch && *query.epoch != page.epoch)
    page.gap = GapReason::epoch_changed;
  else if (query.since && *query.since > 0)
    page.gap = GapReason::beyond_end;
}

// The record of an offset, and where it lies; nothing when it has been overwritten.
std::optional<History::Found> History::find_record(const ChannelRef& ref, std::uint64_t offset) const {
  const std::uint64_t position = map_.ring(ref.index, offset).load(kAcquire);
  const std::uint64_t run = map_.run(position);
  if (position % 8 != 0 || run < sizeof(RecordHeader)) return std::nullopt;
  const std::byte* at = map_.log_end() - run;
  const RecordHeader record = load_record(at);
  std::atomic_thread_fence(kAcquire);
  if (position < map_.header().tail.load(kRelaxed)) return std::nullopt;
  const bool right = record.position == position && record.offset == offset && record.channel == ref.index &&
                     record.payload <= run - sizeof(RecordHeader);
  return right ? std::optional(Found{record, at + sizeof(record)}) : std::nullopt;
}

// Smallest offset in [first, last + 1] whose record the tail has not passed.
std::uint64_t History::first_readable(const ChannelRef& ref, std::uint64_t first, std::uint64_t last) const {
  const std::uint64_t reach = map_.geometry().history_size;
  first = std::max(first, last >= reach ? last - reach + 1 : 1);
  const std::uint64_t tail = map_.header().tail.load(kAcquire);
  auto gone = [&](std::uint64_t offset) { return map_.ring(ref.index, offset).load(kRelaxed) < tail; };
  std::uint64_t end = last + 1;
  if (first >= end || !gone(first)) return std::min(first, end);
  while (first < end) {
    const std::uint64_t middle = first + (end - first) / 2;
    if (gone(middle)) {
      first = middle + 1;
    } else {
      end = middle;
    }
  }
  return first;
}

bool History::copy_event(const ChannelRef& ref, std::uint64_t epoch, std::uint64_t offset, HistoryPage& page) const {
  const auto found = find_record(ref, offset);
  if (!found || found->record.epoch != epoch) return false;
  const std::uint32_t size = found->record.payload;
  const std::size_t comma = page.items.empty() ? 0 : 1;
  char* const place = page.bytes.grow(comma + size);
  if (comma != 0) *place = ',';
  load_shared(place + comma, found->payload, size);
  std::atomic_thread_fence(kAcquire);
  if (found->record.position < map_.header().tail.load(kRelaxed)) return false;
  page.items.push_back({offset, found->record.time_us, page.bytes.size() - size, size});
  return true;
}

// False when writers got in the way and the reading must begin again.
bool History::try_read(const ChannelRef& ref, const HistoryQuery& query, HistoryPage& page) const {
  page.bytes.clear();
  page.bytes.grow(query.lead);
  page.items.clear();
  ChannelSlot& slot = map_.channel(ref.index);
  const ChannelLife& life = SegmentMap::life(slot, ref.generation);
  page.epoch = life.epoch.load(kRelaxed);
  page.last = life.last.load(kAcquire);
  const std::uint64_t kept = first_readable(ref, life.first.load(kRelaxed), page.last);
  page.first = std::max(kept, page.last >= query.size ? page.last - query.size + 1 : 1);
  std::uint64_t end = page.last + 1;
  if (query.not_before > 0) {
    // Times never fall within a channel.
    std::uint64_t low = page.first, high = end;
    while (low < high) {
      const std::uint64_t middle = low + (high - low) / 2;
      const auto found = find_record(ref, middle);
      if (!found) return false;
      if (found->record.time_us < query.not_before) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    page.gap = low > page.first ? GapReason::expired : GapReason::overwritten;
    page.first = low;
  } else {
    page.gap = GapReason::overwritten;
  }

  page.newest = page.first < end ? static_cast<TimeUs>(slot.newest_us.load(kRelaxed)) : 0;

  // page.gap holds the reason for which events before page.first are gone, should there be a gap.
  std::uint64_t begin = page.first;
  page.gap_from = page.gap_to = 0;
  if (query.since) {
    const bool void_before =
        query.epoch && *query.epoch == map_.header().void_epoch.load(kRelaxed) && *query.since == 0;
    if (query.epoch && *query.epoch != page.epoch && !void_before) {
      page.gap = GapReason::epoch_changed;
    } else if (*query.since > page.last) {
      page.gap = GapReason::beyond_end;
    } else if (*query.since + 1 < page.first) {
      page.gap_from = *query.since + 1;
      page.gap_to = page.first - 1;
    } else {
      page.gap = GapReason::none;
      begin = *query.since + 1;
    }
  } else {
    page.gap = GapReason::none;
  }
  if (query.until) end = std::min(end, *query.until == ~std::uint64_t{0} ? end : *query.until + 1);
  if (begin < end && end - begin > query.limit) {
    if (query.since && !query.reverse) {
      end = begin + query.limit;
    } else {
      begin = end - query.limit;
    }
  }
  for (std::uint64_t n = 0; begin + n < end; ++n) {
    if (!copy_event(ref, page.epoch, query.reverse ? end - 1 - n : begin + n, page)) return false;
    if (page.bytes.size() - query.lead >= query.enough) break;
  }
  std::atomic_thread_fence(kAcquire);
  return slot.generation.load(kRelaxed) == ref.generation;
}

std::vector<std::string> History::list(std::string_view app, std::string_view after, std::size_t limit) const {
  std::vector<std::string> found;
  const std::uint32_t used = std::min(map_.header().slots_used.load(kAcquire), map_.geometry().max_channels);
  for (std::uint32_t i = 0; i < used; ++i) {
    const ChannelRef ref{i, map_.channel(i).generation.load(kAcquire)};
    ChannelName name;
    if (!SegmentMap::live(ref.generation) || !read_name(map_, ref, name)) continue;
    if (app_of(name) == app && channel_of(name) > after) found.emplace_back(channel_of(name));
  }
  std::sort(found.begin(), found.end());
  // A channel that moves to another slot during the walk may have been met in both.
  found.erase(std::unique(found.begin(), found.end()), found.end());
  if (found.size() > limit) found.resize(limit);
  return found;
}

std::uint64_t History::log_used() const {
  const std::uint64_t tail = map_.header().tail.load(kAcquire);
  return head() - std::min(tail, head());
}

std::size_t History::channels(std::string_view app) const {
  std::size_t live = 0;
  const std::uint32_t used = std::min(map_.header().slots_used.load(kAcquire), map_.geometry().max_channels);
  for (std::uint32_t i = 0; i < used; ++i) {
    const ChannelRef ref{i, map_.channel(i).generation.load(kAcquire)};
    ChannelName name;
    if (SegmentMap::live(ref.generation) && read_name(map_, ref, name) && app_of(name) == app) ++live;
  }
  return live;
}

TimeUs History::oldest() const {
  // The tail lies anywhere in a record that is half overwritten. The next one is known by having its own position.
  std::uint64_t position = map_.header().tail.load(kAcquire);
  for (std::uint64_t looks = 0; looks < kLooksForOldest && position < head(); ++looks) {
    const std::uint64_t run = map_.run(position);
    if (run < sizeof(RecordHeader)) {
      position += run;
      continue;
    }
    const RecordHeader record = load_record(map_.log(position));
    if (record.position != position || record.payload > run - sizeof(RecordHeader)) {
      position += 8;
      continue;
    }
    std::atomic_thread_fence(kAcquire);
    const std::uint64_t tail = map_.header().tail.load(kRelaxed);
    if (position >= tail && record.kind == RecordKind::event) return record.time_us;
    position = std::max(position + record_bytes(record.payload), tail);
  }
  return 0;
}

std::size_t History::channels() const {
  std::size_t live = 0;
  const std::uint32_t used = std::min(map_.header().slots_used.load(kAcquire), map_.geometry().max_channels);
  for (std::uint32_t i = 0; i < used; ++i) live += SegmentMap::live(map_.channel(i).generation.load(kRelaxed)) ? 1 : 0;
  return live;
}

}  // namespace polyglot::core
