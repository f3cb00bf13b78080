#include "core/segment.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <new>

#include "core/checksum.hpp"
#include "core/recovery.hpp"

namespace polyglot::core {
namespace {

// Bytes far behind the end of the file that only serve to be locked.
constexpr off_t kUsersByte = off_t{1} << 60;
constexpr off_t kWorkerByte = kUsersByte + 1;

constexpr std::uint32_t kMost = 1 << 24;  // events of a channel, and channels
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 46;

std::atomic<std::uint64_t> fork_count{0};
const int kForkHook = pthread_atfork(nullptr, nullptr, [] { fork_count.fetch_add(1, std::memory_order_relaxed); });

std::string reason(int error) {
  return std::error_code(error, std::generic_category()).message();
}

struct flock lock_of(short kind, off_t byte) {
  struct flock lock{};
  lock.l_type = kind;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return lock;
}

// True when the lock was taken. kind: F_RDLCK, F_WRLCK.
bool try_lock(int fd, short kind, off_t byte) {
  struct flock lock = lock_of(kind, byte);
  return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

bool is_locked(int fd, off_t byte) {
  struct flock lock = lock_of(F_WRLCK, byte);
  return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

std::uint32_t identity_crc(const Header& header) {
  std::uint32_t crc = crc32c(0, &header.version, sizeof(header.version));
  crc = crc32c(crc, &header.geometry, sizeof(header.geometry));
  crc = crc32c(crc, &header.file_bytes, sizeof(header.file_bytes));
  return crc32c(crc, &header.seed, sizeof(header.seed));
}

Geometry geometry_for(const SegmentOptions& options) {
  Geometry geometry{};
  geometry.history_size = options.history_size;
  geometry.ring_slots = std::bit_ceil(options.history_size + 1);
  geometry.max_channels = options.max_channels;
  geometry.buckets = std::bit_ceil(options.max_channels * 2);
  geometry.idempotency_slots = options.idempotency_keys;
  geometry.log_bytes = round_up(std::max(options.history_bytes, kMinLogBytes), kPage);
  return geometry;
}

void init_mutex(std::array<std::byte, 64>& place) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  place.fill(std::byte{0});
  pthread_mutex_init(reinterpret_cast<pthread_mutex_t*>(place.data()), &attributes);
  pthread_mutexattr_destroy(&attributes);
}

// So that the name of a new file outlives the kernel too.
bool sync_folder_of(const std::string& path) {
  const FileDescriptor folder(open(path.substr(0, path.rfind('/')).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return folder.valid() && fsync(folder.get()) == 0;
}

Status no_room(const std::string& fresh, int error, std::uint64_t bytes) {
  return unusable(fresh, error,
                  "The history file needs " + std::to_string(bytes) +
                      " bytes; free some room or lower history_bytes, max_channels or history_size.");
}

// A new file under its final name, or nothing. Its blocks are reserved: a write through the map can't meet a full disk.
// A file that has that name gets the name `aside`, once the new one is whole.
Status create_file(const std::string& path, const Geometry& geometry, const std::string& aside = "") {
  const std::string fresh = path + ".new";
  FileDescriptor file(open(fresh.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  const std::string advice = "Choose another data_dir or make this one writable.";
  if (!file.valid()) return unusable(fresh, errno, advice);
  const std::uint64_t bytes = SegmentParts(geometry).end;
  int error = EINTR;
  while (error == EINTR) error = posix_fallocate(file.get(), 0, static_cast<off_t>(bytes));
  if (error != 0) {
    unlink(fresh.c_str());
    return no_room(fresh, error, bytes);
  }
  alignas(Header) std::array<std::byte, sizeof(Header)> page{};
  auto& header = *new (page.data()) Header{};
  header.magic = kSegmentMagic;
  header.version = kSegmentVersion;
  header.geometry = geometry;
  header.file_bytes = bytes;
  header.seed = new_epoch();
  header.identity_crc = identity_crc(header);
  header.void_epoch = new_epoch();
  header.closed = 1;
  const bool written = pwrite(file.get(), page.data(), page.size(), 0) == static_cast<ssize_t>(page.size()) &&
                       fsync(file.get()) == 0 && (aside.empty() || rename(path.c_str(), aside.c_str()) == 0) &&
                       rename(fresh.c_str(), path.c_str()) == 0 && sync_folder_of(path);
  if (written) return {};
  error = errno;
  unlink(fresh.c_str());
  return unusable(fresh, error, advice);
}

std::array<char, 40> boot_id() {
  std::array<char, 40> text{};
  const FileDescriptor file(open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  if (file.valid() && read(file.get(), text.data(), 36) != 36) text.fill('\0');
  return text;
}

std::uint64_t pid_namespace() {
  struct stat status{};
  return stat("/proc/self/ns/pid", &status) == 0 ? status.st_dev << 48 ^ status.st_ino : 0;
}

struct Identity {
  enum class Verdict { ours, other_version, damaged } verdict;
  Geometry geometry;
  std::uint32_t version;
};

Identity identify(int fd) {
  alignas(Header) std::array<std::byte, sizeof(Header)> page{};
  struct stat status{};
  const auto& header = *reinterpret_cast<const Header*>(page.data());
  const bool read =
      fstat(fd, &status) == 0 && pread(fd, page.data(), page.size(), 0) == static_cast<ssize_t>(page.size());
  if (!read || header.magic != kSegmentMagic) return {Identity::Verdict::damaged, {}, 0};
  if (header.version != kSegmentVersion) return {Identity::Verdict::other_version, {}, header.version};
  const bool whole = header.identity_crc == identity_crc(header) &&
                     header.file_bytes == static_cast<std::uint64_t>(status.st_size) &&
                     SegmentParts(header.geometry).end == header.file_bytes;
  return {whole ? Identity::Verdict::ours : Identity::Verdict::damaged, header.geometry, header.version};
}

// A name that no file has: two may be set aside in the same second. REQUIRES: the turn.
std::string name_aside(const std::string& path, const std::string& why) {
  const std::string name = path + "." + why + "-" + std::to_string(std::time(nullptr));
  std::string free = name;
  for (int n = 2; access(free.c_str(), F_OK) == 0; ++n) free = name + "-" + std::to_string(n);
  return free;
}

std::string other_version(const std::string& path, std::uint32_t version) {
  return path + " has format version " + std::to_string(version) + ", this gateway writes " +
         std::to_string(kSegmentVersion) + ". ";
}

Status other_version_in_use(const std::string& path, std::uint32_t version) {
  return {Code::storage_version, other_version(path, version) +
                                     "A gateway of that version uses it: stop it first, or give this one another "
                                     "data_dir."};
}

// A history of another version stays whole, so nobody may have it open. REQUIRES: the turn; `alone`: no other user.
Status replace_other_version(const std::string& path, std::uint32_t version, const Geometry& wanted, bool alone,
                             std::vector<std::string>& notices) {
  const std::string what = other_version(path, version);
  if (!alone) return other_version_in_use(path, version);
  const std::string aside = name_aside(path, "version-" + std::to_string(version));
  if (Status status = create_file(path, wanted, aside); !status.ok())
    return {status.code(), what + "A new history could not be made: " + status.message()};
  notices = {what + "It was set aside as " + aside +
             " and a new history begun; readers with an older position are told epoch_changed."};
  return {};
}

std::string describe(const Geometry& geometry) {
  return "history_size=" + std::to_string(geometry.history_size) +
         " history_bytes=" + std::to_string(geometry.log_bytes) +
         " max_channels=" + std::to_string(geometry.max_channels) +
         " idempotency_keys=" + std::to_string(geometry.idempotency_slots);
}

Status other_sizes(const std::string& path, const Geometry& has, const Geometry& wanted, bool alone) {
  return {alone ? Code::storage_unusable : Code::storage_busy,
          path + (alone ? " was made with " : " is in use with ") + describe(has) + ", asked for is " +
              describe(wanted) + ". Use the same settings, or " +
              (alone ? "move the file away to begin a new history." : "another data_dir.")};
}

Status damaged_in_use(const std::string& path) {
  return {Code::storage_damaged, path + " is damaged while others use it. Stop them, then start again."};
}

// A kernel that died may have left less on the disk than it was told to write.
bool kernel_died(const Header& header, const std::array<char, 40>& boot) {
  return header.closed == 0 && (header.boot_id != boot || boot.front() == '\0');
}

}  // namespace

Status unusable(const std::string& path, int error, const std::string& advice) {
  const Code code = error == ENOSPC || error == EDQUOT || error == EFBIG ? Code::storage_full : Code::storage_unusable;
  return {code, path + ": " + reason(error) + ". " + advice};
}

FileDescriptor take_turn(const std::string& data_dir) {
  FileDescriptor turn(open((data_dir + "/history.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  while (turn.valid() && flock(turn.get(), LOCK_EX) != 0) {
    if (errno != EINTR) turn = FileDescriptor();
  }
  return turn;
}

std::uint64_t new_epoch() {
  std::uint64_t epoch = 0;
  while (epoch == 0) {
    if (getrandom(&epoch, sizeof(epoch), 0) != static_cast<ssize_t>(sizeof(epoch))) epoch = 0;
  }
  return epoch;
}

Segment::Segment(FileDescriptor file, std::byte* base, const Geometry& geometry, std::string data_dir)
    : file_(std::move(file)),
      base_(base),
      map_(base, geometry),
      data_dir_(std::move(data_dir)),
      incarnation_(new_epoch()),
      fork_count_(fork_count.load(std::memory_order_relaxed)) {}

Segment::~Segment() {
  const FileDescriptor turn = opened_ && !forked() ? take_turn(data_dir_) : FileDescriptor();
  if (turn.valid() && try_lock(file_.get(), F_WRLCK, kUsersByte) && fdatasync(file_.get()) == 0) {
    map_.header().closed = 1;
    // Should this not reach the disk, the next opener after a reboot is merely more careful than it has to be.
    static_cast<void>(msync(base_, kPage, MS_SYNC));
  }
  // Locks go with the last map and descriptor of the file, which a child of fork() may still have: so they are let go
  // of here, the file's before the turn.
  munmap(base_, SegmentParts(map_.geometry()).end);
  if (!forked()) {
    try_lock(file_.get(), F_UNLCK, kUsersByte);
    try_lock(file_.get(), F_UNLCK, kWorkerByte + worker_);
  }
  file_ = FileDescriptor();
  if (turn.valid()) flock(turn.get(), LOCK_UN);
}

bool Segment::forked() const {
  return fork_count.load(std::memory_order_relaxed) != fork_count_;
}

Result<std::unique_ptr<Segment>> Segment::open(const SegmentOptions& options) {
  const std::string path = options.data_dir + "/history.pgs";
  const std::string advice = "Choose another data_dir or make this one writable.";
  std::error_code error;
  std::filesystem::create_directories(options.data_dir, error);
  if (error) return unusable(options.data_dir, error.value(), advice);
  const FileDescriptor turn = take_turn(options.data_dir);
  if (!turn.valid()) return unusable(options.data_dir + "/history.lock", errno, advice);

  if (options.history_size < 1 || options.history_size > kMost || options.max_channels < 1 ||
      options.max_channels > kMost || options.history_bytes > kMostBytes) {
    return Status(Code::storage_unusable,
                  "A history of these sizes cannot be made: " + describe(geometry_for(options)) + ".");
  }
  const Geometry wanted = geometry_for(options);
  std::vector<std::string> notices;
  for (int attempt = 0; attempt < 2; ++attempt) {
    FileDescriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!file.valid() && errno == ENOENT) {
      if (Status status = create_file(path, wanted); !status.ok()) return status;
      file = FileDescriptor(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    }
    if (!file.valid()) return unusable(path, errno, advice);

    const bool first = try_lock(file.get(), F_WRLCK, kUsersByte);
    if (!first && !try_lock(file.get(), F_RDLCK, kUsersByte))
      return unusable(path, errno, "Locks do not work there: use a local disk.");
    const Identity identity = identify(file.get());
    if (identity.verdict == Identity::Verdict::other_version) {
      Status status = replace_other_version(path, identity.version, wanted, first, notices);
      if (!status.ok()) return status;
      continue;
    }
    bool usable = identity.verdict == Identity::Verdict::ours;
    if (usable && identity.geometry != wanted) return other_sizes(path, identity.geometry, wanted, first);
    if (usable) {
      const std::uint64_t bytes = SegmentParts(wanted).end;
      void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
      if (base == MAP_FAILED) return unusable(path, errno, "The file could not be mapped into memory.");
      std::unique_ptr<Segment> segment(
          new Segment(std::move(file), static_cast<std::byte*>(base), wanted, options.data_dir));
      Header& header = segment->map_.header();
      if (first) {
        init_mutex(header.lock);
        init_mutex(header.sync_lock);
        header.sleeping = 0;
        header.synced = 0;
        header.disk_refused = 0;
        header.pid_namespace = pid_namespace();
        const auto boot = boot_id();
        usable = verify(segment->map_, kernel_died(header, boot), notices);
        header.boot_id = boot;
        header.closed = 0;
        // Before anything is written that a dying kernel could lose.
        if (usable && msync(base, kPage, MS_SYNC) != 0) return unusable(path, errno, "The disk does not take changes.");
      } else if (header.pid_namespace != pid_namespace()) {
        return Status(Code::storage_busy, path +
                                              " is in use by processes of another PID namespace. Let the containers "
                                              "that share it share that too, or give each a data_dir.");
      }
      if (usable) {
        const int fd = segment->file_.get();
        if (first && !try_lock(fd, F_RDLCK, kUsersByte))
          return unusable(path, errno, "Locks do not work there: use a local disk.");
        while (segment->worker_ < kMaxWorkers && !try_lock(fd, F_WRLCK, kWorkerByte + segment->worker_))
          ++segment->worker_;
        if (segment->worker_ == kMaxWorkers) {
          return Status(Code::storage_busy, path + " is in use by " + std::to_string(kMaxWorkers) +
                                                " workers, the most that fit. Start fewer, or use another data_dir.");
        }
        // Whoever had the slot before may have died asleep.
        header.sleeping.fetch_and(~(std::uint64_t{1} << segment->worker_));
        for (SharedU64& gauge : segment->map_.worker(segment->worker_).gauges)
          gauge.store(0, std::memory_order_relaxed);
        segment->map_.worker(segment->worker_).incarnation.store(segment->incarnation_, std::memory_order_release);
        segment->notices_ = std::move(notices);
        segment->opened_ = true;
        return segment;
      }
    }
    if (!first) return damaged_in_use(path);
    const std::string aside = name_aside(path, "damaged");
    if (rename(path.c_str(), aside.c_str()) != 0)
      return unusable(path, errno, "It is damaged and could not be set aside.");
    notices = {path + " was damaged; it was set aside as " + aside + " and a new history begun."};
  }
  return Status(Code::storage_damaged, path + " is damaged again right after it was made. Check the disk.");
}

Result<std::vector<std::string>> Segment::inspect(const SegmentOptions& options) {
  const std::string path = options.data_dir + "/history.pgs";
  const FileDescriptor turn(::open((options.data_dir + "/history.lock").c_str(), O_RDWR | O_CLOEXEC));
  if (turn.valid()) flock(turn.get(), LOCK_EX);
  const FileDescriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!file.valid()) return unusable(path, errno, "Choose another data_dir or make this one writable.");
  const Geometry wanted = geometry_for(options);
  const std::uint64_t bytes = SegmentParts(wanted).end;
  const bool alone = !is_locked(file.get(), kUsersByte);
  const Identity identity = identify(file.get());
  std::vector<std::string> notices;
  bool usable = identity.verdict == Identity::Verdict::ours;
  if (usable && identity.geometry != wanted) return other_sizes(path, identity.geometry, wanted, alone);
  if (usable && alone) {
    // Of it our own: whatever is repaired there, the file stays as it is.
    void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file.get(), 0);
    if (base == MAP_FAILED) return unusable(path, errno, "The file could not be mapped into memory.");
    const SegmentMap map(static_cast<std::byte*>(base), wanted);
    usable = verify(map, kernel_died(map.header(), boot_id()), notices);
    munmap(base, bytes);
  }
  if (usable) return notices;
  const bool other = identity.verdict == Identity::Verdict::other_version;
  if (!alone) return other ? other_version_in_use(path, identity.version) : damaged_in_use(path);
  std::error_code error;
  if (std::filesystem::space(options.data_dir, error).available < bytes) return no_room(path + ".new", ENOSPC, bytes);
  return std::vector{(other ? other_version(path, identity.version) : path + " is damaged. ") +
                     "A start sets it aside and begins a new history; readers with an older position are then told "
                     "epoch_changed."};
}

bool Segment::alive(std::uint32_t worker) const {
  if (worker == worker_) return true;
  if (worker >= kMaxWorkers) return false;
  return is_locked(file_.get(), kWorkerByte + worker);
}

}  // namespace polyglot::core
