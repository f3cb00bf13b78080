#include "server/trace_parent.hpp"

#include <gtest/gtest.h>

#include <string>

namespace polyglot::server {
namespace {

const std::string kTrace = "4bf92f3577b34da6a3ce929d0e0e4736";
const std::string kGood = "00-" + kTrace + "-00f067aa0ba902b7-01";

TEST(TraceParentTest, GivesTheTraceId) {
  EXPECT_EQ(trace_id_of(kGood), kTrace);
  EXPECT_EQ(trace_id_of("00-" + kTrace + "-00f067aa0ba902b7-00"), kTrace);
}

TEST(TraceParentTest, TakesLaterVersionsByWhatIsKnown) {
  EXPECT_EQ(trace_id_of("cc" + kGood.substr(2)), kTrace);
  EXPECT_EQ(trace_id_of("cc" + kGood.substr(2) + "-what-the-future-will-be"), kTrace);
  EXPECT_EQ(trace_id_of("cc" + kGood.substr(2) + ".what"), "");
}

TEST(TraceParentTest, IgnoresWhatIsMalformed) {
  for (const std::string& wrong : {
           std::string(),
           kGood.substr(0, 54),
           kGood + "-",
           kGood + "0",
           "ff" + kGood.substr(2),
           "0" + kGood,
           "00-" + std::string(32, '0') + "-00f067aa0ba902b7-01",
           "00-" + kTrace + "-0000000000000000-01",
           "00-" + std::string("4BF92F3577B34DA6A3CE929D0E0E4736") + "-00f067aa0ba902b7-01",
           "00-" + kTrace + "-00f067aa0ba902bz-01",
           "00-" + kTrace + "-00f067aa0ba902b7-0x",
           "00_" + kTrace + "-00f067aa0ba902b7-01",
           "00-" + kTrace + "_00f067aa0ba902b7-01",
           "00-" + kTrace + "-00f067aa0ba902b7_01",
           " " + kGood,
       }) {
    EXPECT_EQ(trace_id_of(wrong), "") << wrong;
  }
}

std::string traceparent_in(const std::string& fields) {
  const std::string head = "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
  HttpRequest request;
  EXPECT_EQ(request.parse_head(head), HttpRequest::Progress::done);
  request.at(head.data());
  return std::string(traceparent_of(request));
}

TEST(TraceParentTest, OfARequestIsTheFieldAsItWasSent) {
  EXPECT_EQ(traceparent_in("TraceParent: " + kGood + "\r\n"), kGood);
  EXPECT_EQ(traceparent_in(""), "");
  EXPECT_EQ(traceparent_in("traceparent: " + kGood + "0\r\n"), "");
  EXPECT_EQ(traceparent_in("traceparent: " + kGood + "\r\ntraceparent: " + kGood + "\r\n"), "");
}

}  // namespace
}  // namespace polyglot::server
