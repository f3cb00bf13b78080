// A folder with a history.pgs, opened, looked at and spoilt.
#pragma once

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "core/history.hpp"
#include "core/segment.hpp"
#include "temporary.hpp"

namespace polyglot::core::testing {

class SegmentTest : public ::testing::Test {
 protected:
  std::string path() const { return folder_.path() + "/history.pgs"; }
  Code code_of_open() {
    const auto opened = Segment::open(options_);
    return opened.ok() ? Code::ok : opened.status().code();
  }
  std::string message_of_open() {
    const auto opened = Segment::open(options_);
    return opened.ok() ? "" : opened.status().message();
  }
  std::vector<std::string> inspect() { return Segment::inspect(options_).value(); }
  void write_file(std::string_view bytes) { std::ofstream(path(), std::ios::binary) << bytes; }
  void make_with_one_event() {
    auto segment = open_segment(options_);
    History history(*segment);
    append(history, "app", "c", "1");
  }
  // The files whose names begin with history.pgs.<why>.
  std::vector<std::string> set_aside(const std::string& why) const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
      if (entry.path().filename().string().starts_with("history.pgs." + why)) found.push_back(entry.path());
    }
    return found;
  }
  static std::string contents(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void set_version(std::uint32_t version) {
    std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(offsetof(Header, version));
    file.write(reinterpret_cast<const char*>(&version), sizeof(version));
  }
  // A damaged file is set aside, said, and replaced by one that works.
  void expect_set_aside() {
    auto segment = open_segment(options_);
    ASSERT_NE(segment, nullptr);
    EXPECT_EQ(segment->notices().size(), 1U);
    EXPECT_EQ(set_aside("damaged-").size(), 1U);
    History history(*segment);
    EXPECT_EQ(append(history, "app", "c", "1").offset, 1U);
  }

  TemporaryFolder folder_;
  SegmentOptions options_ = small_options(folder_.path());
};

// Runs `body` in a child, so that limits and users can be changed; true when it returned true.
template <typename Body>
bool in_child(Body body) {
  const pid_t child = fork();
  if (child == 0) _exit(body() ? 0 : 1);
  int status = -1;
  waitpid(child, &status, 0);
  return status == 0;
}

inline void limit_files_to(rlim_t bytes) {
  signal(SIGXFSZ, SIG_IGN);
  const rlimit limit{bytes, bytes};
  setrlimit(RLIMIT_FSIZE, &limit);
}

}  // namespace polyglot::core::testing
