// A growing run of bytes whose new bytes are not cleared first, which for kilobytes of events would cost as much as
// copying them.
//
// Thread safety: a value. Pointers and views last until the buffer grows or ends.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>

namespace polyglot::core {

class Buffer {
 public:
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  char* data() { return bytes_.get(); }
  const char* data() const { return bytes_.get(); }
  std::string_view text() const { return {bytes_.get(), size_}; }

  // Keeps the memory.
  void clear() { size_ = 0; }
  // Returns where `count` new bytes begin; what they hold is not defined.
  char* grow(std::size_t count) {
    if (size_ + count > capacity_) {
      capacity_ = std::max(2 * capacity_, size_ + count);
      std::unique_ptr<char[]> larger(new char[capacity_]);
      if (size_ != 0) std::memcpy(larger.get(), bytes_.get(), size_);
      bytes_ = std::move(larger);
    }
    size_ += count;
    return bytes_.get() + size_ - count;
  }
  void append(std::string_view text) {
    if (!text.empty()) std::memcpy(grow(text.size()), text.data(), text.size());
  }

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace polyglot::core
