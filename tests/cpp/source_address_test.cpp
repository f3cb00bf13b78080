#include "server/source_address.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace polyglot::server {
namespace {

using Proxies = std::vector<std::string>;

std::string found(const Proxies& proxies, std::string_view peer, std::string_view forwarded) {
  const SourceAddress source(proxies);
  return source.of(source.peer(peer), forwarded);
}

struct Case {
  std::string_view peer;
  std::string_view forwarded;
  std::string_view source;
};

// Those of tests/unit/gateway/test_source_address.py: both servers tell the same.
constexpr Case kCases[] = {
    {"203.0.113.9", "", "203.0.113.9"},
    {"203.0.113.9", "198.51.100.1", "203.0.113.9"},  // not a proxy of ours: it may say what it likes
    {"127.0.0.1", "", "127.0.0.1"},
    {"127.0.0.1", "198.51.100.1", "198.51.100.1"},
    {"127.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"},  // what stands left of it, the client may have made up
    {"127.0.0.1", "198.51.100.1, 10.1.2.3", "198.51.100.1"},
    {"127.0.0.1", "10.9.9.9,10.1.2.3", "10.9.9.9"},
    {"127.0.0.1", "198.51.100.1,,10.1.2.3", "10.1.2.3"},
    {"127.0.0.1", "unknown", "127.0.0.1"},
    {"127.0.0.1", "198.51.100.1, <script>", "127.0.0.1"},
    {"::1", " 2001:db8::7 ", "2001:db8::7"},
    {"::1", "2001:0DB8:0::7", "2001:db8::7"},
    {"::ffff:127.0.0.1", "198.51.100.1", "198.51.100.1"},
    {"127.0.0.1", "fe80::1%<script>", "127.0.0.1"},
    {"127.0.0.1", "1.1.1.1, 5.6.7.8:80", "5.6.7.8"},
    {"127.0.0.1", "5.6.7.8:80, 10.1.2.3:4711", "5.6.7.8"},
    {"127.0.0.1", "[2001:DB8::1]:443", "2001:db8::1"},
    {"127.0.0.1", "[2001:db8::1]", "2001:db8::1"},
    {"127.0.0.1", "5.6.7.8:", "127.0.0.1"},
    {"127.0.0.1", "5.6.7.8:<script>", "127.0.0.1"},
    {"127.0.0.1", "[2001:db8::1", "127.0.0.1"},
    {"::ffff:1.2.3.4", "", "1.2.3.4"},  // how a socket bound to [::] names an IPv4 peer
    {"::ffff:1.2.3.4", "198.51.100.1", "1.2.3.4"},
    {"fe80::1%eth0", "", "fe80::1"},
    {"2001:0DB8::7", "198.51.100.1", "2001:db8::7"},
    {"", "198.51.100.1", "198.51.100.1"},  // a Unix socket
    {"", "", ""},
};

TEST(SourceAddress, IsTheRightMostThatIsNoProxys) {
  for (const Case& each : kCases) {
    EXPECT_EQ(found({"127.0.0.1", "::1", "10.0.0.0/8"}, each.peer, each.forwarded), each.source)
        << each.peer << " for " << each.forwarded;
  }
}

TEST(SourceAddress, BelievesNothingWithoutTrustedProxies) {
  EXPECT_EQ(found({}, "127.0.0.1", "198.51.100.1"), "127.0.0.1");
}

TEST(SourceAddress, OfAProxyIsTheLeftMostWhenAllAreProxies) {
  EXPECT_EQ(found({"10.0.0.0/8"}, "10.0.0.1", "10.0.0.4, 10.0.0.3\t,\t10.0.0.2"), "10.0.0.4");
}

TEST(SourceAddress, KnowsTheBoundsOfANetwork) {
  const SourceAddress source({"10.1.0.0/17", "2001:db8:8000::/33", "192.0.2.7", "2001:db9::1"});
  for (const std::string_view inside : {"10.1.0.0", "10.1.127.255", "2001:db8:8000::", "2001:db8:ffff:ffff::1",
                                        "192.0.2.7", "::ffff:10.1.0.1", "2001:db9::1"}) {
    EXPECT_TRUE(source.peer(inside).trusted) << inside;
  }
  for (const std::string_view outside : {"10.0.255.255", "10.1.128.0", "2001:db8:7fff:ffff::", "2001:db9::",
                                         "192.0.2.6", "192.0.2.8", "2001:db9::2", "::10.1.0.1"}) {
    EXPECT_FALSE(source.peer(outside).trusted) << outside;
  }
}

TEST(SourceAddress, TrustsAllWhoAreInANetworkOfLengthZero) {
  const SourceAddress source({"0.0.0.0/0"});
  EXPECT_TRUE(source.peer("203.0.113.9").trusted);
  EXPECT_FALSE(source.peer("2001:db8::1").trusted) << "that is another family";
  EXPECT_TRUE(SourceAddress({"::/0"}).peer("2001:db8::1").trusted);
}

TEST(SourceAddress, LeavesOutNetworksThatItCannotRead) {
  const SourceAddress source({"proxy", "10.0.0.0/33", "", "::1/129", "192.0.2.1"});
  EXPECT_TRUE(source.peer("192.0.2.1").trusted);
  EXPECT_FALSE(source.peer("10.0.0.0").trusted);
  EXPECT_FALSE(source.peer("::1").trusted);
}

TEST(SourceAddress, ShowsAPeerThatIsNoAddressAsItIs) {
  const SourceAddress::Peer peer = SourceAddress({"0.0.0.0/0", "::/0"}).peer("somebody");
  EXPECT_EQ(peer.address, "somebody");
  EXPECT_FALSE(peer.trusted);
}

// What Python's ipaddress writes (RFC 5952).
TEST(SourceAddress, WritesAddressesInOneForm) {
  const SourceAddress source({});
  const std::pair<std::string_view, std::string_view> forms[] = {
      {"0:0:0:0:0:0:0:0", "::"},
      {"0:0:0:0:0:0:0:1", "::1"},
      {"::0.0.1.2", "::102"},
      {"::1.2.3.4", "::102:304"},
      {"::1:0", "::1:0"},
      {"2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
      {"1:0:0:2:0:0:0:3", "1:0:0:2::3"},
      {"64:ff9b::1.2.3.4", "64:ff9b::102:304"},
      {"::ffff:0102:0304", "1.2.3.4"},
  };
  for (const auto& [given, shown] : forms) EXPECT_EQ(source.peer(given).address, shown) << given;
}

TEST(SourceAddress, TakesNoOtherFormsOfAnAddress) {
  const std::string long_one(100'000, '1');
  for (const std::string_view hop :
       {std::string_view("1.2.3"), std::string_view("1.2.3.04"), std::string_view("1.2.3.256"),
        std::string_view("0x7f000001"), std::string_view("16909060"), std::string_view("1::2::3"),
        std::string_view("fe80::1%eth0"), std::string_view("[fe80::1%eth0]:80"), std::string_view("[]"),
        std::string_view("[::1]x"), std::string_view("[::1]:"), std::string_view("[::1]:x"),
        std::string_view("1.2.3.4 5"), std::string_view("::1:80:"), std::string_view(long_one)}) {
    EXPECT_EQ(found({"127.0.0.1"}, "127.0.0.1", hop), "127.0.0.1") << hop.substr(0, 40);
  }
}

}  // namespace
}  // namespace polyglot::server
