// Bodies that come in chunks.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "server/http_request.hpp"

namespace polyglot::server {
namespace {

using core::Code;
using Progress = HttpRequest::Progress;
using namespace std::string_literals;

constexpr std::size_t kLimit = 100'000;
constexpr std::string_view kHead = "POST / HTTP/1.1\r\nHost: a\r\nX-API-Key: k\r\nTransfer-Encoding: chunked\r\n\r\n";

// What became of a body, and of the bytes that came with it.
struct Outcome {
  Progress progress = Progress::more;
  Code code = Code::ok;
  std::string body = {};
  std::string rest = {};

  bool operator==(const Outcome&) const = default;
};

void PrintTo(const Outcome& outcome, std::ostream* out) {
  *out << static_cast<int>(outcome.progress) << " " << core::code_info(outcome.code).name << " "
       << outcome.body.substr(0, 60) << "(" << outcome.body.size() << ") and " << outcome.rest.substr(0, 60);
}

// Takes the bytes as they come, up to each of the cuts, as a connection does: what was not taken is kept for later.
Outcome read(std::string_view bytes, const std::vector<std::size_t>& cuts = {}, std::size_t limit = kLimit) {
  HttpRequest request;
  EXPECT_EQ(request.parse_head(kHead), Progress::done);
  EXPECT_TRUE(request.has_chunked_body());
  Outcome outcome;
  std::size_t begin = 0;
  for (std::size_t piece = 0; piece <= cuts.size(); ++piece) {
    const std::size_t end = piece < cuts.size() ? cuts[piece] : bytes.size();
    outcome.rest.append(bytes.substr(begin, end - begin));
    begin = end;
    if (outcome.progress != Progress::more) continue;
    const std::vector<char> place(outcome.rest.begin(), outcome.rest.end());  // gone when the next piece comes
    std::string_view rest(place.data(), place.size());
    outcome.progress = request.parse_chunks(rest, limit);
    outcome.rest = rest;
    EXPECT_EQ(outcome.progress == Progress::failed, !request.status().ok());
    EXPECT_LE(request.chunked_body().size(), limit);
  }
  EXPECT_EQ(request.value(Field::api_key), "k") << "the head stays what it was";
  outcome.code = request.status().code();
  if (outcome.progress == Progress::failed) {
    outcome.rest.clear();
  } else {
    outcome.body = request.chunked_body();
  }
  return outcome;
}

std::vector<std::size_t> every_byte(std::string_view bytes) {
  std::vector<std::size_t> cuts;
  for (std::size_t i = 1; i < bytes.size(); ++i) cuts.push_back(i);
  return cuts;
}

// Whole, byte by byte, and cut at any two places.
void expect(std::string_view bytes, const Outcome& outcome, std::size_t limit = kLimit) {
  ASSERT_EQ(read(bytes, {}, limit), outcome) << bytes;
  ASSERT_EQ(read(bytes, every_byte(bytes), limit), outcome) << "byte by byte: " << bytes;
  for (std::size_t first = 0; first <= bytes.size(); ++first) {
    for (std::size_t second = first; second <= bytes.size(); ++second) {
      ASSERT_EQ(read(bytes, {first, second}, limit), outcome) << first << " " << second << ": " << bytes;
    }
  }
}

void expect_body(std::string_view bytes, std::string_view body, std::string_view rest = {}) {
  expect(bytes, {Progress::done, Code::ok, std::string(body), std::string(rest)});
}

void expect_refused(std::string_view bytes, Code code = Code::invalid_request, std::size_t limit = kLimit) {
  expect(bytes, {Progress::failed, code, "", ""}, limit);
}

TEST(ParseChunks, JoinsThem) {
  expect_body("5\r\nHello\r\n1\r\n,\r\n6\r\n world\r\n0\r\n\r\n", "Hello, world");
  expect_body("0\r\n\r\n", "");
  expect_body("00000\r\n\r\n", "");
  expect_body("0a\r\n0123456789\r\nA\r\nabcdefghij\r\n000\r\n\r\n", "0123456789abcdefghij");
  expect_body("4\r\n\r\n\r\n\r\n2\r\n0\r\r\n0\r\n\r\n", "\r\n\r\n0\r");
}

TEST(ParseChunks, LeavesWhatFollows) {
  expect_body("1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n", "a", "GET / HTTP/1.1\r\n");
  expect_body("0\r\n\r\n\r\n", "", "\r\n");
}

TEST(ParseChunks, DropsExtensions) {
  expect_body("1;a\r\na\r\n2;a=b;c=\"d e\"\r\nbc\r\n0;f=g\r\n\r\n", "abc");
}

TEST(ParseChunks, DropsTheTrailer) {
  expect_body("1\r\na\r\n0\r\nX-API-Key: other\r\nHost: b\r\nExpires: never\r\n\r\nGET", "a", "GET");
}

TEST(ParseChunks, RefusesATrailerThatIsNone) {
  expect_refused("1\r\na\r\n0\r\nX-A : b\r\n\r\n");
  expect_refused("1\r\na\r\n0\r\nnothing\r\n\r\n");
  expect_refused("0\r\nContent-Length: 5\r\n\r\n");
  expect_refused("0\r\nTransfer-Encoding: chunked\r\n\r\n");
}

TEST(ParseChunks, AsksForMoreUntilTheBodyIsWhole) {
  const std::string whole = "5\r\nHello\r\n0\r\nX-A: b\r\n\r\n";
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(read(whole.substr(0, size)).progress, Progress::more) << size;
  }
}

TEST(ParseChunks, RefusesWhatIsNoChunk) {
  for (const std::string_view wrong :
       {"\r\n", "zz\r\n", "-1\r\n", "+1\r\na\r\n", " 1\r\na\r\n", "1 x\r\na\r\n", "0x1\r\na\r\n0\r\n\r\n", "1\ra\r\n",
        "1;=\r\na\r\n", "1\r\nab\r\n0\r\n\r\n", "2\r\na\r\n0\r\n\r\n", "1\r\na0\r\n\r\n", "10000000000000001\r\na\r\n",
        "1\r\na\r\n\r\n"}) {
    expect_refused(wrong);
  }
}

TEST(ParseChunks, RefusesLinesThatEndInLf) {
  expect_refused("1\na\r\n0\r\n\r\n");
  expect_refused("1\r\na\n0\r\n\r\n");
  expect_refused("1\r\na\n\n0\r\n\r\n");
}

TEST(ParseChunks, SaysOfALongBodyTooThatItIsMalformed) {
  const std::string bytes = "1\r\n" + std::string(2 * kMaxRequestLine, 'a') + "\r\n0\r\n\r\n";
  EXPECT_EQ(read(bytes), (Outcome{Progress::failed, Code::invalid_request}));
}

TEST(ParseChunks, TakesAsMuchAsTheLimitAllows) {
  expect("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", {Progress::done, Code::ok, "abcde", ""}, 5);
  expect_refused("3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", Code::payload_too_large, 5);
  expect_refused("1\r\na\r\n0\r\n\r\n", Code::payload_too_large, 0);
}

TEST(ParseChunks, RefusesTooMuchAsSoonAsItComes) {
  EXPECT_EQ(read("ffffffffffffffff\r\nabcde", {}, 5).progress, Progress::more) << "that much has not come yet";
  EXPECT_EQ(read("ffffffffffffffff\r\nabcdef", {}, 5).code, Code::payload_too_large);
}

TEST(ParseChunks, BoundsWhatIsNotTheBody) {
  for (const std::string& begun : {"1;"s, "0\r\nX-A: "s}) {
    const std::string bytes = begun + std::string(2 * kMaxHead, 'a');
    std::vector<std::size_t> cuts;
    for (std::size_t cut = 1000; cut < bytes.size(); cut += 1000) cuts.push_back(cut);
    EXPECT_EQ(read(bytes, cuts).code, Code::headers_too_large) << begun;
    EXPECT_EQ(read(bytes).code, Code::headers_too_large) << begun;
  }
}

TEST(ParseChunks, JoinsRandomChunksCutAnywhere) {
  std::mt19937_64 random(7);
  const auto below = [&random](std::size_t end) { return static_cast<std::size_t>(random() % end); };
  for (int round = 0; round < 300; ++round) {
    std::string body;
    std::string bytes;
    for (std::size_t chunks = below(6); chunks > 0; --chunks) {
      std::string chunk(1 + below(below(4) == 0 ? 10'000 : 40), '\0');
      for (char& byte : chunk) byte = static_cast<char>(random());
      char size[32];
      std::snprintf(size, sizeof(size), below(2) == 0 ? "%zx" : "00%zX", chunk.size());
      bytes.append(size).append(below(4) == 0 ? ";ext=1" : "").append("\r\n").append(chunk).append("\r\n");
      body += chunk;
    }
    bytes.append(below(2) == 0 ? "0\r\n\r\n" : "0\r\nX-Trailer: a\r\n\r\n").append("next");
    std::vector<std::size_t> cuts(below(30));
    for (std::size_t& cut : cuts) cut = below(bytes.size() + 1);
    std::sort(cuts.begin(), cuts.end());
    ASSERT_EQ(read(bytes, cuts), (Outcome{Progress::done, Code::ok, body, "next"})) << "round " << round;
  }
}

}  // namespace
}  // namespace polyglot::server
