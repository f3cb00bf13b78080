// A gateway whose file the tests damage, by the hand of a process that dies or while nobody has it open.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>

#include "core/gateway.hpp"
#include "temporary.hpp"

namespace polyglot::core::testing {

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

}  // namespace polyglot::core::testing
