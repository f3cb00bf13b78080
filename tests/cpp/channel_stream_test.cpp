#include "server/channel_stream.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

namespace polyglot::server {
namespace {

using namespace std::string_literals;

constexpr std::uint64_t kEpoch = 0xab;
constexpr Encoding kAll[] = {Encoding::websocket, Encoding::sse, Encoding::sse_chunked};
constexpr std::string_view kEnvelope = R"({"id":"evt_1","data":{"text":"Hi"},"offset":7})";
const Gap kGap{.from = 3, .to = 6, .reason = "overwritten", .epoch = 0xcd, .offset = 6};

ChannelStream stream_of(const std::vector<Encoding>& live) {
  ChannelStream stream("demo", "room:test");
  stream.epoch = kEpoch;
  // Who they are does not matter to the stream, only how many.
  for (const Encoding encoding : live) stream.readers[static_cast<std::size_t>(encoding)].live.push_back(nullptr);
  return stream;
}

std::string logged(const ChannelStream& stream, Encoding encoding) {
  const FrameLog& frames = stream.readers[static_cast<std::size_t>(encoding)].frames;
  std::string text;
  iovec part{};
  for (std::uint64_t at = frames.begin(); frames.gather(at, &part, 1, at) != 0;) {
    text.append(static_cast<const char*>(part.iov_base), part.iov_len);
  }
  return text;
}

std::string event(Encoding encoding, std::string_view envelope) {
  std::string out;
  stream_of({}).write_event(out, encoding, kEpoch, 7, envelope);
  return out;
}

std::string gap(Encoding encoding) {
  std::string out;
  stream_of({}).write_gap(out, encoding, kGap);
  return out;
}

TEST(ChannelStream, WritesEventsToSocketsAsPhoenixMessages) {
  EXPECT_EQ(event(Encoding::websocket, kEnvelope),
            "\x81\x4E[null,null,\"room:test\",\"event\"," + std::string(kEnvelope) + "]");
}

TEST(ChannelStream, WritesFramesOfEveryLength) {
  const std::string head = "[null,null,\"room:test\",\"event\",";
  const auto message = [&](std::size_t size) { return std::string(size - head.size() - 1, '1'); };
  EXPECT_EQ(event(Encoding::websocket, message(125)), "\x81\x7D" + head + message(125) + "]");
  EXPECT_EQ(event(Encoding::websocket, message(126)), "\x81\x7E\x00\x7E"s + head + message(126) + "]");
  EXPECT_EQ(event(Encoding::websocket, message(65535)), "\x81\x7E\xFF\xFF" + head + message(65535) + "]");
  EXPECT_EQ(event(Encoding::websocket, message(65536)),
            "\x81\x7F\x00\x00\x00\x00\x00\x01\x00\x00"s + head + message(65536) + "]");
}

TEST(ChannelStream, WritesEventsToStreamsAsBlocks) {
  EXPECT_EQ(event(Encoding::sse, kEnvelope), "id: 00000000000000ab:7\ndata: " + std::string(kEnvelope) + "\n\n");
}

TEST(ChannelStream, WritesAFieldForEachLineOfTheData) {
  const auto block = [](std::string_view lines) { return "id: 00000000000000ab:7" + std::string(lines) + "\n\n"; };
  EXPECT_EQ(event(Encoding::sse, "{\n}"), block("\ndata: {\ndata: }"));
  EXPECT_EQ(event(Encoding::sse, "{\r}"), block("\ndata: {\ndata: }"));
  EXPECT_EQ(event(Encoding::sse, "{\r\n}"), block("\ndata: {\ndata: }"));
  EXPECT_EQ(event(Encoding::sse, "{\n\r}"), block("\ndata: {\ndata: \ndata: }"));
  EXPECT_EQ(event(Encoding::sse, "{\r\r\n\n}"), block("\ndata: {\ndata: \ndata: \ndata: }"));
  EXPECT_EQ(event(Encoding::sse, "\n{}\n"), block("\ndata: \ndata: {}\ndata: "));
  EXPECT_EQ(event(Encoding::sse, "{}\r"), block("\ndata: {}\ndata: "));
  EXPECT_EQ(event(Encoding::websocket, "{\r\n}"), "\x81\x24[null,null,\"room:test\",\"event\",{\r\n}]");
}

TEST(ChannelStream, WritesAChunkOfTheSameBlock) {
  EXPECT_EQ(event(Encoding::sse_chunked, "{}"), "21\r\nid: 00000000000000ab:7\ndata: {}\n\n\r\n");
  for (const std::string& envelope : {std::string(kEnvelope), "{\n\n}"s, std::string(70'000, '1')}) {
    const std::string block = event(Encoding::sse, envelope);
    char size[16];
    std::snprintf(size, sizeof(size), "%zx\r\n", block.size());
    EXPECT_EQ(event(Encoding::sse_chunked, envelope), size + block + "\r\n");
  }
}

TEST(ChannelStream, WritesGaps) {
  EXPECT_EQ(gap(Encoding::websocket),
            "\x81\x6C[null,null,\"room:test\",\"gap\",{\"from\":3,\"to\":6,\"reason\":\"overwritten\","
            "\"epoch\":\"00000000000000cd\",\"offset\":6}]");
  const std::string block =
      "event: gap\nid: 00000000000000cd:6\ndata: {\"from\":3,\"to\":6,\"reason\":\"overwritten\"}\n\n";
  EXPECT_EQ(gap(Encoding::sse), block);
  EXPECT_EQ(gap(Encoding::sse_chunked), "52\r\n" + block + "\r\n");
}

TEST(ChannelStream, WritesLargeNumbersWhole) {
  constexpr std::uint64_t kLargest = ~std::uint64_t{0};
  std::string out;
  stream_of({}).write_gap(out, Encoding::sse, {kLargest, kLargest, "expired", kLargest, kLargest});
  EXPECT_EQ(out,
            "event: gap\nid: ffffffffffffffff:18446744073709551615\n"
            "data: {\"from\":18446744073709551615,\"to\":18446744073709551615,\"reason\":\"expired\"}\n\n");
}

TEST(ChannelStream, WritesBehindWhatIsThere) {
  for (const Encoding encoding : kAll) {
    std::string out = "before";
    stream_of({}).write_event(out, encoding, kEpoch, 7, kEnvelope);
    stream_of({}).write_gap(out, encoding, kGap);
    EXPECT_EQ(out, "before" + event(encoding, kEnvelope) + gap(encoding));
  }
}

TEST(ChannelStream, LogsTheSameFramesForAll) {
  ChannelStream stream = stream_of({kAll[0], kAll[1], kAll[2]});
  stream.append_event(7, kEnvelope);
  stream.append_gap(kGap);
  for (const Encoding encoding : kAll) {
    EXPECT_EQ(logged(stream, encoding), event(encoding, kEnvelope) + gap(encoding));
  }
}

TEST(ChannelStream, WritesOnlyEncodingsThatSomebodyReads) {
  for (const Encoding read : kAll) {
    ChannelStream stream = stream_of({read, read});
    stream.append_event(7, kEnvelope);
    stream.append_gap(kGap);
    stream.append_message("presence_diff", "{}");
    for (const Encoding encoding : kAll) {
      EXPECT_EQ(logged(stream, encoding).empty(), encoding != read);
      EXPECT_EQ(stream.readers[static_cast<std::size_t>(encoding)].behind, encoding == read ? 2U : 0U);
    }
  }
}

TEST(ChannelStream, TellsMessagesToSocketsOnly) {
  ChannelStream stream = stream_of({kAll[0], kAll[1], kAll[2]});
  stream.append_message("presence_diff", R"({"joins":{},"leaves":{}})");
  EXPECT_EQ(logged(stream, Encoding::websocket),
            "\x81\x40[null,null,\"room:test\",\"presence_diff\",{\"joins\":{},\"leaves\":{}}]");
  EXPECT_EQ(logged(stream, Encoding::sse), "");
  EXPECT_EQ(logged(stream, Encoding::sse_chunked), "");
}

TEST(ChannelStream, RemembersWhichEventAFrameIs) {
  ChannelStream stream = stream_of({Encoding::websocket});
  const FrameLog& frames = stream.readers[0].frames;
  stream.append_event(7, kEnvelope);
  const std::uint64_t behind_event = frames.end();
  stream.offset = 7;
  stream.append_message("presence_diff", "{}");
  EXPECT_EQ(frames.offset_before(0), 6U);
  EXPECT_EQ(frames.offset_before(behind_event), 7U);
  EXPECT_EQ(frames.offset_before(frames.end()), 7U);
  EXPECT_EQ(frames.newest_event(), 0U);
}

// A frame is written into its place; if too little was reserved the place would move.
TEST(ChannelStream, KeepsEveryFrameInOnePiece) {
  for (const Encoding encoding : kAll) {
    ChannelStream stream = stream_of({encoding});
    const FrameLog& frames = stream.readers[static_cast<std::size_t>(encoding)].frames;
    std::string all;
    std::vector<std::pair<const void*, std::size_t>> places;
    for (std::uint64_t offset = 1; offset < 300; ++offset) {
      const std::string envelope(offset % 3 == 0 ? offset * 10 : 20, offset % 2 == 0 ? '\n' : '1');
      const std::uint64_t begin = frames.end();
      stream.append_event(offset, envelope);
      iovec part{};
      std::uint64_t to = 0;
      ASSERT_EQ(frames.gather(begin, &part, 1, to), 1U);
      ASSERT_EQ(to, frames.end());
      places.emplace_back(part.iov_base, part.iov_len);
      stream.write_event(all, encoding, kEpoch, offset, envelope);
    }
    EXPECT_EQ(logged(stream, encoding), all);
    std::string pieces;
    for (const auto& [at, size] : places) pieces.append(static_cast<const char*>(at), size);
    EXPECT_EQ(pieces, all) << "they are still where they were written";
  }
}

TEST(GapOf, StandsBeforeThePagesFirstEvent) {
  core::HistoryPage page;
  page.epoch = kEpoch;
  page.last = 9;
  page.items = {{.offset = 7, .time = 0, .begin = 0, .size = 2}, {.offset = 8, .time = 0, .begin = 3, .size = 2}};
  page.gap = core::GapReason::overwritten;
  page.gap_from = 3;
  page.gap_to = 6;
  const Gap found = gap_of(page);
  EXPECT_EQ(found.from, 3U);
  EXPECT_EQ(found.to, 6U);
  EXPECT_EQ(found.reason, "overwritten");
  EXPECT_EQ(found.epoch, kEpoch);
  EXPECT_EQ(found.offset, 6U);
}

TEST(GapOf, StandsAtTheEndWhenThereIsNoEvent) {
  core::HistoryPage page;
  page.epoch = kEpoch;
  page.last = 9;
  page.gap = core::GapReason::epoch_changed;
  const Gap found = gap_of(page);
  EXPECT_EQ(found.reason, "epoch_changed");
  EXPECT_EQ(found.offset, 9U);
}

}  // namespace
}  // namespace polyglot::server
