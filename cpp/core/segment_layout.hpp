// The layout of history.pgs, the file that all workers map. The algorithms are elsewhere; this is only where things
// lie.
//
//   0        +--------------------------------------------------------------------------+
//            | Header          identity, geometry, locks, positions               4 KiB |
//            +--------------------------------------------------------------------------+
//            | WorkerSlot      x 64, one for each live worker: counters, gauges,        |
//            |                 histograms, and what it is to be woken for               |
//            +--------------------------------------------------------------------------+
//            | AppSlots        the apps that have counters of their own                 |
//            +--------------------------------------------------------------------------+
//            | ChannelSlot     x max_channels: name, epoch, newest offset               |
//            +--------------------------------------------------------------------------+
//            | u32             x buckets: hash table, name -> channel slot              |
//            +--------------------------------------------------------------------------+
//            | u64             x max_channels x ring_slots: where each offset's record  |
//            |                 lies in the log; ring_slots > history_size               |
//            +--------------------------------------------------------------------------+
//            | IdempotencySlot x idempotency_slots                                      |
//            +--------------------------------------------------------------------------+
//            | log             log_bytes, one circular byte log of all channels         |
//            +--------------------------------------------------------------------------+
//   Every part begins on a page. Numbers are in the byte order of the machine: the file does not travel.
//
// The log is addressed by positions that only grow; position p lies at byte p % log_bytes. Bytes in [tail, head) are
// valid:
//
//        tail                                   head        tail + log_bytes
//         |  record  |  record  | ... | record  |   free    |
//
//   record:  RecordHeader (48 bytes) | payload | anything up to a multiple of 8
//   A record never wraps. What is left before the end of the log is skipped: by a record of kind filler, or, when not
//   even a RecordHeader fits, unmarked.
//
// The version is raised with every change of this file's meaning; nothing here is ever read from another version. So
// that versions can tell each other's files and users, magic and version stay where they are, and so does how an opener
// takes its turn and shows that it uses the file (segment.hpp).
#pragma once

#include <pthread.h>

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "core/channel.hpp"
#include "core/event.hpp"

namespace polyglot::core {

using SharedU32 = std::atomic<std::uint32_t>;
using SharedU64 = std::atomic<std::uint64_t>;
static_assert(SharedU32::is_always_lock_free && SharedU64::is_always_lock_free,
              "atomics in the file must be address-free");

inline constexpr std::array<char, 8> kSegmentMagic = {'P', 'G', 'S', 'E', 'G', 'M', '\r', '\n'};
inline constexpr std::uint32_t kSegmentVersion = 3;
inline constexpr std::uint64_t kPage = 4096;
inline constexpr std::uint32_t kMaxWorkers = 64;
inline constexpr std::uint64_t kMinLogBytes = 1 << 20;

// What a file was made for. Constant for the life of the file.
struct Geometry {
  std::uint32_t history_size;  // largest history_size of a channel
  std::uint32_t ring_slots;    // power of two, > history_size
  std::uint32_t max_channels;
  std::uint32_t buckets;  // power of two, >= 2 * max_channels
  std::uint64_t idempotency_slots;
  std::uint64_t log_bytes;  // multiple of kPage

  bool operator==(const Geometry&) const = default;
};

struct Header {
  // Written once, before the file gets its name.
  std::array<char, 8> magic;
  std::uint32_t version;
  std::uint32_t identity_crc;  // CRC32C of version, geometry, file_bytes and seed
  Geometry geometry;
  std::uint64_t file_bytes;
  std::uint64_t seed;  // of the hashes over names

  // Which kernel's memory held the file last, and whether it was closed in order since. The text of
  // /proc/sys/kernel/random/boot_id, then zeros.
  std::array<char, 40> boot_id;
  SharedU32 closed;  // 1: its last user closed it and everything was on the disk
  // Thread ids, which the locks below hold, mean something within one PID namespace: that of the first opener.
  std::uint64_t pid_namespace;
  SharedU64 verifying;  // not 0 while verify() is at work: what the new epochs are made from

  // Robust, process-shared. lock: everything below, the channel table, the rings, the log. sync_lock: `synced`.
  alignas(64) std::array<std::byte, 64> lock;
  alignas(64) std::array<std::byte, 64> sync_lock;
  SharedU64 synced;        // everything before this position is on the disk
  SharedU32 disk_refused;  // 1: a flush failed since the first opener came; what it should have written is lost

