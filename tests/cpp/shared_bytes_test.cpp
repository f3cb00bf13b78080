#include "core/shared_bytes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace polyglot::core {
namespace {

constexpr std::size_t kLongest = 64;
constexpr char kUntouched = '\x5A';

// Shared memory of the tests: whole words, with one word on each side that nobody may touch.
class Shared {
 public:
  Shared() { words_.fill(0x5A5A5A5A5A5A5A5A); }
  std::byte* bytes() { return reinterpret_cast<std::byte*>(words_.data() + 1); }
  std::string text() const { return {reinterpret_cast<const char*>(words_.data()), sizeof(words_)}; }

 private:
  alignas(8) std::array<std::uint64_t, kLongest / 8 + 2> words_;
};

std::string sample(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 37 + 1);
  return text;
}

TEST(SharedBytesTest, ReadsBackWhatWasStoredAtEveryLength) {
  for (std::size_t size = 0; size <= kLongest; ++size) {
    Shared shared;
    // Of exactly this size, so that a sanitizer sees any byte too many on the private side.
    const std::vector<char> from = [&] {
      const std::string text = sample(size);
      return std::vector<char>(text.begin(), text.end());
    }();
    std::vector<char> to(size, kUntouched);
    store_shared(shared.bytes(), from.data(), size);
    load_shared(to.data(), shared.bytes(), size);
    ASSERT_EQ(to, from) << size << " bytes";
  }
}

TEST(SharedBytesTest, StoresNothingBeyondTheLengthGiven) {
  for (std::size_t size = 0; size <= kLongest; ++size) {
    Shared shared;
    const std::string from = sample(size);
    store_shared(shared.bytes(), from.data(), size);
    const std::string expected = std::string(8, kUntouched) + from + std::string(kLongest - size + 8, kUntouched);
    ASSERT_EQ(shared.text(), expected) << size << " bytes";
  }
}

TEST(SharedBytesTest, LoadsNothingBeyondTheLengthAskedFor) {
  for (std::size_t size = 0; size <= kLongest; ++size) {
    Shared shared;
    const std::string whole = sample(kLongest);
    store_shared(shared.bytes(), whole.data(), kLongest);
    std::string to(kLongest + 8, kUntouched);
    load_shared(to.data(), shared.bytes(), size);
    ASSERT_EQ(to, whole.substr(0, size) + std::string(kLongest + 8 - size, kUntouched)) << size << " bytes";
  }
}

TEST(SharedBytesTest, TakesPrivateMemoryOfAnyAlignment) {
  for (std::size_t shift = 0; shift < 8; ++shift) {
    Shared shared;
    const std::string from = std::string(shift, '-') + sample(21);
    std::string to(shift + 21, '-');
    store_shared(shared.bytes(), from.data() + shift, 21);
    load_shared(to.data() + shift, shared.bytes(), 21);
    ASSERT_EQ(to, from) << "shifted by " << shift;
  }
}

TEST(SharedBytesTest, AReaderBesideAWriterSeesBytesThatWereStored) {
  Shared shared;
  const std::string a(kLongest, 'a'), b(kLongest, 'b');
  store_shared(shared.bytes(), a.data(), kLongest);
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int i = 0; i < 20000; ++i) store_shared(shared.bytes(), (i % 2 == 0 ? b : a).data(), kLongest);
    done = true;
  });
  bool stored = true;
  while (!done && stored) {
    std::string seen(kLongest, '\0');
    load_shared(seen.data(), shared.bytes(), kLongest);
    stored = stored && seen.find_first_not_of("ab") == std::string::npos;
  }
  writer.join();
  EXPECT_TRUE(stored);
}

}  // namespace
}  // namespace polyglot::core
