#include "server/frame_log.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <vector>

namespace polyglot::server {
namespace {

void append(FrameLog& log, std::string_view bytes, std::uint64_t offset, bool is_event = true) {
  log.open_frame(bytes.size()).append(bytes);
  log.commit(offset, is_event);
}

std::string text_from(const FrameLog& log, std::uint64_t from) {
  std::string text;
  std::array<iovec, 1> part{};
  std::uint64_t to = from;
  while (log.gather(to, part.data(), part.size(), to) != 0) {
    text.append(static_cast<const char*>(part[0].iov_base), part[0].iov_len);
  }
  EXPECT_EQ(to, log.end());
  EXPECT_EQ(text.size(), log.end() - from);
  return text;
}

TEST(FrameLog, IsEmptyInTheBeginning) {
  const FrameLog log;
  EXPECT_EQ(log.begin(), 0U);
  EXPECT_EQ(log.end(), 0U);
  EXPECT_EQ(text_from(log, 0), "");
  EXPECT_EQ(log.rest_of_frame(0), "");
  EXPECT_EQ(log.newest_event(), 0U);
}

TEST(FrameLog, GivesWhatWasWrittenFromAnyPosition) {
  FrameLog log;
  append(log, "one,", 1);
  append(log, "two,", 2);
  append(log, "three", 3);
  EXPECT_EQ(log.begin(), 0U);
  EXPECT_EQ(log.end(), 13U);
  EXPECT_EQ(text_from(log, 0), "one,two,three");
  EXPECT_EQ(text_from(log, 4), "two,three");
  EXPECT_EQ(text_from(log, 6), "o,three");
  EXPECT_EQ(text_from(log, 13), "");
}

TEST(FrameLog, GivesTheRestOfTheFrameThatAPositionLiesIn) {
  FrameLog log;
  append(log, "one,", 1);
  append(log, "two,", 2);
  EXPECT_EQ(log.rest_of_frame(0), "");
  EXPECT_EQ(log.rest_of_frame(1), "ne,");
  EXPECT_EQ(log.rest_of_frame(3), ",");
  EXPECT_EQ(log.rest_of_frame(4), "");
  EXPECT_EQ(log.rest_of_frame(6), "o,");
  EXPECT_EQ(log.rest_of_frame(8), "");
}

TEST(FrameLog, KnowsTheOffsetBeforeAPosition) {
  FrameLog log;
  append(log, "one,", 41);
  append(log, "join,", 41, false);
  append(log, "two,", 42);
  EXPECT_EQ(log.offset_before(0), 40U);
  EXPECT_EQ(log.offset_before(4), 41U);
  EXPECT_EQ(log.offset_before(9), 41U);
  EXPECT_EQ(log.offset_before(13), 42U);
}

TEST(FrameLog, KnowsTheOffsetBeforeAMessageThatComesFirst) {
  FrameLog log;
  append(log, "join,", 41, false);
  append(log, "two,", 42);
  EXPECT_EQ(log.offset_before(0), 41U);
  EXPECT_EQ(log.offset_before(5), 41U);
}

TEST(FrameLog, KnowsTheNewestEvent) {
  FrameLog log;
  append(log, "join,", 0, false);
  EXPECT_EQ(log.newest_event(), log.end()) << "there is none";
  append(log, "one,", 1);
  append(log, "two,", 2);
  append(log, "leave,", 2, false);
  EXPECT_EQ(log.newest_event(), 9U);
}

TEST(FrameLog, GoesOnCountingWhenItWasCleared) {
  FrameLog log;
  append(log, "one,", 1);
  log.clear();
  EXPECT_EQ(log.begin(), 4U);
  EXPECT_EQ(log.end(), 4U);
  EXPECT_EQ(log.newest_event(), 4U);
  EXPECT_EQ(log.rest_of_frame(4), "");
  append(log, "two,", 2);
  EXPECT_EQ(text_from(log, 4), "two,");
  EXPECT_EQ(log.offset_before(4), 1U);
  EXPECT_EQ(log.newest_event(), 4U);
}

TEST(FrameLog, UsesAsManyPartsAsThereAre) {
  FrameLog log;
  for (std::uint64_t offset = 1; offset <= 4; ++offset) append(log, std::string(70'000, 'f'), offset);
  std::array<iovec, 8> parts{};
  std::uint64_t to = 0;
  EXPECT_EQ(log.gather(0, parts.data(), 0, to), 0U);
  EXPECT_EQ(to, 0U);
  EXPECT_EQ(log.gather(10, parts.data(), 2, to), 2U);
  EXPECT_EQ(to, 140'000U);
  EXPECT_EQ(parts[0].iov_len, 69'990U);
  EXPECT_EQ(log.gather(0, parts.data(), parts.size(), to), 4U);
  EXPECT_EQ(to, log.end());
}

TEST(FrameLog, DoesNotMoveWhatWasWritten) {
  for (std::size_t first = 1000; first < 1050; ++first) {
    for (std::size_t second = 1; second < 40; ++second) {
      FrameLog log;
      iovec before{};
      iovec after{};
      std::uint64_t to = 0;
      append(log, std::string(first, '1'), 1);
      log.gather(0, &before, 1, to);
      append(log, std::string(second, '2'), 2);
      log.gather(0, &after, 1, to);
      ASSERT_EQ(before.iov_base, after.iov_base) << first << " " << second;
    }
  }
}

// What the log is, said simply: all bytes ever written, and where the frames begin.
struct Frame {
  std::uint64_t begin;
  std::uint64_t end;
  std::uint64_t offset;
  bool is_event;
  std::int64_t time;
};

class Model {
 public:
  explicit Model(std::uint32_t seed) : random_(seed) {}

  void append_frame() {
    const std::size_t most = below(20) == 0 ? 200'000 : below(5) == 0 ? 3000 : 300;
    std::string bytes(1 + below(most), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random_());
    // What it says about the length may be off either way.
    const std::size_t said = below(4) == 0 ? below(2 * bytes.size() + 1) : bytes.size();
    const bool is_event = below(4) != 0;
    if (is_event) ++offset_;
    log_.open_frame(said).append(bytes);
    const auto time = static_cast<std::int64_t>(1000 + frames_.size());
    log_.commit(offset_, is_event, time);
    largest_ = std::max(largest_, bytes.size());
    frames_.push_back({bytes_.size(), bytes_.size() + bytes.size(), offset_, is_event, time});
    bytes_ += bytes;
  }

  void advance(std::uint64_t& reader) {
    std::array<iovec, 5> parts{};
    const std::size_t count = 1 + below(parts.size());
    std::uint64_t to = 0;
    const std::size_t used = log_.gather(reader, parts.data(), count, to);
    ASSERT_LE(used, count);
    std::string got;
    for (std::size_t i = 0; i < used; ++i) {
      ASSERT_GT(parts[i].iov_len, 0U);
      got.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
    }
    ASSERT_TRUE(got == bytes_.substr(reader, to - reader)) << "from " << reader;
    ASSERT_TRUE(used == count || to == log_.end());
    const auto frame = std::find_if(frames_.begin(), frames_.end(), [&](const Frame& f) { return f.begin == reader; });
    ASSERT_TRUE(frame == frames_.end() || to >= frame->end) << "no frame lies in two parts";
    // A socket may take less, but then it is given the rest of the frame before all else.
    const std::uint64_t taken = reader + below(to - reader + 1);
    const std::string_view rest = log_.rest_of_frame(taken);
    ASSERT_TRUE(rest == bytes_.substr(taken, rest.size()));
    reader = taken + rest.size();
    ASSERT_TRUE(reader == bytes_.size() || is_begin(reader)) << reader;
  }

  void check(std::uint64_t reader) {
    ASSERT_EQ(log_.end(), bytes_.size());
    ASSERT_LE(log_.begin(), reader);
    ASSERT_EQ(log_.rest_of_frame(reader), "");
    std::uint64_t newest = log_.end();
    std::uint64_t before = 0;
    for (const Frame& frame : frames_) {
      if (frame.is_event && frame.begin >= log_.begin()) newest = frame.begin;
      if (frame.begin < reader) before = frame.offset;
    }
    ASSERT_EQ(log_.newest_event(), newest);
    check_events_between(reader, log_.end());
    for (const Frame& frame : frames_) {
      if (frame.begin >= reader && random_() % 16 == 0) check_events_between(reader, frame.begin);
    }
    if (log_.begin() != log_.end()) {
      ASSERT_EQ(log_.offset_before(reader), before);
    }
  }

  void check_events_between(std::uint64_t from, std::uint64_t to) {
    std::uint64_t count = 0;
    std::int64_t oldest = 0;
    for (const Frame& frame : frames_) {
      if (!frame.is_event || frame.begin < from || frame.begin >= to) continue;
      if (count++ == 0) oldest = frame.time;
    }
    const FrameLog::Events events = log_.events_between(from, to);
    ASSERT_EQ(events.count, count);
    ASSERT_EQ(events.oldest, oldest);
  }

  void drop_until(std::uint64_t position) {
    log_.drop_until(position);
    ASSERT_LE(log_.begin(), position);
    ASSERT_TRUE(log_.begin() == log_.end() || is_begin(log_.begin()));
    // A block of 64 KiB, which may have doubled for a frame that was longer than was said.
    ASSERT_LT(position - log_.begin(), 2 * (65536 + largest_)) << "at most a block is kept for nothing";
  }

  std::size_t below(std::size_t end) { return random_() % end; }

 private:
  bool is_begin(std::uint64_t position) const {
    return std::any_of(frames_.begin(), frames_.end(), [&](const Frame& frame) { return frame.begin == position; });
  }

  std::mt19937_64 random_;
  FrameLog log_;
  std::string bytes_;
  std::vector<Frame> frames_;
  std::uint64_t offset_ = 0;
  std::size_t largest_ = 0;
};

TEST(FrameLog, IsWhatItsModelIs) {
  for (std::uint32_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    Model model(seed);
    std::vector<std::uint64_t> readers(3, 0);
    for (int step = 0; step < 300; ++step) {
      const std::size_t choice = model.below(10);
      if (choice < 5) {
        model.append_frame();
      } else if (choice < 9) {
        model.advance(readers[model.below(readers.size())]);
      } else {
        model.drop_until(*std::min_element(readers.begin(), readers.end()));
      }
      for (const std::uint64_t reader : readers) model.check(reader);
      if (HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace polyglot::server