  // Written by whoever holds the lock, read by all.
  alignas(64) SharedU64 head;
  SharedU64 tail;
  SharedU64 void_epoch;           // epoch of channels that do not exist; changes whenever any channel's past ends
  SharedU32 slots_used;           // channel slots ever used: [0, slots_used)
  SharedU32 table_changing;       // 1 while the hash table and a channel slot are being changed together
  SharedU32 buckets_used;         // hash buckets that are not empty, tombstones included
  SharedU64 idempotency_pending;  // 1 + index of the slot written for an append that is not committed yet; 0: none

  // Workers that wait on their descriptor, one bit each.
  alignas(64) SharedU64 sleeping;
};

inline constexpr std::size_t kCounters = 64;
inline constexpr std::size_t kGauges = 16;
inline constexpr std::size_t kHistograms = 8;
inline constexpr std::size_t kBuckets = 128;
inline constexpr std::size_t kAppCounters = 4;  // the first of all counters, each kept by app
inline constexpr std::size_t kMaxApps = 64;     // with counters of their own
inline constexpr std::size_t kWatchedBits = 8192;

struct WorkerSlot {
  std::array<SharedU64, kCounters> counters;
  struct Histogram {
    std::array<SharedU64, kBuckets> counts;
    SharedU64 sum_ns;
  };
  std::array<Histogram, kHistograms> histograms;
  std::array<std::array<SharedU64, kAppCounters>, kMaxApps + 1> apps;  // by place in AppSlots; the last: all others
  std::array<SharedU64, kGauges> gauges;  // of the worker that has the slot, while it lives

  SharedU64 incarnation;  // random, of the opener that has the slot or had it last
  // What its sleep is to be ended for (wake.hpp): everything, or channels whose name's hash has its bit here.
  SharedU64 watches_all;  // 0 or 1
  std::array<SharedU64, kWatchedBits / 64> watched;
};
// Where a channel's bit is in WorkerSlot::watched: the bit of the whole array, from its name's hash.
constexpr std::size_t watched_bit(std::uint64_t hash) {
  return hash % kWatchedBits;
}

// The apps whose counters are kept apart: the first that published or had readers since the file was made.
struct AppSlots {
  static constexpr std::size_t kPlaces = 4 * kMaxApps;
  // Hash table with linear probing: 1 + the app's slot; 0: none. It is stored last, so whoever finds a slot by it may
  // read that.
  std::array<SharedU32, kPlaces> buckets;
  struct Slot {
    SharedU64 length;  // 0: free
    std::array<char, kMaxAppLength> name;
  };
  std::array<Slot, kMaxApps> slots;
};

// One unbroken past of a channel.
struct ChannelLife {
  SharedU64 epoch;  // never 0
  SharedU64 last;   // newest offset; storing it commits an event
  SharedU64 first;  // nothing before this offset is readable, whatever the ring says
};

struct alignas(8) ChannelName {
  std::uint8_t app_length;
  std::uint8_t channel_length;
  // App, then channel, then zeros up to a multiple of 8; the longest names have room for those too, so that names can
  // be compared word by word.
  std::array<char, kMaxAppLength + kMaxChannelLength + 6> text;
};

struct ChannelSlot {
  // Odd: live. Even: free. Bit 1 chooses the life: flipping to the next odd number swaps the past for a prepared new
  // one in a single store, so that a reader sees one life or the other and a killed writer leaves either.
  SharedU64 generation;
  std::array<ChannelLife, 2> lives;
  SharedU64 touched;    // log position of the newest append: the order of eviction
  SharedU64 newest_us;  // time of the newest record, never falling
  SharedU64 name_hash;
  ChannelName name;
};

enum class RecordKind : std::uint8_t { event = 1, filler = 2, forgotten = 3, message = 4 };

struct RecordHeader {
  std::uint32_t crc;  // CRC32C of the payload, then of this header with a crc of 0
  RecordKind kind;
  std::uint8_t app_length;
  std::uint8_t channel_length;
  std::uint8_t unused;
  std::uint64_t position;  // its own
  std::uint64_t offset;    // within the channel; 0 unless kind is event
  std::uint64_t epoch;
  std::int64_t time_us;
  std::uint32_t channel;  // index of the channel slot
  std::uint32_t payload;  // bytes
};

struct IdempotencySlot {
  std::array<std::uint64_t, 2> key;  // first 128 bits of SHA-256 of app, channel and key; both 0: free
  std::uint64_t event_hash;
  std::int64_t time_us;  // of the event
  Ulid id;
  std::uint64_t offset;
  std::uint64_t epoch;
};

static_assert(sizeof(pthread_mutex_t) <= 64);
static_assert(sizeof(Geometry) == 32);
static_assert(sizeof(Header) <= kPage && std::is_standard_layout_v<Header>);
static_assert(sizeof(ChannelName) == 272);
static_assert(sizeof(ChannelSlot) == 352 && std::is_standard_layout_v<ChannelSlot>);
static_assert(sizeof(RecordHeader) == 48 && std::is_trivially_copyable_v<RecordHeader>);
static_assert(sizeof(IdempotencySlot) == 64 && std::is_trivially_copyable_v<IdempotencySlot>);

constexpr std::uint64_t round_up(std::uint64_t n, std::uint64_t unit) {
  return (n + unit - 1) / unit * unit;
}
inline constexpr std::uint64_t kWorkerBytes = round_up(sizeof(WorkerSlot), kPage);
inline constexpr std::uint64_t kAppBytes = round_up(sizeof(AppSlots), kPage);
constexpr std::uint64_t record_bytes(std::uint64_t payload) {
  return round_up(sizeof(RecordHeader) + payload, 8);
}

// Where the parts of a file of this geometry begin, in bytes.
struct SegmentParts {
  std::uint64_t workers, apps, channels, buckets, rings, idempotency, log, end;

