// Every torn state that recovery.hpp names, written by hand by a process that then dies holding the lock.
#include "core/recovery.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>

#include "core/checksum.hpp"
#include "core/gateway.hpp"
#include "core/shared_bytes.hpp"
#include "temporary.hpp"

namespace polyglot::core::testing {
namespace {

class RecoveryTest : public ::testing::Test {
 protected:
  RecoveryTest() {
    options_.segment = small_options(folder_.path());
    reopen();
  }

  void reopen() {
    gateway_.reset();
    auto opened = Gateway::open(options_);
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    gateway_ = std::move(opened).value();
  }

  Ack publish(std::string_view channel, std::string_view data, std::string_view key = {}) {
    const std::string body = R"({"type":"t","data":)" + std::string(data) + "}";
    const auto ack = gateway_->publish("app", channel, body, {.idempotency_key = key, .source_ip = "", .user_id = ""});
    EXPECT_TRUE(ack.ok()) << ack.status().message();
    return ack.ok() ? ack.value() : Ack{};
  }

  HistoryPage read(std::string_view channel, std::uint64_t since = 0, std::string_view epoch = {}) {
    HistoryPage page;
    const Status status = gateway_->read("app", channel, {.limit = 1000, .since = since, .epoch = epoch}, page);
    EXPECT_TRUE(status.ok()) << status.message();
    return page;
  }

  // The file as another kernel would find it: not closed, and with a boot id that is not its own.
  void die_with_the_kernel() {
    const std::string path = folder_.path() + "/history.pgs";
    map().header().boot_id.fill('0');
    std::filesystem::copy_file(path, path + ".copy");
    gateway_.reset();
    std::filesystem::rename(path + ".copy", path);
    reopen();
  }

  // In another process: takes the lock, changes the file, and dies without letting go.
  void die_holding_lock(const std::function<void(const SegmentMap&)>& change) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto segment = Segment::open(options_.segment);
      if (!segment.ok()) _exit(1);
      const Segment::Lock lock(*segment.value());
      change(segment.value()->map());
      _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0);
  }

  const SegmentMap& map() { return gateway_->segment().map(); }
  std::uint64_t repairs() { return gateway_->counters().total(Counter::repairs); }
  ChannelRef ref_of(std::string_view channel) {
    return ChannelTable(map()).find(ChannelKey("app", channel, map().header().seed)).value();
  }

  TemporaryFolder folder_;
  GatewayOptions options_;
  std::unique_ptr<Gateway> gateway_;
};

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
  EXPECT_EQ(read("c").bytes.find("torn"), std::string::npos);
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
  EXPECT_EQ(read("c").bytes.find("torn"), std::string::npos);
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
  EXPECT_NE(read("c").bytes.find("torn"), std::string::npos);
  EXPECT_EQ(publish("other", "1").offset, 1U);
  EXPECT_EQ(publish("c", "3").offset, 3U);
  const HistoryPage page = read("c");
  ASSERT_EQ(page.items.size(), 3U);
  EXPECT_NE(page.bytes.find("torn"), std::string::npos);
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

// What only a first opener may find: bytes that a disk lost or a hand changed.
TEST_F(RecoveryTest, DamagedNewestEventEndsTheEpochAndKeepsTheRest) {
  for (int i = 1; i <= 5; ++i) publish("c", std::to_string(i));
  const std::uint64_t epoch = read("c").epoch;
  const ChannelRef ref = ref_of("c");
  map().log(map().ring(ref.index, 5).load())[60] ^= std::byte{1};
  reopen();
  EXPECT_EQ(gateway_->segment().notices().size(), 1U);
  const HistoryPage page = read("c", 4, epoch_text(epoch));
  EXPECT_EQ(page.gap, GapReason::epoch_changed);
  EXPECT_EQ(page.last, 4U);
  EXPECT_NE(page.epoch, epoch);
  EXPECT_EQ(page.items.size(), 4U);
  EXPECT_EQ(publish("c", "6").offset, 5U);
  EXPECT_EQ(read("c").items.size(), 5U);
  reopen();
  EXPECT_TRUE(gateway_->segment().notices().empty());
  EXPECT_EQ(read("c").items.size(), 5U);
}

