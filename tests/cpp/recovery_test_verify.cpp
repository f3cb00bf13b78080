// What only a first opener may find: bytes that a disk lost or a hand changed, and what a dead kernel left.
#include <gtest/gtest.h>

#include "core/checksum.hpp"
#include "core/record.hpp"
#include "core/recovery.hpp"
#include "core/shared_bytes.hpp"
#include "recovery_fixture.hpp"

namespace polyglot::core::testing {
namespace {

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

// verify() itself was killed, after it had brought a part of the records over to the new epoch.
TEST_F(RecoveryTest, AVerificationThatWasKilledIsTakenUpAgain) {
  for (int i = 1; i <= 3; ++i) publish("c", std::to_string(i));
  const ChannelRef ref = ref_of("c");
  const std::uint64_t epoch = read("c").epoch;
  map().header().verifying.store(77);
  const std::uint64_t position = map().ring(ref.index, 1).load();
  RecordHeader record;
  ASSERT_TRUE(record_is_whole(map(), position, record));
  std::string payload(record.payload, '\0');
  load_shared(payload.data(), map().log(position) + sizeof(record), payload.size());
  record.epoch = hash64(77, {reinterpret_cast<const char*>(&epoch), sizeof(epoch)});
  record.crc = record_crc(crc32c(0, payload.data(), payload.size()), record);
  store_record(map().log(position), record);
  die_with_the_kernel();
  EXPECT_EQ(read("c").items.size(), 3U);
  EXPECT_EQ(read("c").epoch, record.epoch);
  EXPECT_EQ(gateway_->segment().notices().size(), 1U);
  EXPECT_EQ(map().header().verifying.load(), 0U);
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

// The next append goes to the head, and would overwrite a part of the record.
TEST_F(RecoveryTest, AnEventThatReachesBeyondADamagedHeadIsGivenUp) {
  for (int i = 1; i <= 3; ++i) publish("c", std::to_string(i));
  const std::uint64_t epoch = read("c").epoch;
  map().header().head.store(map().ring(ref_of("c").index, 3).load() + 16);
  reopen();
  EXPECT_EQ(gateway_->segment().notices().size(), 1U);
  EXPECT_EQ(read("c").last, 2U);
  EXPECT_NE(read("c").epoch, epoch);
  EXPECT_EQ(publish("c", "4").offset, 3U);
  EXPECT_EQ(read("c").items.size(), 3U);
}

TEST_F(RecoveryTest, PositionsWithoutSenseSetTheFileAside) {
  publish("c", "1");
  map().header().tail.store(map().header().head.load() + 8);
  reopen();
  EXPECT_EQ(gateway_->segment().notices().size(), 1U);
  EXPECT_EQ(publish("c", "1").offset, 1U);
}

}  // namespace
}  // namespace polyglot::core::testing