  explicit constexpr SegmentParts(const Geometry& g)
      : workers(kPage),
        apps(workers + kMaxWorkers * kWorkerBytes),
        channels(apps + kAppBytes),
        buckets(channels + round_up(std::uint64_t{g.max_channels} * sizeof(ChannelSlot), kPage)),
        rings(buckets + round_up(std::uint64_t{g.buckets} * sizeof(std::uint32_t), kPage)),
        idempotency(rings + round_up(std::uint64_t{g.max_channels} * g.ring_slots * sizeof(std::uint64_t), kPage)),
        log(idempotency + round_up(g.idempotency_slots * sizeof(IdempotencySlot), kPage)),
        end(log + g.log_bytes) {}
};

// Typed access to a mapped file. Does not own the memory.
class SegmentMap {
 public:
  SegmentMap(std::byte* base, const Geometry& geometry)
      : base_(base),
        geometry_(geometry),
        parts_(geometry),
        laps_per_position_(~std::uint64_t{0} / geometry.log_bytes) {}

  const Geometry& geometry() const { return geometry_; }
  Header& header() const { return *at<Header>(0); }
  WorkerSlot& worker(std::uint32_t i) const { return *at<WorkerSlot>(parts_.workers + i * kWorkerBytes); }
  AppSlots& apps() const { return *at<AppSlots>(parts_.apps); }
  ChannelSlot& channel(std::uint32_t i) const { return *(at<ChannelSlot>(parts_.channels) + i); }
  SharedU32& bucket(std::uint64_t i) const { return *(at<SharedU32>(parts_.buckets) + (i & (geometry_.buckets - 1))); }
  // The log position of the record with this offset.
  SharedU64& ring(std::uint32_t channel, std::uint64_t offset) const {
    return *(at<SharedU64>(parts_.rings) + std::uint64_t{channel} * geometry_.ring_slots +
             (offset & (geometry_.ring_slots - 1)));
  }
  IdempotencySlot& idempotency(std::uint64_t i) const { return *(at<IdempotencySlot>(parts_.idempotency) + i); }
  // Bytes from position to the end of the log, where no record may pass.
  std::uint64_t run(std::uint64_t position) const { return geometry_.log_bytes - place(position); }
  std::byte* log(std::uint64_t position) const { return base_ + parts_.log + place(position); }
  std::byte* log_end() const { return base_ + parts_.end; }
  // The life that `generation` chooses.
  static ChannelLife& life(ChannelSlot& slot, std::uint64_t generation) { return slot.lives[generation >> 1 & 1]; }
  static bool live(std::uint64_t generation) { return (generation & 1) != 0; }

 private:
  // position % log_bytes, by a multiplication, which costs a fraction of a division. The estimate of the laps is never
  // too large, and too small by one at most.
  std::uint64_t place(std::uint64_t position) const {
    __extension__ using Wide = unsigned __int128;
    const auto laps = static_cast<std::uint64_t>(static_cast<Wide>(position) * laps_per_position_ >> 64);
    const std::uint64_t place = position - laps * geometry_.log_bytes;
    return place < geometry_.log_bytes ? place : place - geometry_.log_bytes;
  }

  template <typename T>
  T* at(std::uint64_t offset) const {
    return reinterpret_cast<T*>(base_ + offset);
  }

  std::byte* base_;
  Geometry geometry_;
  SegmentParts parts_;
  std::uint64_t laps_per_position_;  // in units of 2^-64
};

}  // namespace polyglot::core