TEST_F(RecoveryTest, DamagedOlderEventIsAGap) {
  for (int i = 1; i <= 5; ++i) publish("c", std::to_string(i));
  const std::uint64_t epoch = read("c").epoch;
  const ChannelRef ref = ref_of("c");
  map().log(map().ring(ref.index, 2).load())[60] ^= std::byte{1};
  reopen();
  EXPECT_EQ(gateway_->segment().notices().size(), 1U);
  const HistoryPage page = read("c", 0, epoch_text(epoch));
  EXPECT_EQ(page.epoch, epoch);
  EXPECT_EQ(page.gap, GapReason::overwritten);
  EXPECT_EQ(page.gap_from, 1U);
  EXPECT_EQ(page.gap_to, 2U);
  EXPECT_EQ(page.items.size(), 3U);
}

TEST_F(RecoveryTest, EventsPushedOutOfTheLogAreNoDamage) {
  const std::string data = '"' + std::string(60000, 'x') + '"';
  publish("old", "1");
  for (int i = 0; i < 40; ++i) publish("c", data);
  const std::uint64_t epoch = read("old").epoch;
  reopen();
  EXPECT_TRUE(gateway_->segment().notices().empty());
  const HistoryPage page = read("old", 0, epoch_text(epoch));
  EXPECT_EQ(page.gap, GapReason::overwritten);
  EXPECT_EQ(page.gap_to, 1U);
  EXPECT_EQ(publish("old", "2").offset, 2U);
}

// A kernel that dies leaves the boot id of another and no mark of a close.
TEST_F(RecoveryTest, AfterADeadKernelEveryChannelHasANewEpochAndItsEvents) {
  for (int i = 1; i <= 3; ++i) publish("c", std::to_string(i));
  publish("d", "1");
  const std::uint64_t epoch = read("c").epoch, void_epoch = read("nothing").epoch;
  die_with_the_kernel();
  EXPECT_EQ(gateway_->segment().notices().size(), 1U);
  const HistoryPage page = read("c", 3, epoch_text(epoch));
  EXPECT_EQ(page.gap, GapReason::epoch_changed);
  EXPECT_EQ(page.items.size(), 3U);
  EXPECT_NE(read("d").epoch, page.epoch);
  EXPECT_NE(read("nothing").epoch, void_epoch);
  EXPECT_EQ(publish("c", "4").offset, 4U);
  reopen();
  EXPECT_TRUE(gateway_->segment().notices().empty());
  EXPECT_EQ(read("c", 3, epoch_text(page.epoch)).items.size(), 1U);
}

TEST_F(RecoveryTest, AfterADeadKernelKeysOfEventsThatAreThereAreKept) {
  publish("c", "1", "kept");
  die_with_the_kernel();
  EXPECT_TRUE(publish("c", "1", "kept").replayed);
}

TEST_F(RecoveryTest, AfterADeadKernelKeysOfEventsThatAreGoneAreForgotten) {
  publish("c", "1", "kept");
  publish("c", "2", "lost");
  const ChannelRef ref = ref_of("c");
  SegmentMap::life(map().channel(ref.index), ref.generation).last.store(1);  // the page did not reach the disk
  die_with_the_kernel();
  EXPECT_TRUE(publish("c", "1", "kept").replayed);
  EXPECT_FALSE(publish("c", "2", "lost").replayed);
  EXPECT_EQ(read("c").items.size(), 2U);
}

TEST_F(RecoveryTest, AnOrderlyCloseBeforeARebootChangesNothing) {
  publish("c", "1", "key");
  const std::uint64_t epoch = read("c").epoch;
  map().header().boot_id.fill('0');
  reopen();
  EXPECT_TRUE(gateway_->segment().notices().empty());
  EXPECT_EQ(read("c").epoch, epoch);
  EXPECT_TRUE(publish("c", "1", "key").replayed);
}

TEST_F(RecoveryTest, AChannelWithoutAReadableNameIsDroppedAndSaid) {
  publish("c", "1");
  publish("d", "1");
  const std::uint64_t void_epoch = read("nothing").epoch;
  map().channel(ref_of("c").index).name.text[0] = ' ';
  reopen();
  EXPECT_EQ(gateway_->segment().notices().size(), 1U);
  EXPECT_EQ(read("c").last, 0U);
  EXPECT_NE(read("nothing").epoch, void_epoch);
  EXPECT_EQ(read("d").last, 1U);
}

TEST_F(RecoveryTest, PositionsWithoutSenseSetTheFileAside) {
  publish("c", "1");
  map().header().tail.store(map().header().head.load() + 8);
  reopen();
  EXPECT_EQ(gateway_->segment().notices().size(), 1U);
  EXPECT_EQ(publish("c", "1").offset, 1U);
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

}  // namespace
}  // namespace polyglot::core::testing
