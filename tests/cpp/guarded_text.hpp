// A copy of a text whose last byte is followed by memory that must not be touched: who reads beyond it crashes, in
// every build.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <new>
#include <string_view>

namespace polyglot::core {

class GuardedText {
 public:
  explicit GuardedText(std::size_t capacity)
      : page_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))), usable_((capacity / page_ + 1) * page_) {
    void* const memory = mmap(nullptr, usable_ + page_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(static_cast<char*>(memory) + usable_, page_, PROT_NONE) != 0) {
      throw std::bad_alloc();
    }
    memory_ = static_cast<char*>(memory);
  }
  GuardedText(const GuardedText&) = delete;
  GuardedText& operator=(const GuardedText&) = delete;
  ~GuardedText() { munmap(memory_, usable_ + page_); }

  // The copy; valid until the next one. REQUIRES: text.size() <= capacity.
  std::string_view copy(std::string_view text) {
    char* const start = memory_ + usable_ - text.size();
    if (!text.empty()) {
      std::memcpy(start, text.data(), text.size());
    }
    return {start, text.size()};
  }

 private:
  std::size_t page_;
  std::size_t usable_;
  char* memory_ = nullptr;
};

}  // namespace polyglot::core
