// Every torn state that recovery.hpp names, written by hand by a process that then dies holding the lock.
#include "core/recovery.hpp"

#include <gtest/gtest.h>
#include <linux/futex.h>
#include <sys/syscall.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "core/checksum.hpp"
#include "core/record.hpp"
#include "core/shared_bytes.hpp"
#include "recovery_fixture.hpp"

namespace polyglot::core::testing {
namespace {

// The next record of channel "c", complete but for the steps that the caller leaves out.
struct NextRecord {
  NextRecord(const SegmentMap& map, const ChannelRef& ref) : map_(map), ref_(ref) {
    ChannelSlot& slot = map.channel(ref.index);
    life = &SegmentMap::life(slot, ref.generation);
    header.kind = RecordKind::event;
    header.app_length = 3;
    header.channel_length = 1;
    header.position = map.header().head.load();
    header.offset = life->last.load() + 1;
    header.epoch = life->epoch.load();
    header.time_us = 1;
    header.channel = ref.index;
    SentEvent event{.channel = {}, .type = "\"t\"", .data = "\"torn\""};
    append_envelope(payload, {"app", "c", id, 1, {}, {}}, event);
    const std::size_t size = payload.size();
    payload.resize(size + kMaxOffsetLength);
    payload.resize(size + write_offset(header.offset, payload.data() + size));
    header.payload = static_cast<std::uint32_t>(payload.size());
    header.crc = record_crc(crc32c(0, payload.data(), payload.size()), header);
  }

  void write_record(std::size_t bytes) {
    std::string record(sizeof(header), '\0');
    std::memcpy(record.data(), &header, sizeof(header));
    record += payload;
    store_shared(map_.log(header.position), record.data(), std::min(bytes, record.size()));
  }
  void write_ring() { map_.ring(ref_.index, header.offset).store(header.position); }
  void write_key(std::uint64_t slot) {
    map_.header().idempotency_pending.store(slot + 1);
    const IdempotencyKey key("app", "c", "key", "\"t\"", "\"torn\"");
    map_.idempotency(slot) = {key.key, key.event_hash, system_time_ns() / 1000, id, header.offset, header.epoch};
  }

