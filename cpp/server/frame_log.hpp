// FrameLog: the frames of one channel in one encoding, each written once and sent to every reader from here.
//
// A position counts the bytes since the log began. A reader is a position, always at the beginning of a frame. Frames
// lie in blocks that do not move, and none spans two.
//
// Thread safety: one thread at a time. Views last until the next append or drop.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

namespace polyglot::server {

class FrameLog {
 public:
  std::uint64_t begin() const { return blocks_.empty() ? end_ : blocks_.front().begin; }
  std::uint64_t end() const { return end_; }

  // Where to write the next frame: append to it, then call commit. `size`: about how long it will be.
  std::string& open_frame(std::size_t size);
  // The frame is complete. `offset`: of the newest event up to and with it; `is_event` tells it from other messages;
  // `time`: the event's, in microseconds since 1970.
  void commit(std::uint64_t offset, bool is_event, std::int64_t time = 0);

  // Fills `parts` with what lies behind `from`, as much as there are parts for; returns how many were used and sets
  // `to` behind the last byte. REQUIRES: begin() <= from <= end().
  std::size_t gather(std::uint64_t from, iovec* parts, std::size_t count, std::uint64_t& to) const;
  // The rest of the frame that `position` lies in; empty at the beginning of a frame, or at the end.
  std::string_view rest_of_frame(std::uint64_t position) const;
  struct Events {
    std::uint64_t count;
    std::int64_t oldest;  // time of the first one; 0: there is none
  };
  // What lies between two frames' beginnings. REQUIRES: begin() <= from <= to <= end().
  Events events_between(std::uint64_t from, std::uint64_t to) const;
  // The newest event's offset before `position`. REQUIRES: begin() <= position, and the log is not empty.
  std::uint64_t offset_before(std::uint64_t position) const;
  // The beginning of the newest event; end() when there is none.
  std::uint64_t newest_event() const;

  // Forgets blocks that end at or before `position`.
  void drop_until(std::uint64_t position);
  void clear() { drop_until(end_); }

 private:
  struct Block {
    std::uint64_t begin;
    std::string bytes;
  };
  struct Mark {
    std::uint64_t begin;
    std::uint64_t offset;
    bool is_event;
    std::uint64_t events;  // before it, since the log began
    std::int64_t time;
  };
  // The mark of the frame that `position` lies in. REQUIRES: begin() <= position < end().
  std::deque<Mark>::const_iterator mark_at(std::uint64_t position) const;

  std::deque<Block> blocks_;
  std::deque<Mark> marks_;
  std::uint64_t end_ = 0;
  std::uint64_t events_ = 0;
};

}  // namespace polyglot::server
