#include "server/channel_stream.hpp"

#include <algorithm>
#include <charconv>

#include "core/epoch.hpp"
#include "server/phoenix.hpp"
#include "server/websocket_frame.hpp"

namespace polyglot::server {
namespace {

constexpr std::size_t kWrapping = 128;  // more than any encoding adds to a frame of few lines

void append_number(std::string& out, std::uint64_t number, int base = 10) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof(digits), number, base).ptr);
}

void append_epoch(std::string& out, std::uint64_t epoch) {
  char digits[core::kEpochLength];
  core::write_epoch(epoch, digits);
  out.append(digits, sizeof(digits));
}

void append_frame_head(std::string& out, std::size_t payload) {
  char header[kMaxFrameHeader];
  out.append(header, write_frame_header(header, Opcode::text, payload));
}

// id: <epoch>:<offset>, and a data line for each line of `data`.
void append_block(std::string& out, std::string_view event, std::uint64_t epoch, std::uint64_t offset,
                  std::string_view data) {
  if (!event.empty()) out.append("event: ").append(event).append("\n");
  out.append("id: ");
  append_epoch(out, epoch);
  out.push_back(':');
  append_number(out, offset);
  // The data may hold line ends between its JSON tokens; each line needs its own field.
  while (true) {
    const std::size_t line_end = std::min(data.find_first_of("\r\n"), data.size());
    out.append("\ndata: ").append(data.substr(0, line_end));
    if (line_end == data.size()) break;
    const bool both = data[line_end] == '\r' && line_end + 1 < data.size() && data[line_end + 1] == '\n';
    data.remove_prefix(line_end + (both ? 2 : 1));
  }
  out.append("\n\n");
}

void append_gap_json(std::string& out, const Gap& gap) {
  out.append("{\"from\":");
  append_number(out, gap.from);
  out.append(",\"to\":");
  append_number(out, gap.to);
  out.append(",\"reason\":\"").append(gap.reason).push_back('"');
}

void append_chunk(std::string& out, std::string_view data) {
  append_number(out, data.size(), 16);
  out.append("\r\n").append(data).append("\r\n");
}

// `write` appends a block; for chunks it is made aside, because its size comes first.
template <typename Write>
void append_sse(std::string& out, Encoding encoding, const Write& write) {
  if (encoding == Encoding::sse) return write(out);
  thread_local std::string block;
  block.clear();
  write(block);
  append_chunk(out, block);
}

}  // namespace

Gap gap_of(const core::HistoryPage& page) {
  const std::uint64_t after = page.items.empty() ? page.last : page.items.front().offset - 1;
  return {page.gap_from, page.gap_to, core::gap_reason_text(page.gap), page.epoch, after};
}

ChannelStream::ChannelStream(std::string_view the_app, std::string_view the_channel)
    : app(the_app), channel(the_channel) {
  append_event_head(event_head_, channel);
}

void ChannelStream::write_event(std::string& out, Encoding encoding, std::uint64_t at_epoch, std::uint64_t at,
                                std::string_view envelope) const {
  if (encoding != Encoding::websocket) {
    return append_sse(out, encoding, [&](std::string& to) { append_block(to, {}, at_epoch, at, envelope); });
  }
  append_frame_head(out, event_head_.size() + envelope.size() + kEventTail.size());
  out.append(event_head_).append(envelope).append(kEventTail);
}

void ChannelStream::write_gap(std::string& out, Encoding encoding, const Gap& gap) const {
  std::string json;
  append_gap_json(json, gap);
  if (encoding != Encoding::websocket) {
    json.push_back('}');
    return append_sse(out, encoding, [&](std::string& to) { append_block(to, "gap", gap.epoch, gap.offset, json); });
  }
  json.append(",\"epoch\":\"");
  append_epoch(json, gap.epoch);
  json.append("\",\"offset\":");
  append_number(json, gap.offset);
  json.push_back('}');
  write_message(out, "gap", json);
}

void ChannelStream::append_event(std::uint64_t at, std::string_view envelope, core::TimeUs time) {
  for (std::size_t i = 0; i < kEncodings; ++i) {
    Readers& to = readers[i];
    if (to.live.empty()) continue;
    // Each line of the data may need a field name of its own.
    const std::size_t lines = i == 0 ? 0
                                     : static_cast<std::size_t>(std::count(envelope.begin(), envelope.end(), '\n') +
                                                                std::count(envelope.begin(), envelope.end(), '\r'));
    write_event(to.frames.open_frame(envelope.size() + event_head_.size() + kWrapping + 8 * lines),
                static_cast<Encoding>(i), epoch, at, envelope);
    to.frames.commit(at, true, time);
    to.behind = to.live.size();
  }
}

void ChannelStream::append_gap(const Gap& gap) {
  for (std::size_t i = 0; i < kEncodings; ++i) {
    Readers& to = readers[i];
    if (to.live.empty()) continue;
    write_gap(to.frames.open_frame(channel.size() + 2 * kWrapping), static_cast<Encoding>(i), gap);
    to.frames.commit(gap.offset, false);
    to.behind = to.live.size();
  }
}

void ChannelStream::write_message(std::string& out, std::string_view event, std::string_view payload) const {
  thread_local std::string message;
  message.clear();
  append_push(message, "null", '"' + channel + '"', event, payload);
  append_frame_head(out, message.size());
  out.append(message);
}

void ChannelStream::append_message(std::string_view event, std::string_view payload) {
  Readers& to = readers[static_cast<std::size_t>(Encoding::websocket)];
  if (to.live.empty()) return;
  write_message(to.frames.open_frame(channel.size() + event.size() + payload.size() + kWrapping), event, payload);
  to.frames.commit(offset, false);
  to.behind = to.live.size();
}

}  // namespace polyglot::server
