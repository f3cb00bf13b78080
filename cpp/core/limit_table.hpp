// The limit table: limits.pgs, the file in which all workers of a data folder count what apps use of their limits.
//
//   +------------------------------------------------------------------------------+
//   | LimitHeader   identity                                                 4 KiB |
//   +------------------------------------------------------------------------------+
//   | LimitSlot     x kLimitSlots, by the hash of the app's name, then the next    |
//   +------------------------------------------------------------------------------+
//
// Nothing in it is worth keeping: an opener that is alone makes it anew, and so does one that finds a file of another
// version or size. Workers that have such a file mapped go on with it, and count apart from the others until they end.
//
// What is open is counted for each worker by itself, at the number that is the worker's in the segment, and only what
// the living have counts. So what a worker had is free the moment it dies.
//
// An app has a slot from its first use on. When all slots are taken, the next app gets that of one which uses nothing
// of its limits; when there is none either, it is refused.
//
// Thread safety: all of it, across threads and processes. A slot is found without a lock.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "core/file_descriptor.hpp"
#include "core/segment.hpp"
#include "core/status.hpp"
#include "core/token_bucket.hpp"

namespace polyglot::core {

inline constexpr std::uint32_t kLimitVersion = 1;
inline constexpr std::uint32_t kLimitSlots = 4096;

// What is counted while it is open.
enum class Quota : std::uint8_t { connections, subscriptions };
std::string_view quota_name(Quota quota);

struct LimitHeader {
  // Written once, before the file gets its name.
  struct Identity {
    std::array<char, 8> magic;
    std::uint32_t version;
    std::uint32_t slots;
    std::uint64_t seed;  // of the hash over names
  };
  Identity identity;
  // Who counts at a number: the incarnation of a worker of the segment. What another one has left there says nothing.
  std::array<SharedU64, kMaxWorkers> counting;
};
static_assert(sizeof(LimitHeader) <= kPage && std::is_standard_layout_v<LimitHeader>);

struct alignas(64) LimitSlot {
  using Name = std::array<SharedU64, kMaxAppLength / 8>;  // then zeros, which no name has

  SharedU64 generation;  // 0: never used; odd: an app's; even: being given to another one
  SharedU64 hash;
  SharedU64 events;  // of TokenBucket
  SharedU64 bytes;
  alignas(64) Name name;
  alignas(64) std::array<std::array<SharedU32, 2>, kMaxWorkers> open;  // by worker and Quota
};
static_assert(sizeof(LimitSlot) == 640 && std::is_standard_layout_v<LimitSlot>);

// Something that is open and counts, until this ends. It must not outlive the table.
class Hold {
 public:
  Hold() = default;  // of an app without limits: nothing is counted
  explicit Hold(SharedU32& count) : count_(&count) {}
  Hold(Hold&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
  Hold& operator=(Hold&& other) noexcept {
    std::swap(count_, other.count_);
    return *this;
  }
  ~Hold() {
    if (count_ != nullptr) count_->fetch_sub(1);
  }

 private:
  SharedU32* count_ = nullptr;
};

class LimitTable {
 public:
  // As Segment::open. `segment` has to outlive the table.
  static Result<std::unique_ptr<LimitTable>> open(const Segment& segment, TokenBucket::Clock clock);
  ~LimitTable();
  LimitTable(const LimitTable&) = delete;
  LimitTable& operator=(const LimitTable&) = delete;

  class Place {
   public:
    Place(LimitSlot& slot, std::uint64_t generation) : slot_(&slot), generation_(generation) {}
    LimitSlot& slot() const { return *slot_; }
    // Whether the slot is still the app's.
    bool holds() const { return slot_->generation.load() == generation_; }

   private:
    LimitSlot* slot_;
    std::uint64_t generation_;
  };
  std::optional<Place> find(std::string_view app) const;
  // The app's place, a new one if need be. overloaded: there is none.
  Result<Place> claim(std::string_view app);

  // Counts one more. rate_limited: there are `most` already; `most` 0 means any number. Else as claim.
  Result<Hold> hold(std::string_view app, Quota quota, std::uint32_t most);
  // How many are open, in all workers that live.
  std::uint32_t count(const LimitSlot& slot, Quota quota) const;

  // Held by one thread of all processes. A holder that dies lets go.
  class Lock {
   public:
    explicit Lock(LimitTable& table);
    ~Lock();
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

   private:
    std::lock_guard<std::mutex> threads_;
    int file_;
  };

 private:
  LimitTable(const Segment& segment, FileDescriptor file, std::byte* base, TokenBucket::Clock clock);
  LimitHeader& header() const { return *reinterpret_cast<LimitHeader*>(base_); }
  LimitSlot& slot(std::uint64_t i) const {
    return *(reinterpret_cast<LimitSlot*>(base_ + kPage) + (i & (kLimitSlots - 1)));
  }
  // Whether what stands at the worker's number is that of one who lives.
  bool counts(std::uint32_t worker) const;
  bool is_idle(const LimitSlot& slot) const;
  // Whether the slot could be taken from its app. REQUIRES: the lock.
  bool take_back(LimitSlot& slot);

  const Segment& segment_;
  FileDescriptor file_;
  std::byte* base_;
  TokenBucket::Clock clock_;
  std::mutex mutex_;
};

}  // namespace polyglot::core
