// What the tests of the feed share: a writer and a follower, each an opener of its own of one segment.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/feed.hpp"
#include "readable.hpp"
#include "temporary.hpp"

namespace polyglot::core::testing {

using Channels = std::vector<std::pair<std::string, std::string>>;

class FeedTest : public ::testing::Test {
 protected:
  std::unique_ptr<Segment> open() { return open_segment(small_options(folder_.path())); }
  std::uint64_t total(Counter counter) { return Counters(follower_->map(), follower_->worker()).total(counter); }
  void fill_log(std::uint64_t bytes) {
    const std::string data = "\"" + std::string(10'000, 'x') + "\"";
    for (std::uint64_t sent = 0; sent < bytes; sent += data.size()) append(history_, "app", "big", data);
  }

  TemporaryFolder folder_;
  std::unique_ptr<Segment> writer_ = open();
  std::unique_ptr<Segment> follower_ = open();
  History history_{*writer_};
};

}  // namespace polyglot::core::testing
