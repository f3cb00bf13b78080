#include "options.hpp"

#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace polyglot::load {
namespace {

constexpr const char* kUsage =
    R"(usage: fanout [options]     publishes to WebSocket subscribers and checks that all of it comes, in order
  --host HOST --port PORT   of the server (127.0.0.1, 4000)
  --publish-port PORT       of another instance, to publish there
  --dialect gateway|nchan   what it speaks (gateway)
  --app APP --key KEY --channel CHANNEL   (demo, valid_key_{app}, room:test)
  --subscribers N           (100)
  --seconds S               for how long to publish (5)
  --window W                closed loop: W requests together, the next W when all are answered (1)
  --rate R                  open loop instead: R events per second
  --batch K                 K events in each request (1; gateway only)
  --conflate                subscribers may skip events, but not the last
  --pid PID                 of the server; adds its CPU time
  --idle N                  only open N subscribers and keep them until standard input ends
Prints JSON; times are in seconds, latencies in microseconds. Status 1: something failed, or an event was lost or out of
order.
)";

[[noreturn]] void refuse(std::string_view name, std::string_view text) {
  std::fprintf(stderr, "fanout: %.*s cannot be '%.*s'\n%s", static_cast<int>(name.size()), name.data(),
               static_cast<int>(text.size()), text.data(), kUsage);
  std::exit(2);
}

template <typename Number>
Number number(std::string_view name, std::string_view text, Number least, Number most) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < least || value > most) refuse(name, text);
  return value;
}

struct Option {
  std::string_view name;
  void (*set)(Options& options, std::string_view name, std::string_view text);
};

constexpr std::size_t kMany = 1'000'000;

constexpr auto kOptions = std::to_array<Option>({
    {"--host", [](Options& options, std::string_view, std::string_view text) { options.host = text; }},
    {"--port", [](Options& options, std::string_view, std::string_view text) { options.port = text; }},
    {"--publish-port", [](Options& options, std::string_view, std::string_view text) { options.publish_port = text; }},
    {"--app", [](Options& options, std::string_view, std::string_view text) { options.app = text; }},
    {"--key", [](Options& options, std::string_view, std::string_view text) { options.key = text; }},
    {"--channel", [](Options& options, std::string_view, std::string_view text) { options.channel = text; }},
    {"--dialect",
     [](Options& options, std::string_view name, std::string_view text) {
       if (text != "gateway" && text != "nchan") refuse(name, text);
       options.dialect = text == "nchan" ? Dialect::nchan : Dialect::gateway;
     }},
    {"--subscribers", [](Options& options, std::string_view name,
                         std::string_view text) { options.subscribers = number<std::size_t>(name, text, 0, kMany); }},
    {"--idle",
     [](Options& options, std::string_view name, std::string_view text) {
       options.subscribers = number<std::size_t>(name, text, 1, kMany);
       options.idle = true;
     }},
    {"--seconds", [](Options& options, std::string_view name,
                     std::string_view text) { options.seconds = number(name, text, 0.001, 86'400.0); }},
    {"--window", [](Options& options, std::string_view name,
                    std::string_view text) { options.window = number<std::size_t>(name, text, 1, 10'000); }},
    {"--rate", [](Options& options, std::string_view name,
                  std::string_view text) { options.rate = number<std::uint64_t>(name, text, 1, 100 * kMany); }},
    {"--batch", [](Options& options, std::string_view name,
                   std::string_view text) { options.batch = number<std::size_t>(name, text, 1, 1000); }},
    {"--pid", [](Options& options, std::string_view name,
                 std::string_view text) { options.pid = number<pid_t>(name, text, 1, 1 << 30); }},
});

}  // namespace

Options parse_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--help") {
      std::fputs(kUsage, stdout);
      std::exit(0);
    }
    if (name == "--conflate") {
      options.conflate = true;
      continue;
    }
    const std::string_view text = i + 1 < argc ? argv[++i] : "";
    bool known = false;
    for (const Option& option : kOptions) {
      if (option.name != name) continue;
      option.set(options, name, text);
      known = true;
    }
    if (!known) refuse(name, text);
  }
  if (options.batch > 1 && options.dialect == Dialect::nchan) refuse("--batch", "more than 1 with --dialect nchan");
  if (options.publish_port.empty()) options.publish_port = options.port;
  if (options.key.empty()) options.key = "valid_key_" + options.app;
  return options;
}

}  // namespace polyglot::load
