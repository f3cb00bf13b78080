#include "server/frame_log.hpp"

#include <algorithm>

namespace polyglot::server {
namespace {

constexpr std::size_t kBlock = 65536;
constexpr std::size_t kFirstBlock = 1024;  // most channels have one event at a time

}  // namespace

std::string& FrameLog::open_frame(std::size_t size) {
  // A block that grew would move the bytes, so there is room for the frame or a new block.
  if (blocks_.empty() || blocks_.back().bytes.capacity() - blocks_.back().bytes.size() < size) {
    blocks_.push_back({end_, {}});
    blocks_.back().bytes.reserve(std::max(size, blocks_.size() == 1 ? kFirstBlock : kBlock));
  }
  return blocks_.back().bytes;
}

void FrameLog::commit(std::uint64_t offset, bool is_event, std::int64_t time) {
  marks_.push_back({end_, offset, is_event, events_, time});
  if (is_event) ++events_;
  end_ = blocks_.back().begin + blocks_.back().bytes.size();
}

std::size_t FrameLog::gather(std::uint64_t from, iovec* parts, std::size_t count, std::uint64_t& to) const {
  to = from;
  std::size_t used = 0;
  auto block = std::upper_bound(blocks_.begin(), blocks_.end(), from,
                                [](std::uint64_t position, const Block& b) { return position < b.begin; });
  if (block != blocks_.begin()) --block;
  for (; block != blocks_.end() && used < count; ++block) {
    const std::size_t skip = to - block->begin;
    if (skip == block->bytes.size()) continue;
    parts[used++] = {const_cast<char*>(block->bytes.data()) + skip, block->bytes.size() - skip};
    to = block->begin + block->bytes.size();
  }
  return used;
}

std::deque<FrameLog::Mark>::const_iterator FrameLog::mark_at(std::uint64_t position) const {
  return std::prev(std::upper_bound(marks_.begin(), marks_.end(), position,
                                    [](std::uint64_t at, const Mark& mark) { return at < mark.begin; }));
}

std::string_view FrameLog::rest_of_frame(std::uint64_t position) const {
  if (position >= end_) return {};
  const auto mark = mark_at(position);
  if (mark->begin == position) return {};
  const std::uint64_t frame_end = std::next(mark) == marks_.end() ? end_ : std::next(mark)->begin;
  const auto block = std::prev(std::upper_bound(blocks_.begin(), blocks_.end(), position,
                                                [](std::uint64_t at, const Block& b) { return at < b.begin; }));
  return std::string_view(block->bytes).substr(position - block->begin, frame_end - position);
}

FrameLog::Events FrameLog::events_between(std::uint64_t from, std::uint64_t to) const {
  if (from == to) return {0, 0};
  auto first = mark_at(from);
  const std::uint64_t before = first->events;
  const std::uint64_t count = (to == end_ ? events_ : mark_at(to)->events) - before;
  if (count == 0) return {0, 0};
  while (!first->is_event) ++first;
  return {count, first->time};
}

std::uint64_t FrameLog::offset_before(std::uint64_t position) const {
  if (position > marks_.front().begin) return mark_at(position - 1)->offset;
  return marks_.front().offset - (marks_.front().is_event ? 1 : 0);
}

std::uint64_t FrameLog::newest_event() const {
  const auto mark = std::find_if(marks_.rbegin(), marks_.rend(), [](const Mark& m) { return m.is_event; });
  return mark == marks_.rend() ? end_ : mark->begin;
}

void FrameLog::drop_until(std::uint64_t position) {
  while (!blocks_.empty() && blocks_.front().begin + blocks_.front().bytes.size() <= position) blocks_.pop_front();
  while (!marks_.empty() && marks_.front().begin < begin()) marks_.pop_front();
}

}  // namespace polyglot::server
