// Files of other versions of the layout.
#include <gtest/gtest.h>

#include "segment_fixture.hpp"

namespace polyglot::core::testing {
namespace {

namespace fs = std::filesystem;

TEST_F(SegmentTest, SetsAsideAFileOfAnotherVersionWhole) {
  make_with_one_event();
  set_version(kSegmentVersion + 1);
  const std::string before = contents(path());
  const auto segment = open_segment(options_);
  ASSERT_NE(segment, nullptr);
  ASSERT_EQ(segment->notices().size(), 1U);
  EXPECT_NE(segment->notices()[0].find("format version " + std::to_string(kSegmentVersion + 1)), std::string::npos);
  const auto aside = set_aside("version-" + std::to_string(kSegmentVersion + 1));
  ASSERT_EQ(aside.size(), 1U);
  EXPECT_EQ(contents(aside[0]), before);
  EXPECT_NE(segment->notices()[0].find(aside[0]), std::string::npos);
  History history(*segment);
  EXPECT_EQ(append(history, "app", "c", "1").offset, 1U);
}

TEST_F(SegmentTest, SetsAsideAFileOfAnotherVersionWhateverItsSizes) {
  make_with_one_event();
  set_version(1);
  options_.history_size = 31;
  fs::resize_file(path(), 5000);
  EXPECT_EQ(code_of_open(), Code::ok);
  EXPECT_EQ(set_aside("version-1").size(), 1U);
}

TEST_F(SegmentTest, SetsNothingAsideInThePlaceOfAnother) {
  for (std::size_t count = 1; count <= 20; ++count) {  // many of them in the same second
    make_with_one_event();
    set_version(1);
    EXPECT_EQ(code_of_open(), Code::ok);
    EXPECT_EQ(set_aside("version-1").size(), count);
  }
}

TEST_F(SegmentTest, DoesNotTakeAFileOfAnotherVersionFromItsUsers) {
  const auto user = open_segment(options_);
  History history(*user);
  set_version(kSegmentVersion - 1);
  EXPECT_EQ(code_of_open(), Code::storage_version);
  EXPECT_NE(message_of_open().find("stop it first"), std::string::npos);
  EXPECT_TRUE(set_aside("version-").empty());
  append(history, "app", "c", "1");
  EXPECT_NE(contents(path()).find("\"channel\":\"c\""), std::string::npos);
}

TEST_F(SegmentTest, LeavesAFileOfAnotherVersionWhereItIsWhenTheDiskIsFull) {
  make_with_one_event();
  set_version(1);
  const std::string before = contents(path());
  EXPECT_TRUE(in_child([this] {
    limit_files_to(65536);
    return code_of_open() == Code::storage_full && message_of_open().find("format version 1") != std::string::npos;
  }));
  EXPECT_EQ(contents(path()), before);
  EXPECT_TRUE(set_aside("version-").empty());
  EXPECT_FALSE(fs::exists(path() + ".new"));
}

TEST_F(SegmentTest, AnInspectionSaysWhatWouldBeSetAsideAndLeavesIt) {
  make_with_one_event();
  EXPECT_TRUE(inspect().empty());
  for (const char* what : {"format version", "is damaged"}) {
    if (std::string_view(what) == "is damaged") {
      write_file("garbage");
    } else {
      set_version(kSegmentVersion + 1);
    }
    const std::string before = contents(path());
    const auto notices = inspect();
    ASSERT_EQ(notices.size(), 1U);
    EXPECT_NE(notices[0].find(what), std::string::npos) << notices[0];
    EXPECT_NE(notices[0].find("A start sets it aside"), std::string::npos);
    EXPECT_EQ(contents(path()), before);
    EXPECT_TRUE(set_aside("").empty());
  }
}

TEST_F(SegmentTest, AnInspectionSaysWhatWouldBeRepairedAndLeavesIt) {
  make_with_one_event();
  std::string damaged = contents(path());
  damaged[damaged.find("\"channel\":\"c\"")] = '!';
  write_file(damaged);
  const auto notices = inspect();
  EXPECT_EQ(contents(path()), damaged);
  const auto segment = open_segment(options_);
  EXPECT_FALSE(notices.empty());
  EXPECT_EQ(notices, segment->notices());
}

TEST_F(SegmentTest, AnInspectionRefusesWhatOpeningRefuses) {
  const auto refusal = [this] { return Segment::inspect(options_).status().code(); };
  EXPECT_EQ(refusal(), Code::storage_unusable) << "there is no file";
  EXPECT_TRUE(fs::is_empty(folder_.path()));
  make_with_one_event();
  options_.history_size += 1;
  EXPECT_EQ(Segment::inspect(options_).status().message(), message_of_open());
  options_.history_size -= 1;
  {
    const auto user = open_segment(options_);
    EXPECT_TRUE(inspect().empty());
    options_.history_size += 1;
    EXPECT_EQ(refusal(), Code::storage_busy);
    options_.history_size -= 1;
    set_version(1);
    EXPECT_EQ(refusal(), Code::storage_version);
    set_version(kSegmentVersion);
    fs::resize_file(path(), fs::file_size(path()) + 1);
    EXPECT_EQ(refusal(), Code::storage_damaged);
  }
}

}  // namespace
}  // namespace polyglot::core::testing
