// The segment: history.pgs opened, checked and mapped; its lock; its durability.
//
// Opening. All openers of a data folder go one after the other (flock on history.lock). Each holds a shared lock on the
// file for as long as it has it mapped; an opener that could have had that lock alone is the first, and only it may
// create, verify or set aside the file and make its mutexes anew. So no lock left by a dead process or a dead kernel is
// ever trusted, and the file is never changed under somebody's feet. Locks are OFD locks: the kernel drops them with
// the process.
//
//   no file                          created beside and renamed, its blocks reserved: a full disk shows here, not later
//   not ours, cut short, zero bytes  set aside as history.pgs.damaged-<time>, a new one made, a notice left
//   of another version               set aside as history.pgs.version-<n>-<time>, a new one made, a notice left;
//                                    storage_version while others use it, and nothing is touched
//   made with other sizes            storage_unusable, or storage_busy while others use it; nothing is touched
//   parts of it damaged              repaired by recovery.hpp, a notice left; channels that lost events get a new epoch
//
// Closing. The last user brings everything to the disk and marks the file as closed. A first opener that finds neither
// that mark nor its own kernel's boot id knows that a kernel died with the file in use (recovery.hpp).
//
// Locking. One robust mutex guards every change; a writer that dies holding it leaves a state that recovery.hpp repairs
// before the next one goes on. Readers do not lock.
//
// Thread safety: everything but open may be called from several threads. Not usable in a child of fork().
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/file_descriptor.hpp"
#include "core/segment_layout.hpp"
#include "core/status.hpp"

namespace polyglot::core {

struct SegmentOptions {
  std::string data_dir;
  std::uint32_t history_size = 1000;
  std::uint64_t history_bytes = std::uint64_t{128} << 20;
  std::uint32_t max_channels = 10000;
  std::uint32_t idempotency_keys = 65536;
};

class Segment {
 public:
  // storage_unusable, storage_full, storage_version, storage_busy or storage_damaged, with what to do in the message.
  static Result<std::unique_ptr<Segment>> open(const SegmentOptions& options);
  // What an opener would have to repair or set aside, in a sentence each; nothing is changed. What open would refuse,
  // this does too, but that all worker slots are taken, or are another PID namespace's. There has to be a file.
  static Result<std::vector<std::string>> inspect(const SegmentOptions& options);
  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  const SegmentMap& map() const { return map_; }
  const std::string& data_dir() const { return data_dir_; }
  // This opener's worker slot, 0..kMaxWorkers-1, its own until it is closed or dies.
  std::uint32_t worker() const { return worker_; }
  // How many openers there are now, this one included.
  std::uint32_t workers() const;
  // Whether some living opener has this slot; it may be another one than before.
  bool alive(std::uint32_t worker) const;
  // Whether the opener with this incarnation lives.
  bool lives(std::uint64_t incarnation) const;
  // A random number of this opening, never 0: no other opening has it, of whatever segment.
  std::uint64_t incarnation() const { return incarnation_; }
  // What opening had to repair or set aside.
  const std::vector<std::string>& notices() const { return notices_; }
  // True in a child of fork(): a segment does not cross it.
  bool forked() const;

  // Returns when everything before `position` is on the disk. Callers that arrive while one flushes share the next
  // flush. engine_unavailable when the disk refuses.
  Status sync(std::uint64_t position);

  // Holds the segment's lock. Repairs first what a dead holder left.
  class Lock {
   public:
    explicit Lock(Segment& segment) : mutex_(mutex_in(segment.map_.header().lock)) {
      if (const int outcome = lock(mutex_); outcome != 0) segment.take_over(mutex_, outcome, true);
    }
    ~Lock() { pthread_mutex_unlock(mutex_); }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

   private:
    pthread_mutex_t* mutex_;
  };

 private:
  static pthread_mutex_t* mutex_in(std::array<std::byte, 64>& place) {
    return reinterpret_cast<pthread_mutex_t*>(place.data());
  }
  // As pthread_mutex_lock, but whoever waits looks again now and then.
  static int lock(pthread_mutex_t* mutex);
  // Goes on from a lock whose holder died; ends the process when there is no lock to go on with.
  void take_over(pthread_mutex_t* mutex, int outcome, bool to_repair) const;

  Segment(FileDescriptor file, std::byte* base, const Geometry& geometry, std::string data_dir);

  FileDescriptor file_;
  std::byte* base_;
  SegmentMap map_;
  std::string data_dir_;
  std::uint32_t worker_ = 0;
  std::uint64_t incarnation_;
  bool opened_ = false;  // opening went through, so closing is to be done in order
  std::uint64_t fork_count_;
  std::vector<std::string> notices_;
};

// A random number that is never 0: a new epoch, or an incarnation.
std::uint64_t new_epoch();

// For what else lies in the data folder. Openers and the last closer go one after the other, until the lock is let go
// of or the descriptor is closed; not valid, and errno is set: the folder cannot be used.
FileDescriptor take_turn(const std::string& data_dir);
// storage_full or storage_unusable, by the system's error.
Status unusable(const std::string& path, int error, const std::string& advice);

}  // namespace polyglot::core