  const SegmentMap& map_;
  ChannelRef ref_;
  ChannelLife* life;
  RecordHeader header{};
  Ulid id{1, 2, 3};
  std::string payload;
};

TEST_F(RecoveryTest, TailMovedLosesOnlyWhatItGaveUp) {
  publish("c", "1");
  publish("c", "2");
  die_holding_lock([](const SegmentMap& map) { map.header().tail.store(8); });
  EXPECT_EQ(publish("c", "3").offset, 3U);
  const HistoryPage page = read("c");
  EXPECT_EQ(page.gap, GapReason::overwritten);
  EXPECT_EQ(page.gap_to, 1U);
  ASSERT_EQ(page.items.size(), 2U);
  EXPECT_EQ(repairs(), 1U);
}

TEST_F(RecoveryTest, FillerWrittenIsSkipped) {
  publish("c", "1");
  die_holding_lock([](const SegmentMap& map) {
    const std::uint64_t head = map.header().head.load();
    RecordHeader filler{};
    filler.kind = RecordKind::filler;
    filler.position = head;
    filler.payload = static_cast<std::uint32_t>(map.run(head) - sizeof(filler));
    store_shared(map.log(head), &filler, sizeof(filler));
    map.header().head.store(head + map.run(head));
  });
  // The lap was almost whole, so the first event went with it; that is said.
  EXPECT_EQ(publish("c", "2").offset, 2U);
  const HistoryPage page = read("c");
  EXPECT_EQ(page.items.size(), 1U);
  EXPECT_EQ(page.gap, GapReason::overwritten);
  EXPECT_EQ(page.gap_to, 1U);
}

TEST_F(RecoveryTest, RecordWrittenInPartIsNeverSeen) {
  publish("c", "1");
  const ChannelRef ref = ref_of("c");
  for (std::size_t bytes = 0; bytes < 200; bytes += 24) {
    die_holding_lock([&](const SegmentMap& map) { NextRecord(map, ref).write_record(bytes); });
    EXPECT_EQ(read("c").last, 1 + bytes / 24);
    EXPECT_EQ(publish("c", "2").offset, 2 + bytes / 24);
  }
  EXPECT_EQ(read("c").bytes.text().find("torn"), std::string::npos);
}

TEST_F(RecoveryTest, RingWrittenIsOverwritten) {
  publish("c", "1");
  const ChannelRef ref = ref_of("c");
  die_holding_lock([&](const SegmentMap& map) {
    NextRecord next(map, ref);
    next.write_record(~std::size_t{0});
    next.write_ring();
  });
  EXPECT_EQ(read("c").items.size(), 1U);
  EXPECT_EQ(publish("c", "2").offset, 2U);
  EXPECT_EQ(read("c").bytes.text().find("torn"), std::string::npos);
}

TEST_F(RecoveryTest, CommittedIsFinished) {
  publish("c", "1");
  const ChannelRef ref = ref_of("c");
  die_holding_lock([&](const SegmentMap& map) {
    NextRecord next(map, ref);
    next.write_record(~std::size_t{0});
    next.write_ring();
    next.life->last.store(next.header.offset);
  });
  EXPECT_NE(read("c").bytes.text().find("torn"), std::string::npos);
  EXPECT_EQ(publish("other", "1").offset, 1U);
  EXPECT_EQ(publish("c", "3").offset, 3U);
  const HistoryPage page = read("c");
  ASSERT_EQ(page.items.size(), 3U);
  EXPECT_NE(page.bytes.text().find("torn"), std::string::npos);
  EXPECT_EQ(page.gap, GapReason::none);
}

TEST_F(RecoveryTest, CommittedIsFinishedByTheFirstOpenerToo) {
  publish("c", "1");
  const ChannelRef ref = ref_of("c");
  die_holding_lock([&](const SegmentMap& map) {
    NextRecord next(map, ref);
    next.write_record(~std::size_t{0});
    next.write_ring();
    next.life->last.store(next.header.offset);
  });
  reopen();
  EXPECT_EQ(publish("c", "3").offset, 3U);
  EXPECT_EQ(read("c").items.size(), 3U);
  EXPECT_TRUE(gateway_->segment().notices().empty());
}

// On a slot that was never used, and on one that an old key had.
TEST_F(RecoveryTest, KeyHalfWrittenCountsForNothing) {
  for (const bool first_opener : {false, true}) {
    for (const char* old_key : {"", "key"}) {
      const std::string channel = "c" + std::to_string(first_opener) + old_key;
      const std::uint64_t offset = publish(channel, "1", old_key).offset;
      const IdempotencyKey key("app", channel, "key", "\"t\"", "\"torn\"");
      const std::uint64_t at = IdempotencyWindow(map()).find(key, system_time_ns() / 1000).index;
      die_holding_lock([&](const SegmentMap& map) {
        map.header().idempotency_pending.store(at + 1);
        map.idempotency(at).time_us = kLongAgo;
        map.idempotency(at).key = key.key;
        map.idempotency(at).event_hash = key.event_hash;
      });
      if (first_opener) reopen();
      const Ack again = publish(channel, "\"torn\"", "key");
      EXPECT_FALSE(again.replayed);
      EXPECT_EQ(again.offset, offset + 1);
    }
  }
}

TEST_F(RecoveryTest, KeyWrittenWithoutCommitIsForgotten) {
  publish("c", "1");
  const ChannelRef ref = ref_of("c");
  die_holding_lock([&](const SegmentMap& map) {
    NextRecord next(map, ref);
    next.write_record(~std::size_t{0});
    const IdempotencyKey key("app", "c", "key", "\"t\"", "\"torn\"");
    next.write_key(IdempotencyWindow(map).find(key, system_time_ns() / 1000).index);
    next.write_ring();
  });
  EXPECT_EQ(publish("c", "2").offset, 2U);  // takes the offset that the dead writer had in mind
  const Ack again = publish("c", "\"torn\"", "key");
  EXPECT_FALSE(again.replayed);
  EXPECT_EQ(again.offset, 3U);
}

TEST_F(RecoveryTest, KeyWrittenAndCommittedIsKept) {
  publish("c", "1");
  const ChannelRef ref = ref_of("c");
  die_holding_lock([&](const SegmentMap& map) {
    NextRecord next(map, ref);
    next.write_record(~std::size_t{0});
    const IdempotencyKey key("app", "c", "key", "\"t\"", "\"torn\"");
    next.write_key(IdempotencyWindow(map).find(key, system_time_ns() / 1000).index);
    next.write_ring();
    next.life->last.store(next.header.offset);
  });
  const Ack again = publish("c", "\"torn\"", "key");
  EXPECT_TRUE(again.replayed);
  EXPECT_EQ(again.offset, 2U);
  EXPECT_EQ(read("c").items.size(), 2U);
}

TEST_F(RecoveryTest, SlotFreedDuringAnEvictionIsUsedAgain) {
  for (int i = 0; i < 8; ++i) publish("c" + std::to_string(i), "1");
  const ChannelRef ref = ref_of("c3");
  die_holding_lock([&](const SegmentMap& map) {
    map.header().table_changing.store(1);
    map.header().void_epoch.store(new_epoch());
    map.channel(ref.index).generation.store(ref.generation + 1);
  });
  EXPECT_EQ(publish("new", "1").offset, 1U);
  EXPECT_EQ(gateway_->stored().channels(), 8U);
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(read("c" + std::to_string(i)).last, i == 3 ? 0U : 1U) << i;
  }
}

TEST_F(RecoveryTest, NameWrittenIsNotAChannelYet) {
  publish("c", "1");
  die_holding_lock([](const SegmentMap& map) {
    map.header().table_changing.store(1);
    map.header().slots_used.store(2);
    const ChannelKey key("app", "half", map.header().seed);
    map.channel(1).name = key.name;
    map.channel(1).name_hash.store(key.hash);
  });
  EXPECT_EQ(gateway_->stored().channels(), 1U);
  EXPECT_EQ(publish("half", "1").offset, 1U);
  EXPECT_EQ(publish("c", "2").offset, 2U);
}

TEST_F(RecoveryTest, SlotLiveButNotInTheTableIsFound) {
  publish("c", "1");
  std::uint64_t epoch = 0;
  die_holding_lock([](const SegmentMap& map) {
    map.header().table_changing.store(1);
    map.header().slots_used.store(2);
    const ChannelKey key("app", "half", map.header().seed);
    ChannelSlot& slot = map.channel(1);
    slot.name = key.name;
    slot.name_hash.store(key.hash);
    ChannelLife& life = SegmentMap::life(slot, 1);
    life.epoch.store(77);
    life.first.store(1);
    slot.generation.store(1);
  });
  publish("c", "2");  // the repair
  epoch = read("half").epoch;
  EXPECT_EQ(epoch, 77U);
  EXPECT_EQ(publish("half", "1").epoch, epoch);
}

TEST_F(RecoveryTest, VoidChangedLeavesTheChannelAsItWas) {
  const Ack ack = publish("c", "1");
  die_holding_lock([](const SegmentMap& map) { map.header().void_epoch.store(new_epoch()); });
  EXPECT_EQ(publish("c", "2").epoch, ack.epoch);
  EXPECT_EQ(read("c").items.size(), 2U);
}

TEST_F(RecoveryTest, LifeFlippedWithoutWordToTheFeedIsANewEpoch) {
  publish("c", "1");
  const ChannelRef ref = ref_of("c");
  die_holding_lock([&](const SegmentMap& map) {
    map.header().void_epoch.store(new_epoch());
    ChannelSlot& slot = map.channel(ref.index);
    ChannelLife& life = SegmentMap::life(slot, ref.generation + 2);
    life.epoch.store(99);
    life.last.store(0);
    life.first.store(1);
    slot.generation.store(ref.generation + 2);
  });
  const Ack ack = publish("c", "2");
  EXPECT_EQ(ack.epoch, 99U);
  EXPECT_EQ(ack.offset, 1U);
}

// Whole or in part, with names or without: nobody was told, and the next record takes its place.
TEST_F(RecoveryTest, MessageWrittenIsOverwritten) {
  publish("c", "1");
  const auto feed = taken(gateway_->follow());
  for (std::size_t bytes = 0; bytes <= 80; bytes += 8) {
    for (const std::string text : {"", "appcnot said"}) {
      die_holding_lock([&](const SegmentMap& map) {
        RecordHeader header{};
        header.kind = RecordKind::message;
        header.app_length = text.empty() ? 0 : 3;
        header.channel_length = text.empty() ? 0 : 1;
        header.position = map.header().head.load();
        header.payload = static_cast<std::uint32_t>(text.size());
        header.crc = record_crc(crc32c(0, text.data(), text.size()), header);
        std::string record(sizeof(header), '\0');
        std::memcpy(record.data(), &header, sizeof(header));
        record += text;
        store_shared(map.log(header.position), record.data(), std::min(bytes, record.size()));
      });
      EXPECT_TRUE(feed->poll().none());
      const std::uint64_t before = gateway_->channel("app", "c")->last;
      EXPECT_EQ(publish("c", "2").offset, before + 1);
      ASSERT_TRUE(gateway_->announce("app", "c", "said").ok());
      const FeedNews news = feed->poll();
      ASSERT_EQ(news.messages.size(), 1U);
      EXPECT_EQ(news.messages.front().payload, "said");
      EXPECT_EQ(news.channels.size(), 1U);
    }
  }
  EXPECT_EQ(read("c").gap, GapReason::overwritten);  // 15 are kept
}

// The feeds may have been told already: a head that has moved stays.
TEST_F(RecoveryTest, AMessageSaidOutlivesItsWriterAndTheVerification) {
  publish("c", "1");
  ASSERT_TRUE(gateway_->announce("app", "c", "said").ok());
  const std::uint64_t head = map().header().head.load();
  die_holding_lock([](const SegmentMap&) {});
  publish("c", "2");
  reopen();
  EXPECT_TRUE(gateway_->segment().notices().empty());
  EXPECT_GT(map().header().head.load(), head);
  EXPECT_EQ(read("c").items.size(), 2U);
  die_with_the_kernel();
  EXPECT_EQ(read("c").items.size(), 2U);
  ASSERT_TRUE(gateway_->announce("", "", "said").ok());
}

TEST(RecordTest, IsWholeOnlyWithEveryByte) {
  const TemporaryFolder folder;
  auto segment = open_segment(small_options(folder.path()));
  History history(*segment);
  append(history, "app", "c", "[1,2,3]");
  RecordHeader record;
  ASSERT_TRUE(record_is_whole(segment->map(), 0, record));
  EXPECT_EQ(record.offset, 1U);
  for (std::size_t i = 0; i < sizeof(RecordHeader) + record.payload; ++i) {
    std::byte& byte = segment->map().log(0)[i];
    byte ^= std::byte{0x10};
    RecordHeader damaged;
    EXPECT_FALSE(record_is_whole(segment->map(), 0, damaged)) << i;
    byte ^= std::byte{0x10};
  }
}

// It had let go, and another took the lock before anybody was woken.
TEST_F(RecoveryTest, AWakeUpThatDiesWithTheHolderKeepsNobodyWaiting) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "here nobody sleeps";
#endif
  const auto word_of = [](const SegmentMap& map) {
    return std::atomic_ref<unsigned>(*reinterpret_cast<unsigned*>(map.header().lock.data()));
  };
  auto waiter = std::async(std::launch::async, [&] {
    while (word_of(map()).load() == 0) std::this_thread::yield();
    publish("c", "1");
  });
  die_holding_lock([&](const SegmentMap& map) {
    while ((word_of(map).load() & FUTEX_WAITERS) == 0) std::this_thread::yield();
    word_of(map).store(0);
  });
  const bool ended = waiter.wait_for(std::chrono::seconds(20)) == std::future_status::ready;
  EXPECT_TRUE(ended);
  if (!ended) syscall(SYS_futex, map().header().lock.data(), FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

}  // namespace
}  // namespace polyglot::core::testing
