#include "core/segment.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "segment_fixture.hpp"

namespace polyglot::core::testing {
namespace {

namespace fs = std::filesystem;

TEST_F(SegmentTest, MakesAFileOfTheSizeItsPartsAddUpTo) {
  const auto segment = open_segment(options_);
  EXPECT_EQ(fs::file_size(path()), SegmentParts(segment->map().geometry()).end);
  EXPECT_TRUE(segment->notices().empty());
  struct stat status{};
  ASSERT_EQ(stat(path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  EXPECT_GE(static_cast<std::uint64_t>(status.st_blocks) * 512, fs::file_size(path())) << "blocks are not reserved";
}

TEST_F(SegmentTest, MakesMissingFolders) {
  options_.data_dir += "/a/b";
  EXPECT_EQ(code_of_open(), Code::ok);
}

TEST_F(SegmentTest, KeepsEventsFromOneOpenerToTheNext) {
  make_with_one_event();
  auto segment = open_segment(options_);
  History history(*segment);
  HistoryPage page;
  history.read("app", "c", {}, page);
  EXPECT_EQ(page.items.size(), 1U);
  EXPECT_TRUE(segment->notices().empty());
}

TEST_F(SegmentTest, GivesEachOpenerAWorkerSlotOfItsOwn) {
  std::vector<std::unique_ptr<Segment>> all;
  for (std::uint32_t i = 0; i < kMaxWorkers; ++i) {
    all.push_back(open_segment(options_));
    EXPECT_EQ(all.back()->worker(), i);
  }
  EXPECT_EQ(all.front()->workers(), kMaxWorkers);
  EXPECT_EQ(code_of_open(), Code::storage_busy);
  all[7].reset();
  all.push_back(open_segment(options_));
  EXPECT_EQ(all.back()->worker(), 7U);
}

TEST_F(SegmentTest, KnowsWhichOpenersAreAlive) {
  const auto own = open_segment(options_);
  EXPECT_TRUE(own->alive(own->worker()));
  EXPECT_FALSE(own->alive(1));
  EXPECT_FALSE(own->alive(kMaxWorkers));
  auto other = open_segment(options_);
  EXPECT_TRUE(own->alive(1));
  EXPECT_TRUE(other->alive(0));
  other.reset();
  EXPECT_FALSE(own->alive(1));
}

// By the kernel's own account: nobody has to say goodbye.
TEST_F(SegmentTest, AKilledOpenerIsNotAlive) {
  const auto own = open_segment(options_);
  std::array<int, 2> pipe_ends{};
  ASSERT_EQ(pipe(pipe_ends.data()), 0);
  const pid_t child = fork();
  if (child == 0) {
    const auto segment = Segment::open(options_);
    const char worker = segment.ok() ? static_cast<char>(segment.value()->worker()) : '\x7f';
    if (write(pipe_ends[1], &worker, 1) != 1) _exit(1);
    for (;;) pause();
  }
  char worker = 0;
  ASSERT_EQ(read(pipe_ends[0], &worker, 1), 1);
  EXPECT_EQ(worker, 1);
  EXPECT_TRUE(own->alive(1));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_FALSE(own->alive(1));
  for (const int end : pipe_ends) close(end);
}

TEST_F(SegmentTest, AnIncarnationTellsOpenersOfOneSlotApart) {
  const auto own = open_segment(options_);
  auto other = open_segment(options_);
  const std::uint64_t first = other->incarnation();
  EXPECT_NE(first, 0U);
  EXPECT_NE(first, own->incarnation());
  EXPECT_TRUE(own->lives(first));
  EXPECT_TRUE(own->lives(own->incarnation()));
  other.reset();
  EXPECT_FALSE(own->lives(first));
  other = open_segment(options_);
  ASSERT_EQ(other->worker(), 1U);
  EXPECT_NE(other->incarnation(), first);
  EXPECT_FALSE(own->lives(first));
  EXPECT_TRUE(own->lives(other->incarnation()));
}

TEST_F(SegmentTest, ASlotTakenAnewDoesNotSleepAsItsLastOwnerDid) {
  const auto own = open_segment(options_);
  own->map().header().sleeping = 0b111;  // of somebody who was killed
  const auto other = open_segment(options_);
  EXPECT_EQ(own->map().header().sleeping.load(), 0b101U);
}

TEST_F(SegmentTest, RefusesOtherSizesAndTouchesNothing) {
  make_with_one_event();
  options_.history_size = 31;
  EXPECT_EQ(code_of_open(), Code::storage_unusable);
  EXPECT_NE(message_of_open().find("history_size=15"), std::string::npos);
  options_.history_size = 15;
  const auto user = open_segment(options_);
  options_.max_channels = 9;
  EXPECT_EQ(code_of_open(), Code::storage_busy);
}

TEST_F(SegmentTest, SetsAsideAnEmptyFile) {
  write_file("");
  expect_set_aside();
}

TEST_F(SegmentTest, SetsAsideGarbage) {
  write_file(std::string(100000, 'g'));
  expect_set_aside();
}

TEST_F(SegmentTest, SetsAsideATruncatedFile) {
  make_with_one_event();
  fs::resize_file(path(), fs::file_size(path()) - 1);
  expect_set_aside();
}

TEST_F(SegmentTest, SetsAsideAFileCutInsideItsHeader) {
  make_with_one_event();
  fs::resize_file(path(), 100);
  expect_set_aside();
}

TEST_F(SegmentTest, SetsAsideADamagedIdentity) {
  make_with_one_event();
  {
    std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(offsetof(Header, geometry));
    file.put('\x7f');
  }
  expect_set_aside();
}

TEST_F(SegmentTest, DoesNotSetAsideADamagedFileThatOthersUse) {
  const auto user = open_segment(options_);
  fs::resize_file(path(), fs::file_size(path()) + 1);
  EXPECT_EQ(code_of_open(), Code::storage_damaged);
  EXPECT_TRUE(set_aside("damaged-").empty());
}

TEST_F(SegmentTest, ALeftoverOfACreationThatDiedIsReplaced) {
  std::ofstream(path() + ".new") << "half";
  EXPECT_EQ(code_of_open(), Code::ok);
  EXPECT_FALSE(fs::exists(path() + ".new"));
}

TEST_F(SegmentTest, SaysThatTheDiskIsFullAndLeavesNothing) {
  EXPECT_TRUE(in_child([this] {
    limit_files_to(65536);
    return code_of_open() == Code::storage_full && message_of_open().find("bytes; free some room") != std::string::npos;
  }));
  EXPECT_FALSE(fs::exists(path()));
  EXPECT_FALSE(fs::exists(path() + ".new"));
}

TEST_F(SegmentTest, SaysThatTheFolderIsReadOnly) {
  fs::permissions(folder_.path(), fs::perms(0555));
  // Root writes everywhere; anybody else does not.
  EXPECT_TRUE(in_child([this] {
    if (geteuid() == 0 && setuid(65534) != 0) return false;
    return code_of_open() == Code::storage_unusable;
  }));
  fs::permissions(folder_.path(), fs::perms(0700));
}

TEST_F(SegmentTest, SaysThatTheFileIsReadOnly) {
  make_with_one_event();
  fs::permissions(folder_.path(), fs::perms(0777));
  fs::permissions(folder_.path() + "/history.lock", fs::perms(0666));
  fs::permissions(path(), fs::perms(0444));
  EXPECT_TRUE(in_child([this] {
    if (geteuid() == 0 && setuid(65534) != 0) return false;
    return code_of_open() == Code::storage_unusable;
  }));
}

TEST_F(SegmentTest, SaysThatTheFolderIsAFile) {
  std::ofstream(folder_.path() + "/file") << "x";
  options_.data_dir += "/file";
  EXPECT_EQ(code_of_open(), Code::storage_unusable);
}

TEST_F(SegmentTest, OpenersRaceToMakeTheFile) {
  std::vector<std::thread> threads;
  std::array<std::unique_ptr<Segment>, 8> opened;
  for (auto& mine : opened) {
    threads.emplace_back([&mine, this] {
      auto result = Segment::open(options_);
      if (result.ok()) mine = std::move(result).value();
    });
  }
  for (auto& thread : threads) thread.join();
  std::uint64_t slots = 0;
  for (const auto& segment : opened) {
    ASSERT_NE(segment, nullptr);
    slots |= std::uint64_t{1} << segment->worker();
  }
  EXPECT_EQ(slots, 0xFFU);
  EXPECT_TRUE(set_aside("damaged-").empty());
}

TEST_F(SegmentTest, OpenersAndTheLastCloserDoNotMeet) {
  std::vector<std::thread> threads;
  std::atomic<int> refused{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 100; ++n) refused += Segment::open(options_).ok() ? 0 : 1;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(refused, 0);
  EXPECT_EQ(open_segment(options_)->notices().size(), 0U);
}

TEST_F(SegmentTest, TheLockOfADeadProcessIsTakenOver) {
  const auto segment = open_segment(options_);
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(in_child([this] {
      const auto own = Segment::open(options_);
      if (!own.ok()) return false;
      const Segment::Lock lock(*own.value());
      _exit(0);
    }));
    const Segment::Lock lock(*segment);
  }
}

TEST_F(SegmentTest, AChildOfForkKnowsThatItIsOne) {
  const auto segment = open_segment(options_);
  EXPECT_FALSE(segment->forked());
  EXPECT_TRUE(in_child([&] { return segment->forked(); }));
}

TEST_F(SegmentTest, RefusesOpenersFromAnotherPidNamespace) {
  const auto segment = open_segment(options_);
  segment->map().header().pid_namespace ^= 1;
  EXPECT_EQ(code_of_open(), Code::storage_busy);
  EXPECT_NE(message_of_open().find("PID namespace"), std::string::npos);
}

TEST_F(SegmentTest, AfterARefusedFlushNothingCountsAsOnTheDiskUntilItIsOpenedAnew) {
  {
    const auto segment = open_segment(options_);
    History history(*segment);
    segment->map().header().disk_refused = 1;
    append(history, "app", "c", "1");
    EXPECT_EQ(segment->sync(history.head()).code(), Code::engine_unavailable);
    EXPECT_EQ(segment->map().header().synced.load(), 0U);
  }
  const auto segment = open_segment(options_);
  EXPECT_TRUE(segment->sync(History(*segment).head()).ok());
}

TEST_F(SegmentTest, RefusesSizesThatCannotBe) {
  options_.max_channels = 0;
  EXPECT_EQ(code_of_open(), Code::storage_unusable);
  options_.max_channels = 1;
  options_.history_bytes = ~std::uint64_t{0};
  EXPECT_EQ(code_of_open(), Code::storage_unusable);
}

TEST_F(SegmentTest, AChildThatInheritedItDoesNotKeepItLocked) {
  std::array<int, 2> pipe_ends{};
  ASSERT_EQ(pipe(pipe_ends.data()), 0);
  auto segment = open_segment(options_);
  const pid_t child = fork();
  if (child == 0) {
    char byte;
    close(pipe_ends[1]);
    _exit(read(pipe_ends[0], &byte, 1) == 0 ? 0 : 1);  // until the parent is done
  }
  segment.reset();
  EXPECT_EQ(code_of_open(), Code::ok);
  EXPECT_EQ(open_segment(options_)->worker(), 0U);
  close(pipe_ends[1]);
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  close(pipe_ends[0]);
}

TEST_F(SegmentTest, SyncReachesEverythingAppended) {
  const auto segment = open_segment(options_);
  History history(*segment);
  append(history, "app", "c", "1");
  ASSERT_TRUE(segment->sync(history.head()).ok());
  EXPECT_EQ(segment->map().header().synced.load(), history.head());
}

}  // namespace
}  // namespace polyglot::core::testing
