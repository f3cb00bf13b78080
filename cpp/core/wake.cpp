#include "core/wake.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>

namespace polyglot::core {
namespace {

std::string folder_of(const Segment& segment) {
  return segment.data_dir() + "/wake";
}
std::string path_of(const Segment& segment, std::uint32_t worker) {
  return folder_of(segment) + "/" + std::to_string(worker);
}

bool watches(const WorkerSlot& slot, std::span<const std::uint64_t> channels) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  if (slot.watches_all.load(kRelaxed) != 0) return true;
  return std::any_of(channels.begin(), channels.end(), [&](std::uint64_t hash) {
    const std::size_t bit = watched_bit(hash);
    return (slot.watched[bit / 64].load(kRelaxed) >> bit % 64 & 1) != 0;
  });
}

}  // namespace

Result<WakePipe> WakePipe::open(const Segment& segment) {
  const std::string path = path_of(segment, segment.worker());
  mkdir(folder_of(segment).c_str(), 0700);
  struct stat found{};
  if (lstat(path.c_str(), &found) == 0 && !S_ISFIFO(found.st_mode)) unlink(path.c_str());
  if (mkfifo(path.c_str(), 0600) != 0 && errno != EEXIST) {
    return Status(Code::storage_unusable, path + ": the wake-up pipe could not be made (" +
                                              std::error_code(errno, std::generic_category()).message() + ").");
  }
  // Open for both directions, so that the pipe never reports its end.
  FileDescriptor pipe(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!pipe.valid()) {
    return Status(Code::storage_unusable, path + ": the wake-up pipe could not be opened (" +
                                              std::error_code(errno, std::generic_category()).message() + ").");
  }
  return WakePipe(std::move(pipe));
}

void WakePipe::drain() {
  char bytes[256];
  while (read(pipe_.get(), bytes, sizeof(bytes)) > 0) {
  }
}

Waker::Waker(const Segment& segment) : segment_(segment) {
  for (auto& pipe : pipes_) pipe.store(-1, std::memory_order_relaxed);
}

Waker::~Waker() {
  for (auto& pipe : pipes_) {
    if (const int fd = pipe.load(std::memory_order_relaxed); fd >= 0) close(fd);
  }
}

int Waker::pipe(std::uint32_t worker) {
  int fd = pipes_[worker].load(std::memory_order_acquire);
  if (fd >= 0) return fd;
  // Open for both directions too: writing to a dead worker's pipe then fills it and does no harm, where SIGPIPE would.
  const int opened = ::open(path_of(segment_, worker).c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (opened < 0 || pipes_[worker].compare_exchange_strong(fd, opened, std::memory_order_acq_rel)) return opened;
  close(opened);
  return fd;
}

unsigned Waker::wake_sleepers(const std::span<const std::uint64_t>* channels) {
  SharedU64& sleeping = segment_.map().header().sleeping;
  unsigned woken = 0;
  for (std::uint64_t left = sleeping.load(std::memory_order_relaxed); left != 0; left &= left - 1) {
    const auto worker = static_cast<std::uint32_t>(std::countr_zero(left));
    if (channels != nullptr && !watches(segment_.map().worker(worker), *channels)) continue;
    const std::uint64_t bit = std::uint64_t{1} << worker;
    if ((sleeping.fetch_and(~bit, std::memory_order_acq_rel) & bit) == 0) continue;  // another writer was quicker
    const int fd = pipe(worker);
    const char byte = 1;
    if (fd >= 0 && write(fd, &byte, 1) == 1) ++woken;
  }
  return woken;
}

}  // namespace polyglot::core
