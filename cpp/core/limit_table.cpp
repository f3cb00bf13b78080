#include "core/limit_table.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include "core/checksum.hpp"

namespace polyglot::core {
namespace {

constexpr std::array<char, 8> kMagic = {'P', 'G', 'L', 'I', 'M', 'S', '\r', '\n'};
constexpr std::uint64_t kBytes = kPage + kLimitSlots * sizeof(LimitSlot);
constexpr std::string_view kAdvice = "Choose another data_dir or make this one writable.";

using NameWords = std::array<std::uint64_t, kMaxAppLength / 8>;

NameWords words_of(std::string_view app) {
  NameWords words{};
  std::memcpy(words.data(), app.data(), app.size());
  return words;
}

bool same_name(const LimitSlot::Name& name, const NameWords& words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (name[i].load(std::memory_order_relaxed) != words[i]) return false;
  }
  return true;
}

// A new file in the place of whatever is there.
Status create_file(const std::string& path) {
  const std::string fresh = path + ".new";
  const FileDescriptor file(open(fresh.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file.valid()) return unusable(fresh, errno, std::string(kAdvice));
  int error = EINTR;
  while (error == EINTR) error = posix_fallocate(file.get(), 0, static_cast<off_t>(kBytes));
  if (error == 0) {
    const LimitHeader::Identity identity{kMagic, kLimitVersion, kLimitSlots, new_epoch()};
    const bool written = pwrite(file.get(), &identity, sizeof(identity), 0) == static_cast<ssize_t>(sizeof(identity)) &&
                         rename(fresh.c_str(), path.c_str()) == 0;
    if (written) return {};
    error = errno;
  }
  unlink(fresh.c_str());
  return unusable(fresh, error, "The file needs " + std::to_string(kBytes) + " bytes in a folder that can be written.");
}

bool is_ours(int fd) {
  LimitHeader::Identity identity{};
  struct stat status{};
  return fstat(fd, &status) == 0 && static_cast<std::uint64_t>(status.st_size) == kBytes &&
         pread(fd, &identity, sizeof(identity), 0) == static_cast<ssize_t>(sizeof(identity)) &&
         identity.magic == kMagic && identity.version == kLimitVersion && identity.slots == kLimitSlots;
}

// Waits for it. Whoever else has opened the file by itself, this process too, has to let go of it.
void lock_file(int fd, short kind) {
  struct flock lock{};
  lock.l_type = kind;
  lock.l_whence = SEEK_SET;
  lock.l_len = 1;
  while (fcntl(fd, F_OFD_SETLKW, &lock) != 0 && errno == EINTR) {
  }
}

}  // namespace

std::int64_t monotonic_time_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

std::string_view quota_name(Quota quota) {
  return quota == Quota::connections ? "connections" : "subscriptions";
}

Result<std::unique_ptr<LimitTable>> LimitTable::open(const Segment& segment, TokenBucket::Clock clock) {
  const std::string path = segment.data_dir() + "/limits.pgs";
  const FileDescriptor turn = take_turn(segment.data_dir());
  if (!turn.valid()) return unusable(path, errno, std::string(kAdvice));
  FileDescriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (segment.workers() == 1 || !file.valid() || !is_ours(file.get())) {
    if (Status status = create_file(path); !status.ok()) return status;
    file = FileDescriptor(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  }
  void* base = file.valid() ? mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0) : MAP_FAILED;
  if (base == MAP_FAILED) return unusable(path, errno, std::string(kAdvice));
  return std::unique_ptr<LimitTable>(new LimitTable(segment, std::move(file), static_cast<std::byte*>(base), clock));
}

LimitTable::LimitTable(const Segment& segment, FileDescriptor file, std::byte* base, TokenBucket::Clock clock)
    : segment_(segment), file_(std::move(file)), base_(base), clock_(clock) {
  // What the dead worker had that was here before.
  for (std::uint32_t i = 0; i < kLimitSlots; ++i) {
    for (SharedU32& count : slot(i).open[segment_.worker()]) {
      if (count.load(std::memory_order_relaxed) != 0) count.store(0);
    }
  }
  header().counting[segment_.worker()].store(segment_.incarnation());
}

LimitTable::~LimitTable() {
  munmap(base_, kBytes);
}

LimitTable::Lock::Lock(LimitTable& table) : threads_(table.mutex_), file_(table.file_.get()) {
  lock_file(file_, F_WRLCK);
}

LimitTable::Lock::~Lock() {
  lock_file(file_, F_UNLCK);
}

std::optional<LimitTable::Place> LimitTable::find(std::string_view app) const {
  if (app.size() > kMaxAppLength) return std::nullopt;
  const NameWords words = words_of(app);
  const std::uint64_t hash = hash64(header().identity.seed, app);
  for (std::uint32_t i = 0; i < kLimitSlots; ++i) {
    LimitSlot& held = slot(hash + i);
    const std::uint64_t generation = held.generation.load(std::memory_order_acquire);
    if (generation == 0) return std::nullopt;
    if ((generation & 1) == 0 || held.hash.load(std::memory_order_relaxed) != hash) continue;
    if (!same_name(held.name, words)) continue;
    std::atomic_thread_fence(std::memory_order_acquire);
    if (held.generation.load(std::memory_order_relaxed) == generation) return Place(held, generation);
  }
  return std::nullopt;
}

bool LimitTable::is_idle(const LimitSlot& slot) const {
  return TokenBucket::is_full(slot.events, clock_) && TokenBucket::is_full(slot.bytes, clock_) &&
         count(slot, Quota::connections) == 0 && count(slot, Quota::subscriptions) == 0;
}

bool LimitTable::take_back(LimitSlot& slot) {
  const std::uint64_t generation = slot.generation.load();
  if ((generation & 1) == 0) return true;  // whoever was giving it away has died
  if (!is_idle(slot)) return false;
  // Whoever counts in it looks at the generation afterwards: one of the two sees what the other did.
  slot.generation.store(generation + 1);
  if (is_idle(slot)) return true;
  slot.generation.store(generation);
  return false;
}

Result<LimitTable::Place> LimitTable::claim(std::string_view app) {
  if (const auto found = find(app)) return *found;
  const Lock lock(*this);
  if (const auto found = find(app)) return *found;
  const std::uint64_t hash = hash64(header().identity.seed, app);
  LimitSlot* free = nullptr;
  for (std::uint32_t i = 0; i < kLimitSlots && free == nullptr; ++i) {
    if (slot(hash + i).generation.load() == 0) free = &slot(hash + i);
  }
  for (std::uint32_t i = 0; i < kLimitSlots && free == nullptr; ++i) {
    if (take_back(slot(hash + i))) free = &slot(hash + i);
  }
  if (free == nullptr) {
    return Status(Code::overloaded, "The limits of " + std::to_string(kLimitSlots) +
                                        " apps are in use at this moment, the most that are counted.");
  }
  const NameWords words = words_of(app);
  // Whoever sees any of what follows sees that the slot is nobody's.
  std::atomic_thread_fence(std::memory_order_release);
  for (std::size_t i = 0; i < words.size(); ++i) free->name[i].store(words[i], std::memory_order_relaxed);
  free->hash.store(hash, std::memory_order_relaxed);
  free->events.store(0, std::memory_order_relaxed);
  free->bytes.store(0, std::memory_order_relaxed);
  const std::uint64_t generation = free->generation.load(std::memory_order_relaxed) + 1;
  free->generation.store(generation);
  return Place(*free, generation);
}

bool LimitTable::counts(std::uint32_t worker) const {
  return header().counting[worker].load() == segment_.map().worker(worker).incarnation.load() && segment_.alive(worker);
}

std::uint32_t LimitTable::count(const LimitSlot& slot, Quota quota) const {
  std::uint32_t sum = 0;
  for (std::uint32_t i = 0; i < kMaxWorkers; ++i) {
    const std::uint32_t open = slot.open[i][static_cast<std::size_t>(quota)].load();
    if (open != 0 && counts(i)) sum += open;
  }
  return sum;
}

Result<Hold> LimitTable::hold(std::string_view app, Quota quota, std::uint32_t most) {
  for (;;) {
    const auto place = claim(app);
    if (!place.ok()) return place.status();
    LimitSlot& slot = place->slot();
    if (most != 0 && count(slot, quota) >= most) {
      return Status(Code::rate_limited, "The app has " + std::to_string(most) + ' ' + std::string(quota_name(quota)) +
                                            " open, the most that its limits allow.");
    }
    SharedU32& own = slot.open[segment_.worker()][static_cast<std::size_t>(quota)];
    own.fetch_add(1);
    Hold hold(own);
    // Where several come at once for the last place, each sees the others' and steps back, until one is alone.
    if (place->holds() && (most == 0 || count(slot, quota) <= most)) return hold;
  }
}

}  // namespace polyglot::core
