// What the benchmarks of storing share: a data folder that is gone afterwards, and the channel that they use.
#pragma once

#include <stdlib.h>  // mkdtemp

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "core/segment.hpp"

namespace polyglot::core {

inline constexpr std::string_view kApp = "demo-app";
inline constexpr std::string_view kChannel = "room:test";

class DataFolder {
 public:
  DataFolder() {
    std::string path = (std::filesystem::temp_directory_path() / "polyglot-benchmark-XXXXXX").string();
    if (mkdtemp(path.data()) == nullptr) {
      std::perror(path.c_str());
      std::exit(1);
    }
    path_ = path;
  }
  ~DataFolder() { std::filesystem::remove_all(path_); }
  DataFolder(const DataFolder&) = delete;
  DataFolder& operator=(const DataFolder&) = delete;

  // A log that is soon gone round once, so that its pages are warm as they are in a gateway that has run for a while.
  SegmentOptions options() const {
    return {.data_dir = path_, .history_bytes = std::uint64_t{16} << 20, .max_channels = 100};
  }

 private:
  std::filesystem::path path_;
};

template <typename T>
T value_or_exit(Result<T>&& result) {
  if (!result.ok()) {
    std::fprintf(stderr, "%s\n", result.status().message().c_str());
    std::exit(1);
  }
  return std::move(result).value();
}

}  // namespace polyglot::core
