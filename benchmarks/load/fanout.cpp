// Opens WebSocket subscribers, publishes to them over HTTP, checks that nothing is lost or out of order, and prints
// what it took as JSON. One thread; see options.cpp for the usage.
//
// A latency of a delivery counts from the time at which the event was sent (open loop: was due) to the end of the read
// that brought it; that of an answer likewise.
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <string>

#include "clock.hpp"
#include "options.hpp"
#include "round.hpp"

namespace polyglot::load {
namespace {

std::string microseconds(const Histogram& latencies) {
  const auto at = [&](double share) { return static_cast<double>(latencies.quantile(share)) / 1e3; };
  char text[128];
  std::snprintf(text, sizeof text, R"({"p50":%.1f,"p99":%.1f,"p99.9":%.1f})", at(0.5), at(0.99), at(0.999));
  return text;
}

// A text of the server's for JSON: what would end the string or the line is replaced.
std::string quoted(std::string text) {
  for (char& character : text) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte < 0x20 || byte > 0x7e || character == '"' || character == '\\') character = '?';
  }
  return '"' + text + '"';
}

int run(const Options& options) {
  Round round(options);
  if (options.idle) {
    std::printf("{\"idle\":%zu}\n", options.subscribers);
    std::fflush(stdout);
    round.idle();
    return round.tally().closed == 0 ? 0 : 1;
  }
  const std::uint64_t server = options.pid == 0 ? 0 : cpu_time(options.pid);
  const std::uint64_t tool = cpu_time(getpid());
  round.publish();
  const auto seconds = [](std::uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e9; };
  const Tally& tally = round.tally();
  std::printf(R"({"publishes":%llu,"deliveries":%llu,"lost":%llu,"out_of_order":%llu,"skipped":%llu,"closed":%llu,)",
              static_cast<unsigned long long>(round.publisher().published()),
              static_cast<unsigned long long>(tally.deliveries), static_cast<unsigned long long>(round.lost()),
              static_cast<unsigned long long>(tally.out_of_order), static_cast<unsigned long long>(tally.skipped),
              static_cast<unsigned long long>(tally.closed));
  if (tally.closed > 0) std::printf(R"("close_reason":%s,)", quoted(tally.close_reason).c_str());
  if (options.pid != 0) std::printf(R"("server_cpu":%.6f,)", seconds(cpu_time(options.pid) - server));
  std::printf(R"("tool_cpu":%.6f,"seconds":%.6f,"delivery_us":%s,"answer_us":%s})", seconds(cpu_time(getpid()) - tool),
              seconds(round.duration()), microseconds(tally.latency).c_str(),
              microseconds(round.publisher().answers()).c_str());
  std::printf("\n");
  return round.lost() == 0 && tally.out_of_order == 0 && tally.closed == 0 && round.publisher().unanswered() == 0 ? 0
                                                                                                                  : 1;
}

}  // namespace
}  // namespace polyglot::load

int main(int argc, char** argv) {
  try {
    return polyglot::load::run(polyglot::load::parse_options(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fanout: %s\n", error.what());
    return 1;
  }
}
