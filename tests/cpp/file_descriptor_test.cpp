#include "core/file_descriptor.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <utility>

namespace polyglot::core {
namespace {

bool is_open(int fd) {
  return fcntl(fd, F_GETFD) != -1;
}

int open_something() {
  return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

TEST(FileDescriptor, IsClosedWithItsOwner) {
  int fd = -1;
  {
    const FileDescriptor owner(open_something());
    fd = owner.get();
    EXPECT_TRUE(owner.valid());
    EXPECT_TRUE(is_open(fd));
  }
  EXPECT_FALSE(is_open(fd));
  EXPECT_FALSE(FileDescriptor().valid());
}

TEST(FileDescriptor, HasOneOwnerAtATime) {
  FileDescriptor first(open_something());
  const int fd = first.get();
  FileDescriptor second(std::move(first));
  EXPECT_EQ(second.get(), fd);
  FileDescriptor third;
  third = std::move(second);
  EXPECT_EQ(third.get(), fd);
  EXPECT_TRUE(is_open(fd));
  third = FileDescriptor();
  EXPECT_FALSE(is_open(fd));
}

TEST(FileDescriptor, IsNotClosedOnceItWasReleased) {
  int fd = -1;
  {
    FileDescriptor owner(open_something());
    fd = owner.release();
    EXPECT_FALSE(owner.valid());
  }
  EXPECT_TRUE(is_open(fd));
  FileDescriptor(fd).release();
  EXPECT_EQ(close(fd), 0);
}

}  // namespace
}  // namespace polyglot::core
