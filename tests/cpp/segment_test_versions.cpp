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

}  // namespace
}  // namespace polyglot::core::testing
